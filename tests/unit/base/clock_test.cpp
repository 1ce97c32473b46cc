#include "base/clock.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>

namespace rollback {
namespace {

struct FakeClock final : Clock {
  WallTime wallTime{};
  MonoTime monoTime{};
  WallTime wall() const override { return wallTime; }
  MonoTime now() const override { return monoTime; }
};

WallTime at(std::int64_t milliseconds) { return WallTime(Millis(milliseconds)); }

WallTime parsed(const std::string& text) {
  WallTime out = at(-1);
  INFO("parsing " << text);
  REQUIRE(parseTime(text, out));
  return out;
}

TEST_CASE(
    "Given the machine's clocks, when read twice, then monotonic time does not go back and wall time is of this era") {
  const Clock& clock = systemClock();
  const MonoTime first = clock.now();
  CHECK(clock.now() >= first);
  CHECK(first > MonoTime(Millis(0)));
  CHECK(clock.wall() > parsed("2020-01-01T00:00:00Z"));
  CHECK(&systemClock() == &clock);
}

TEST_CASE(
    "Given a deadline, when time passes, then it expires exactly at its end and what is left goes below zero after") {
  FakeClock clock;
  const Deadline deadline = Deadline::after(clock, Millis(500));
  CHECK(deadline.left(clock) == Millis(500));
  clock.monoTime += Millis(499);
  CHECK_FALSE(deadline.expired(clock));
  clock.monoTime += Millis(1);
  CHECK(deadline.expired(clock));
  clock.monoTime += Millis(10);
  CHECK(deadline.left(clock) == Millis(-10));
}

TEST_CASE("Given a deadline without end, when asked, then it never expires and is never the earlier one") {
  FakeClock clock;
  clock.monoTime = MonoTime(Millis(1) * (std::int64_t{1} << 60));
  CHECK_FALSE(Deadline{}.expired(clock));
  CHECK(Deadline{}.left(clock) == Millis::max());
  const Deadline soon = Deadline::after(clock, Millis(5));
  CHECK(Deadline{}.earlier(soon).at == soon.at);
  CHECK(soon.earlier(Deadline{}).at == soon.at);
}

TEST_CASE(
    "Given a time, when written as metav1.Time and MicroTime, then the first has whole seconds and the second six "
    "digits") {
  const WallTime time = parsed("2026-11-24T03:04:05.678Z");
  CHECK(formatTime(time) == "2026-11-24T03:04:05Z");
  CHECK(formatMicroTime(time) == "2026-11-24T03:04:05.678000Z");
  CHECK(formatMicroTime(at(0)) == "1970-01-01T00:00:00.000000Z");
  CHECK(formatMicroTime(at(7)) == "1970-01-01T00:00:00.007000Z");
}

TEST_CASE("Given a time before 1970, when written and read, then it is the same") {
  CHECK(formatMicroTime(at(-1)) == "1969-12-31T23:59:59.999000Z");
  CHECK(formatTime(at(-1)) == "1969-12-31T23:59:59Z");
  CHECK(parsed("1969-12-31T23:59:59.999Z") == at(-1));
}

TEST_CASE(
    "Given times of four-digit years, when written and read again, then nothing is lost but what the form cannot "
    "hold") {
  std::mt19937_64 random(20261124);
  const std::int64_t first = parsed("0001-01-01T00:00:00Z").time_since_epoch().count();
  const std::int64_t last = parsed("9999-12-31T23:59:59.999Z").time_since_epoch().count();
  std::uniform_int_distribution<std::int64_t> any(first, last);
  for (int i = 0; i < 2000; ++i) {
    const WallTime time = at(any(random));
    INFO(time.time_since_epoch().count() << " ms is written as " << formatMicroTime(time));
    REQUIRE(formatMicroTime(time).size() == 27);
    REQUIRE(parsed(formatMicroTime(time)) == time);
    REQUIRE(parsed(formatTime(time)) == std::chrono::floor<std::chrono::seconds>(time));
  }
}

TEST_CASE("Given the forms RFC 3339 allows, when read, then they mean the same instant") {
  const WallTime noon = parsed("2026-11-24T12:00:00Z");
  for (const char* same : {"2026-11-24t12:00:00z", "2026-11-24 12:00:00Z", "2026-11-24T12:00:00.0Z",
                           "2026-11-24T12:00:00+00:00", "2026-11-24T12:00:00-00:00", "2026-11-24T17:30:00+05:30",
                           "2026-11-24T00:00:00-12:00", "2026-11-25T11:59:00+23:59"}) {
    INFO(same);
    CHECK(parsed(same) == noon);
  }
}

TEST_CASE("Given fractions of any length, when read, then they count to the millisecond and the rest is cut off") {
  CHECK(parsed("1970-01-01T00:00:00.5Z") == at(500));
  CHECK(parsed("1970-01-01T00:00:00.05Z") == at(50));
  CHECK(parsed("1970-01-01T00:00:00.001999999999Z") == at(1));
  CHECK(parsed("1970-01-01T00:00:00." + std::string(400, '9') + "Z") == at(999));
}

TEST_CASE(
    "Given leap days and leap seconds, when read, then days that exist are accepted and a sixtieth second is the next "
    "minute") {
  CHECK(formatTime(parsed("2024-02-29T00:00:00Z")) == "2024-02-29T00:00:00Z");
  CHECK(formatTime(parsed("2000-02-29T00:00:00Z")) == "2000-02-29T00:00:00Z");
  CHECK(formatTime(parsed("2016-12-31T23:59:60Z")) == "2017-01-01T00:00:00Z");
  WallTime out = at(42);
  CHECK_FALSE(parseTime("2023-02-29T00:00:00Z", out));
  CHECK_FALSE(parseTime("1900-02-29T00:00:00Z", out));
  CHECK_FALSE(parseTime("2024-04-31T00:00:00Z", out));
  CHECK(out == at(42));
}

TEST_CASE("Given text that is no RFC 3339 time, when read, then it is refused and the output is left alone") {
  for (const char* wrong : {"",
                            "Z",
                            "now",
                            "2026",
                            "2026-11-24",
                            "2026-11-24T12:00Z",
                            "2026-11-24T12:00:00",
                            "2026-11-24T12:00:00.Z",
                            "2026-11-24T12:00:00,5Z",
                            "2026-11-24T24:00:00Z",
                            "2026-11-24T12:60:00Z",
                            "2026-11-24T12:00:61Z",
                            "2026-00-24T12:00:00Z",
                            "2026-13-24T12:00:00Z",
                            "2026-11-00T12:00:00Z",
                            "2026-11-32T12:00:00Z",
                            "2026-11-24T12:00:00+5:30",
                            "2026-11-24T12:00:00+0530",
                            "2026-11-24T12:00:00+24:00",
                            "2026-11-24T12:00:00+05:60",
                            "2026-11-24T12:00:00Z ",
                            " 2026-11-24T12:00:00Z",
                            "2026-11-24T12:00:00ZZ",
                            "+026-11-24T12:00:00Z",
                            "-026-11-24T12:00:00Z",
                            "20261-1-24T12:00:00Z",
                            "2026-1-24T12:00:00Z",
                            "2026-11-24_12:00:00Z",
                            "2026-11-24T12:00:00 Z",
                            "2026-11-24T1 :00:00Z",
                            "2026-11-24T12:00:00+"}) {
    WallTime out = at(42);
    INFO("\"" << wrong << "\"");
    CHECK_FALSE(parseTime(wrong, out));
    CHECK(out == at(42));
  }
}

TEST_CASE("Given a valid time, when it is cut at any byte or a byte is NUL, then it is refused") {
  const std::string whole = "2026-11-24T12:00:00.123+05:30";
  WallTime out = at(42);
  for (std::size_t length = 0; length < whole.size(); ++length) CHECK_FALSE(parseTime(whole.substr(0, length), out));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = '\0';
    CHECK_FALSE(parseTime(changed, out));
  }
  CHECK_FALSE(parseTime(whole + '\0', out));
  CHECK(out == at(42));
}

}  // namespace
}  // namespace rollback
