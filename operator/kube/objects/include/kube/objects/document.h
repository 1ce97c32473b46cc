// An object as JSON and its metadata, for decoders of kinds that are defined elsewhere: the text is parsed once.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "base/result.h"
#include "kube/objects/meta.h"

namespace rollback::kube {

// Protocol error if it is no JSON object, nests deeper than 128 or has no metadata. metadata.managedFields is left out.
Result<nlohmann::json> decodeObject(std::string_view text, ObjectMeta& meta);

}  // namespace rollback::kube
