// When the same request may be sent again, and after how long. A pure function, so that the rule is a table in a test.
#pragma once

#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "kube/objects/request.h"

namespace rollback::kube {

// The pause before attempt `attempt`+1; nullopt: the error stands. `random` is in [0, 1).
// As client-go decides (rest/with_retry.go), and stricter for writes:
// - 429 and 5xx that carry Retry-After: never earlier than the server asked. Not a write whose reason is a timeout: the
//   server asks to come back then, too, but the write may have been stored.
// - A connection lost before the answer: reads only.
// - Nothing else; refused connections included, because whoever waits for the server has a back-off of its own.
std::optional<Millis> pauseBeforeRetry(const Request& request, const Error& error, int attempt, double random);

}  // namespace rollback::kube
