#include "retry.h"

#include <algorithm>

namespace rollback::kube {

namespace {

constexpr Millis kFirst{100};
constexpr Millis kLongest{5000};

Millis exponential(int attempt) { return std::min(kLongest, kFirst * (1 << std::clamp(attempt - 1, 0, 10))); }

Millis scaled(Millis time, double factor) { return Millis(Millis::rep(double(time.count()) * factor)); }

}  // namespace

std::optional<Millis> pauseBeforeRetry(const Request& request, const Error& error, int attempt, double random) {
  if (error.code == ErrorCode::Expired)
    return std::nullopt;  // "too large" comes as 504 with Retry-After: start over instead
  if (error.httpStatus == 429 || error.httpStatus >= 500) {
    if (!error.retryAfter) return std::nullopt;
    if (request.mutates() && error.code == ErrorCode::Timeout) return std::nullopt;
    // Everybody who was refused in the same second was told the same number: jitter only adds.
    return scaled(std::max<Millis>(*error.retryAfter, exponential(attempt)), 1.0 + 0.25 * random);
  }
  if (error.httpStatus == 0 && error.code == ErrorCode::ConnectionLost && !request.mutates()) {
    return scaled(exponential(attempt), 0.5 + 0.5 * random);
  }
  return std::nullopt;
}

}  // namespace rollback::kube
