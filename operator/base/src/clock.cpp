#include "base/clock.h"

#include <array>
#include <cctype>
#include <cstdio>
#include <ctime>

namespace rollback {
namespace {

class SystemClock final : public Clock {
 public:
  WallTime wall() const override { return std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now()); }
  MonoTime now() const override {
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    return MonoTime(Millis(static_cast<std::int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000));
  }
};

// Counted in milliseconds throughout: std::time_t and std::system_clock's nanoseconds end in the year 2262.
std::string format(WallTime time, bool micro) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  std::string out = text.data();
  if (micro) {
    std::snprintf(text.data(), text.size(), ".%03d000", static_cast<int>(clock.subseconds().count()));
    out += text.data();
  }
  return out + "Z";
}

// Reads exactly `digits` decimal digits at `at`; -1 if they are not there.
int number(const std::string& text, std::size_t& at, int digits) {
  int value = 0;
  for (int i = 0; i < digits; ++i, ++at) {
    if (at >= text.size() || !std::isdigit(static_cast<unsigned char>(text[at]))) return -1;
    value = value * 10 + (text[at] - '0');
  }
  return value;
}

bool literal(const std::string& text, std::size_t& at, const char* accepted) {
  if (at >= text.size()) return false;
  for (const char* c = accepted; *c; ++c)
    if (text[at] == *c) {
      ++at;
      return true;
    }
  return false;
}

}  // namespace

const Clock& systemClock() {
  static const SystemClock clock;
  return clock;
}

std::string formatTime(WallTime time) { return format(time, false); }
std::string formatMicroTime(WallTime time) { return format(time, true); }

bool parseTime(const std::string& text, WallTime& out) {
  std::size_t at = 0;
  const int year = number(text, at, 4);
  if (year < 0 || !literal(text, at, "-")) return false;
  const int month = number(text, at, 2);
  if (month < 1 || month > 12 || !literal(text, at, "-")) return false;
  const int day = number(text, at, 2);
  if (day < 1 || !literal(text, at, "Tt ")) return false;
  const int hour = number(text, at, 2);
  if (hour < 0 || hour > 23 || !literal(text, at, ":")) return false;
  const int minute = number(text, at, 2);
  if (minute < 0 || minute > 59 || !literal(text, at, ":")) return false;
  const int second = number(text, at, 2);
  if (second < 0 || second > 60) return false;
  int millis = 0;
  if (literal(text, at, ".")) {
    int weight = 100;
    bool any = false;
    for (; at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])); ++at, weight /= 10, any = true)
      millis += (text[at] - '0') * weight;
    if (!any) return false;
  }
  int offset = 0;
  if (!literal(text, at, "Zz")) {
    const bool east = at < text.size() && text[at] == '+';
    if (!literal(text, at, "+-")) return false;
    const int hours = number(text, at, 2);
    if (hours < 0 || hours > 23 || !literal(text, at, ":")) return false;
    const int minutes = number(text, at, 2);
    if (minutes < 0 || minutes > 59) return false;
    offset = (hours * 60 + minutes) * (east ? 60 : -60);
  }
  if (at != text.size()) return false;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return false;
  out = std::chrono::time_point_cast<Millis>(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
        std::chrono::minutes(minute) + std::chrono::seconds(second) + Millis(millis) - std::chrono::seconds(offset);
  return true;
}

}  // namespace rollback
