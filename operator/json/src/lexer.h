// Lexer: the tokens of RFC 8259, one after another. What a projection walks on; it never copies what is not asked for.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rollback::json {

// The document outlives it. Each read returns false at the first thing that is wrong and keeps what that was.
class Lexer {
 public:
  explicit Lexer(std::string_view document) : text_(document) {}

  // The next byte that is no blank, without taking it; '\0' at the end (a NUL itself begins no token).
  char peek();
  // Takes `expected` if it comes next.
  bool take(char expected);
  bool atEnd();

  // A string, checked but not decoded.
  bool skipString();
  // A string. `out` points into the document, or into `decoded` if there were escapes.
  bool readString(std::string& decoded, std::string_view& out);
  // A number, true, false or null; `out` points into the document.
  bool readLiteral(std::string_view& out);

  bool fail(const char* what);
  Error error() const;

 private:
  bool string(std::string* decoded, std::string_view* out);
  bool escape(std::string* decoded);
  bool number();
  bool digits();
  bool hex(unsigned& unit);
  bool utf8Sequence();
  unsigned char at(std::size_t position) const;

  std::string_view text_;
  std::size_t at_ = 0;
  const char* wrong_ = nullptr;  // the first thing that was wrong
  std::size_t wrongAt_ = 0;
};

}  // namespace rollback::json
