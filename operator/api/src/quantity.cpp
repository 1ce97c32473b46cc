#include "api/quantity.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

namespace rollback::api {

Result<std::int64_t> parseQuantity(std::string_view text) {
  const auto bad = [&] {
    return Error{ErrorCode::BadInput, "\"" + std::string(text) + "\" is not a quantity of bytes like 20Gi or 500M"};
  };
  if (text.empty() || (text[0] != '.' && !std::isdigit(static_cast<unsigned char>(text[0]))))
    return bad();          // no sign, "inf" or "nan"
  long double number = 0;  // 64 bits of it are exact: every whole number below the limit is
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc()) return bad();
  const std::string_view suffix(parsed.ptr, static_cast<std::size_t>(text.data() + text.size() - parsed.ptr));
  static constexpr std::array<std::pair<std::string_view, long double>, 14> units{{{"", 1.0L},
                                                                                   {"m", 0.001L},
                                                                                   {"k", 1e3L},
                                                                                   {"M", 1e6L},
                                                                                   {"G", 1e9L},
                                                                                   {"T", 1e12L},
                                                                                   {"P", 1e15L},
                                                                                   {"E", 1e18L},
                                                                                   {"Ki", 1024.0L},
                                                                                   {"Mi", 1048576.0L},
                                                                                   {"Gi", 1073741824.0L},
                                                                                   {"Ti", 1099511627776.0L},
                                                                                   {"Pi", 1125899906842624.0L},
                                                                                   {"Ei", 1152921504606846976.0L}}};
  for (const auto& [name, factor] : units)
    if (suffix == name) {
      const long double bytes = std::ceil(number * factor);
      if (bytes > 4611686018427387904.0L) return bad();
      return static_cast<std::int64_t>(bytes);
    }
  return bad();
}

}  // namespace rollback::api
