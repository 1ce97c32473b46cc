#include "mover/normalise.h"

#include <array>
#include <cctype>

namespace rollback::mover {
namespace {

// Type names of more than one word, as format_type() prints them.
constexpr std::array<std::string_view, 3> kTwoWords = {"character varying", "double precision", "bit varying"};
constexpr std::array<std::string_view, 2> kZones = {" without time zone", " with time zone"};

bool isWord(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '$' || (c & 0x80);
}

bool startsAt(std::string_view text, std::size_t at, std::string_view what) {
  return text.substr(at, what.size()) == what;
}

// Past a quoted run that begins at `at` (its quote doubled inside).
std::size_t pastQuoted(std::string_view text, std::size_t at) {
  const char quote = text[at++];
  while (at < text.size()) {
    if (text[at] == quote) {
      if (at + 1 >= text.size() || text[at + 1] != quote) return at + 1;
      ++at;
    }
    ++at;
  }
  return at;
}

// Past the type name that follows "::".
std::size_t pastType(std::string_view text, std::size_t at) {
  bool named = false;
  for (const auto words : kTwoWords)
    if (!named && startsAt(text, at, words)) {
      at += words.size();
      named = true;
    }
  while (!named && at < text.size() && (text[at] == '"' || isWord(text[at])))
    at = text[at] == '"' ? pastQuoted(text, at) : at + 1;
  if (at < text.size() && text[at] == '(') {
    std::size_t end = at + 1;
    while (end < text.size() &&
           (std::isdigit(static_cast<unsigned char>(text[end])) || text[end] == ',' || text[end] == '-'))
      ++end;
    if (end < text.size() && text[end] == ')') at = end + 1;
  }
  for (const auto zone : kZones)
    if (startsAt(text, at, zone)) at += zone.size();
  while (startsAt(text, at, "[]")) at += 2;
  return at;
}

}  // namespace

std::string normalise(std::string_view expression) {
  std::string out;
  for (std::size_t at = 0; at < expression.size();) {
    const char c = expression[at];
    if (c == '\'' || c == '"') {
      const std::size_t end = pastQuoted(expression, at);
      out += expression.substr(at, end - at);
      at = end;
    } else if (startsAt(expression, at, "::")) {
      at = pastType(expression, at + 2);
    } else {
      if (c != '(' && c != ')' && !std::isspace(static_cast<unsigned char>(c))) out += c;
      ++at;
    }
  }
  return out;
}

}  // namespace rollback::mover
