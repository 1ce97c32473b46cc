// Durations and quantities as Kubernetes writes them.
#include <catch2/catch.hpp>

#include "api/duration.h"
#include "api/quantity.h"

namespace rollback::api {
namespace {

using Catch::Matchers::Contains;

TEST_CASE("given a duration as Go writes it, when it is read, then it is whole seconds, rounded down") {
  const std::pair<const char*, int> table[] = {{"24h", 86400},     {"1h30m", 5400}, {"10m", 600},  {"90s", 90},
                                               {"1.5h", 5400},     {"250ms", 0},    {"1500ms", 1}, {"0s", 0},
                                               {".5m", 30},        {"4.35m", 261},  {"0.1s", 0},   {"2h45m30.9s", 9930},
                                               {"8760h", 31536000}};
  for (const auto& [text, seconds] : table) {
    INFO(text);
    const auto read = parseDuration(text);
    REQUIRE(read);
    CHECK(read->count() == seconds);
  }
}

TEST_CASE("given anything else, when it is read as a duration, then the error names it and says what one looks like") {
  for (const char* text : {"", "1", "h", "1d", "1h30", "-1h", "+1h", "1 h", " 1h", "1h ", "infh", "nanh", "1e3s",
                           "0x1h", "99999999999h", "9e999h", "1..5h", "1hh"}) {
    INFO(text);
    const auto read = parseDuration(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::BadInput);
    CHECK_THAT(read.error().message, Contains(text) && Contains("24h"));
  }
}

TEST_CASE("given a quantity of bytes, when it is read, then it is bytes, rounded up") {
  const std::pair<const char*, std::int64_t> table[] = {{"0", 0},
                                                        {"1073741824", 1073741824},
                                                        {"20Gi", 21474836480},
                                                        {"1.5G", 1500000000},
                                                        {"512M", 512000000},
                                                        {"1e9", 1000000000},
                                                        {"1E9", 1000000000},
                                                        {"1E", 1000000000000000000},
                                                        {"1Ei", 1152921504606846976},
                                                        {"1500m", 2},
                                                        {"0.5Ki", 512},
                                                        {".5k", 500},
                                                        {"5.", 5},
                                                        {"9007199254740993", 9007199254740993},
                                                        {"4611686018427387904", 4611686018427387904}};
  for (const auto& [text, bytes] : table) {
    INFO(text);
    const auto read = parseQuantity(text);
    REQUIRE(read);
    CHECK(*read == bytes);
  }
}

TEST_CASE("given anything else, when it is read as a quantity, then the error names it and says what one looks like") {
  for (const char* text : {"", "Gi", "20GB", "20 Gi", "-1", "+1", "inf", "nan", "infinity", "1K", "1ki", "0x10",
                           "4611686018427387905", "5Ei", "1e99", "1e9999", "20Gi "}) {
    INFO(text);
    const auto read = parseQuantity(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::BadInput);
    CHECK_THAT(read.error().message, Contains(text) && Contains("20Gi"));
  }
}

}  // namespace
}  // namespace rollback::api
