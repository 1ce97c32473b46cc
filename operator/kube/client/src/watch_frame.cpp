#include "watch_frame.h"

#include <string>

namespace rollback::kube {

namespace {

// Walks the members of one object. Every function leaves `at` behind what it read; npos stands for malformed.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  char next() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r' || text_[at_] == '\n'))
      ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  bool take(char wanted) {
    if (next() != wanted) return false;
    ++at_;
    return true;
  }

  // The bytes between the quotes, escapes left as they are.
  bool string(std::string_view& out) {
    if (!take('"')) return false;
    const std::size_t begin = at_;
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\') {
        ++at_;
      } else if (text_[at_] == '"') {
        out = text_.substr(begin, at_++ - begin);
        return true;
      }
    }
    return false;
  }

  // Any value, as the text it takes. Brackets are counted, not matched by kind.
  bool value(std::string_view& out) {
    next();
    const std::size_t begin = at_;
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        std::string_view skipped;
        if (!string(skipped)) return false;
        if (depth == 0) break;
        continue;
      }
      if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        if (depth == 0) break;  // the end of a bare literal
        if (--depth == 0) {
          ++at_;
          break;
        }
      } else if (c == ',' && depth == 0) {
        break;
      }
      ++at_;
    }
    out = text_.substr(begin, at_ - begin);
    return depth == 0 && !out.empty();
  }

  bool atEnd() { return next() == '\0' && at_ == text_.size(); }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Result<WatchFrame> readWatchFrame(std::string_view line) {
  const Error malformed{ErrorCode::Protocol,
                        "a line of " + std::to_string(line.size()) + " bytes in the watch stream is no watch event"};
  Scanner scan(line);
  WatchFrame frame;
  if (!scan.take('{')) return malformed;
  if (!scan.take('}')) {
    do {
      std::string_view key, value;
      if (!scan.string(key) || !scan.take(':') || !scan.value(value)) return malformed;
      if (key == "object") frame.object = value;
      if (key == "type" && value.size() >= 2 && value.front() == '"') frame.type = value.substr(1, value.size() - 2);
    } while (scan.take(','));
    if (!scan.take('}')) return malformed;
  }
  if (!scan.atEnd() || frame.type.empty() || frame.object.empty() || frame.object.front() != '{') return malformed;
  return frame;
}

}  // namespace rollback::kube
