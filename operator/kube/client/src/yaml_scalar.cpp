#include "yaml_scalar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <locale>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

namespace rollback::kube {

namespace {

using nlohmann::json;

bool oneOf(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* word) { return text == word; });
}

// The C locale's, whatever the program's is.
std::optional<double> parseFloat(const std::string& text) {
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  double value = 0;
  if (!(in >> value) || in.peek() != std::istringstream::traits_type::eof() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

json number(double value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: integers beyond it are not exact anyway
  if (value == std::floor(value) && std::abs(value) <= kExact) return std::int64_t(value);
  return value;
}

// [-+]? (digits? '.' digits | digits ['.' digits?]) ([eE] [-+]? digits)?
bool floatSyntax(std::string_view text) {
  const auto digits = [&] {
    const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
    text.remove_prefix(count);
    return count;
  };
  const auto take = [&](const char* any) {
    if (text.empty() || std::string_view(any).find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
  };
  take("+-");
  const std::size_t before = digits();
  const std::size_t after = take(".") ? digits() : 0;
  if (before + after == 0) return false;
  if (take("eE")) {
    take("+-");
    if (digits() == 0) return false;
  }
  return text.empty();
}

struct Integer {
  enum class Outcome { No, Yes, TooBig } outcome = Outcome::No;
  json value{};
};

// As Go's ParseInt with base 0: the prefix names the base, a bare leading 0 means octal.
Integer parseInteger(const std::string& text) {
  std::string_view digits = text;
  const bool negative = !digits.empty() && digits.front() == '-';
  if (!digits.empty() && (digits.front() == '-' || digits.front() == '+')) digits.remove_prefix(1);
  int base = 10;
  const auto prefixed = [&](char lower, char upper) {
    return digits.size() > 1 && digits[0] == '0' && (digits[1] == lower || digits[1] == upper);
  };
  if (prefixed('x', 'X') || prefixed('o', 'O') || prefixed('b', 'B')) {
    base = prefixed('x', 'X') ? 16 : prefixed('o', 'O') ? 8 : 2;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0') {
    base = 8;
    digits.remove_prefix(1);
  }
  std::uint64_t value = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (digits.empty() || end != digits.data() + digits.size() || fault == std::errc::invalid_argument) return {};
  constexpr std::uint64_t kMin = std::uint64_t(1) << 63;  // magnitude of the smallest int64
  if (fault == std::errc::result_out_of_range || (negative && value > kMin)) return {Integer::Outcome::TooBig};
  if (negative) return {Integer::Outcome::Yes, json(value == kMin ? INT64_MIN : -std::int64_t(value))};
  return {Integer::Outcome::Yes, json(value)};
}

}  // namespace

Result<json> resolvePlainScalar(const std::string& text) {
  if (oneOf(text, {"", "~", "null", "Null", "NULL"})) return json(nullptr);
  if (oneOf(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) return json(true);
  if (oneOf(text, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) return json(false);
  if (oneOf(text,
            {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"})) {
    return Error{ErrorCode::BadInput, "'" + text + "' has no JSON form; quote it if it is meant as text"};
  }
  const char first = text.front();
  if (first == '.') {
    const auto value = parseFloat(text);
    return value ? number(*value) : json(text);
  }
  if (first != '+' && first != '-' && !(first >= '0' && first <= '9')) return json(text);

  std::string plain = text;
  plain.erase(std::remove(plain.begin(), plain.end(), '_'), plain.end());
  Integer integer = parseInteger(plain);
  if (integer.outcome == Integer::Outcome::Yes) return std::move(integer.value);
  if (integer.outcome == Integer::Outcome::TooBig) {
    return Error{ErrorCode::BadInput, "an integer does not fit into 64 bits; quote it if it is meant as text"};
  }
  if (floatSyntax(plain)) {
    if (const auto value = parseFloat(plain)) return number(*value);
  }
  return json(text);
}

}  // namespace rollback::kube
