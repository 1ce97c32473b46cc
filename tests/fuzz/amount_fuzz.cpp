// Durations and quantities: within their limits, and plain numbers mean themselves.
#include "api/duration.h"
#include "api/quantity.h"
#include "fuzz.h"

void rollback::fuzz::one(std::string_view input) {
  const auto time = api::parseDuration(input);
  if (time) {
    require(time->count() >= 0 && time->count() <= std::int64_t{100} * 366 * 86400, "between nothing and 100 years");
    const auto again = api::parseDuration(std::to_string(time->count()) + "s");
    require(again.ok() && *again == *time, "seconds mean themselves");
    const auto longer = api::parseDuration(std::string(input) + "1s");
    if (longer) require(*longer - *time == std::chrono::seconds(1), "a second more is a second more");
  }
  const auto bytes = api::parseQuantity(input);
  if (bytes) {
    require(*bytes >= 0 && *bytes <= std::int64_t{1} << 62, "between nothing and 2^62");
    const auto again = api::parseQuantity(std::to_string(*bytes));
    require(again.ok() && *again == *bytes, "bytes mean themselves");
  }
}
