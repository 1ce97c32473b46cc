// Warning response headers (RFC 7234 §5.5): the API server announces deprecations and doubtful fields in them.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "http/transport.h"

namespace rollback::kube {

// The texts of all warnings with code 299 in one header value, `299 - "text", 299 agent "text"`; control characters
// become spaces, a text is cut at 1 KiB; whatever is malformed is left out.
std::vector<std::string> parseWarnings(std::string_view header);

// Hands every distinct text over once. Thread-safe; `show` runs without a lock. Remembers 1,000 texts, then starts
// anew.
class WarningFilter {
 public:
  explicit WarningFilter(std::function<void(const std::string&)> show) : show_(std::move(show)) {}
  void see(const http::Headers& headers);

 private:
  const std::function<void(const std::string&)> show_;
  std::mutex mutex_;  // guards seen_
  std::set<std::string> seen_;
};

}  // namespace rollback::kube
