// Go durations, as Kubernetes users write them: "24h", "1h30m", "90s", "250ms".
#pragma once

#include <chrono>
#include <string_view>

#include "base/result.h"

namespace rollback::api {

// Whole seconds, rounded down. BadInput for anything else than numbers with units ms, s, m, h, for negative ones and
// for more than 100 years.
Result<std::chrono::seconds> parseDuration(std::string_view text);

}  // namespace rollback::api
