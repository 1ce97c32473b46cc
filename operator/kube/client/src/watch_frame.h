// One line of a watch stream, {"type":"ADDED","object":{…}}: finds both members without decoding the object.
#pragma once

#include <string_view>

#include "base/result.h"

namespace rollback::kube {

struct WatchFrame {
  std::string_view type;    // "ADDED"
  std::string_view object;  // its JSON; both point into the line
};

// Protocol error unless the line is one object with a string `type` and an object `object`, in any order. Only the
// frame is checked: whether `object` is well-formed inside is for its decoder.
Result<WatchFrame> readWatchFrame(std::string_view line);

}  // namespace rollback::kube
