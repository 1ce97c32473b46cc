#include "api/duration.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>

namespace rollback::api {
namespace {

constexpr std::int64_t kMost = std::int64_t{100} * 366 * 86400 * 1000;  // 100 years in milliseconds

}  // namespace

Result<std::chrono::seconds> parseDuration(std::string_view text) {
  const auto bad = [&] {
    return Error{ErrorCode::BadInput, "\"" + std::string(text) + "\" is not a duration like 24h, 1h30m or 90s"};
  };
  if (text.empty()) return bad();
  std::int64_t millis = 0;
  for (std::string_view rest = text; !rest.empty();) {
    double number = 0;
    if (rest[0] != '.' && !std::isdigit(static_cast<unsigned char>(rest[0])))
      return bad();  // from_chars knows "inf" and "nan" too
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (parsed.ec != std::errc()) return bad();
    rest.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest.data()));
    double unit = 0;  // milliseconds
    if (rest.rfind("ms", 0) == 0) {
      unit = 1;
      rest.remove_prefix(2);
    } else if (!rest.empty() && (rest[0] == 's' || rest[0] == 'm' || rest[0] == 'h')) {
      unit = rest[0] == 's' ? 1e3 : rest[0] == 'm' ? 6e4 : 3.6e6;
      rest.remove_prefix(1);
    } else {
      return bad();
    }
    if (number * unit > static_cast<double>(kMost)) return bad();
    millis += std::llround(number * unit);
    if (millis > kMost) return bad();
  }
  return std::chrono::seconds(millis / 1000);
}

}  // namespace rollback::api
