#include "api/duration.h"

#include <charconv>
#include <string>

namespace rollback::api {

Result<std::chrono::seconds> parseDuration(std::string_view text) {
  const auto bad = [&] { return Error{ErrorCode::BadInput, "\"" + std::string(text) + "\" is not a duration like 24h, 1h30m or 90s"}; };
  if (text.empty()) return bad();
  double seconds = 0;
  for (std::string_view rest = text; !rest.empty();) {
    double number = 0;
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (parsed.ec != std::errc() || number < 0) return bad();
    rest.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest.data()));
    double unit = 0;
    if (rest.rfind("ms", 0) == 0) {
      unit = 0.001;
      rest.remove_prefix(2);
    } else if (!rest.empty() && (rest[0] == 's' || rest[0] == 'm' || rest[0] == 'h')) {
      unit = rest[0] == 's' ? 1 : rest[0] == 'm' ? 60 : 3600;
      rest.remove_prefix(1);
    } else {
      return bad();
    }
    seconds += number * unit;
  }
  if (seconds > 100.0 * 366 * 86400) return bad();
  return std::chrono::seconds(static_cast<std::int64_t>(seconds));
}

}  // namespace rollback::api
