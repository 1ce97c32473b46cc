#include "lexer.h"

namespace rollback::json {
namespace {

// Bytes of a string that need no look: all but quotes, backslashes, control characters and those above ASCII.
bool isPlain(unsigned char each) { return each >= 0x20 && each < 0x80 && each != '"' && each != '\\'; }

bool isDigit(unsigned char each) { return each >= '0' && each <= '9'; }

void appendUtf8(unsigned code, std::string& out) {
  const auto tail = [&](unsigned shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace

bool Lexer::fail(const char* what) {
  if (wrong_ == nullptr) {
    wrong_ = what;
    wrongAt_ = at_;
  }
  return false;
}

Error Lexer::error() const {
  return Error{ErrorCode::Protocol, std::string("reading JSON: ") + (wrong_ != nullptr ? wrong_ : "it is malformed") +
                                        " at byte " + std::to_string(wrongAt_) + " of " + std::to_string(text_.size())};
}

unsigned char Lexer::at(std::size_t position) const {
  return position < text_.size() ? static_cast<unsigned char>(text_[position]) : 0;
}

char Lexer::peek() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
    ++at_;
  }
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool Lexer::take(char expected) {
  if (peek() != expected) return false;
  ++at_;
  return true;
}

bool Lexer::atEnd() {
  peek();
  return at_ == text_.size();
}

bool Lexer::skipString() { return string(nullptr, nullptr); }

bool Lexer::readString(std::string& decoded, std::string_view& out) {
  decoded.clear();
  return string(&decoded, &out);
}

bool Lexer::string(std::string* decoded, std::string_view* out) {
  if (!take('"')) return fail("a string was expected");
  const std::size_t first = at_;
  std::size_t copied = at_;  // what is before it is in *decoded
  bool escaped = false;
  while (true) {
    while (at_ < text_.size() && isPlain(static_cast<unsigned char>(text_[at_]))) ++at_;
    if (at_ == text_.size()) return fail("a string is not closed");
    const unsigned char next = at(at_);
    if (next == '"') break;
    if (next < 0x20) return fail("a string holds a control character");
    if (next != '\\') {
      if (!utf8Sequence()) return fail("a string is not UTF-8");
      continue;
    }
    escaped = true;
    if (decoded != nullptr) decoded->append(text_.substr(copied, at_ - copied));
    ++at_;
    if (!escape(decoded)) return false;
    copied = at_;
  }
  if (out != nullptr) {
    if (escaped) {
      *out = decoded->append(text_.substr(copied, at_ - copied));
    } else {
      *out = text_.substr(first, at_ - first);
    }
  }
  ++at_;
  return true;
}

// After the backslash.
bool Lexer::escape(std::string* decoded) {
  unsigned code = 0;
  switch (at(at_)) {
    case '"':
      code = '"';
      break;
    case '\\':
      code = '\\';
      break;
    case '/':
      code = '/';
      break;
    case 'b':
      code = '\b';
      break;
    case 'f':
      code = '\f';
      break;
    case 'n':
      code = '\n';
      break;
    case 'r':
      code = '\r';
      break;
    case 't':
      code = '\t';
      break;
    case 'u': {
      ++at_;
      if (!hex(code)) return false;
      if (code >= 0xDC00 && code <= 0xDFFF) return fail("a low surrogate stands alone");
      if (code >= 0xD800 && code <= 0xDBFF) {
        unsigned low = 0;
        if (at(at_) != '\\' || at(at_ + 1) != 'u') return fail("a high surrogate stands alone");
        at_ += 2;
        if (!hex(low)) return false;
        if (low < 0xDC00 || low > 0xDFFF) return fail("a high surrogate stands alone");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      }
      if (decoded != nullptr) appendUtf8(code, *decoded);
      return true;
    }
    default:
      return fail("a backslash begins no escape");
  }
  ++at_;
  if (decoded != nullptr) *decoded += static_cast<char>(code);
  return true;
}

bool Lexer::hex(unsigned& unit) {
  unit = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const unsigned char next = at(at_);
    const unsigned char lower = next | 0x20;
    if (isDigit(next)) {
      unit = unit * 16 + (next - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      unit = unit * 16 + (lower - 'a' + 10);
    } else {
      return fail("a \\u escape has not four hexadecimal digits");
    }
  }
  return true;
}

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool Lexer::utf8Sequence() {
  const unsigned char lead = at(at_);
  const unsigned char second = at(at_ + 1);
  const int tails = lead >= 0xC2 && lead <= 0xDF   ? 1
                    : lead >= 0xE0 && lead <= 0xEF ? 2
                    : lead >= 0xF0 && lead <= 0xF4 ? 3
                                                   : 0;
  const bool outside = tails == 0 || (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
                       (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F);
  if (outside) return false;
  for (int i = 1; i <= tails; ++i) {
    if ((at(at_ + i) & 0xC0) != 0x80) return false;
  }
  at_ += tails + 1;
  return true;
}

bool Lexer::readLiteral(std::string_view& out) {
  peek();
  const std::size_t first = at_;
  for (const std::string_view word : {"true", "false", "null"}) {
    if (text_.compare(at_, word.size(), word) != 0) continue;
    at_ += word.size();
    out = word;
    return true;
  }
  if (!number()) return false;
  out = text_.substr(first, at_ - first);
  return true;
}

bool Lexer::digits() {
  const std::size_t first = at_;
  while (isDigit(at(at_))) ++at_;
  return at_ != first;
}

// RFC 8259 section 6
bool Lexer::number() {
  if (at(at_) == '-') ++at_;
  if (at(at_) == '0') {
    ++at_;
  } else if (!digits()) {
    return fail(at_ == text_.size() ? "it ends early" : "neither a value nor a bracket");
  }
  if (at(at_) == '.') {
    ++at_;
    if (!digits()) return fail("a number ends in its point");
  }
  if (at(at_) == 'e' || at(at_) == 'E') {
    ++at_;
    if (at(at_) == '+' || at(at_) == '-') ++at_;
    if (!digits()) return fail("a number's exponent has no digits");
  }
  return true;
}

}  // namespace rollback::json
