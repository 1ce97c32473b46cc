// Walks the document once, following all paths that still match at the same time, and steps over every subtree no path
// leads into without decoding it.
#include "json/projection.h"

#include <charconv>

#include "lexer.h"

namespace rollback::json {
namespace {

constexpr std::size_t maxDepth = 128;

using Path = std::vector<std::string>;
using Alive = std::vector<std::size_t>;  // indexes of the paths that lead to, or through, where the walk is

class Walk {
 public:
  Walk(std::string_view document, const std::vector<Path>& paths, const Projection::OnValue& onValue)
      : lexer_(document), paths_(paths), onValue_(onValue) {}

  Result<void> run() {
    Alive all(paths_.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    const bool whole = value(all) && (lexer_.atEnd() || lexer_.fail("something follows its end"));
    return whole ? Result<void>{} : lexer_.error();
  }

 private:
  bool value(const Alive& alive) {
    switch (lexer_.peek()) {
      case '{':
        return object(alive);
      case '[':
        return array(alive);
      case '"': {
        std::string_view text;
        if (!lexer_.readString(decoded_, text)) return false;
        report(alive, {Value::Kind::String, text});
        return true;
      }
      default: {
        std::string_view text;
        if (!lexer_.readLiteral(text)) return false;
        const Value::Kind kind = text == "null"                      ? Value::Kind::Null
                                 : text == "true" || text == "false" ? Value::Kind::Boolean
                                                                     : Value::Kind::Number;
        report(alive, {kind, text});
        return true;
      }
    }
  }

  bool object(const Alive& alive) {
    if (trail_.size() == maxDepth) return lexer_.fail("it is nested too deeply");
    lexer_.take('{');
    if (lexer_.take('}')) return true;
    do {
      std::string_view name;
      if (!lexer_.readString(decoded_, name)) return false;
      Alive next;
      for (const std::size_t each : alive) {
        const Path& path = paths_[each];
        if (trail_.size() < path.size() && (path[trail_.size()] == "*" || path[trail_.size()] == name)) {
          next.push_back(each);
        }
      }
      std::string segment = next.empty() ? std::string() : std::string(name);
      if (!lexer_.take(':')) return lexer_.fail("a member has no value");
      if (!child(next, std::move(segment))) return false;
    } while (lexer_.take(','));
    return lexer_.take('}') || lexer_.fail("an object is not closed");
  }

  bool array(const Alive& alive) {
    if (trail_.size() == maxDepth) return lexer_.fail("it is nested too deeply");
    lexer_.take('[');
    if (lexer_.take(']')) return true;
    Alive next;
    for (const std::size_t each : alive) {
      if (trail_.size() < paths_[each].size() && paths_[each][trail_.size()] == "*") next.push_back(each);
    }
    std::size_t index = 0;
    do {
      if (!child(next, next.empty() ? std::string() : std::to_string(index))) return false;
      ++index;
    } while (lexer_.take(','));
    return lexer_.take(']') || lexer_.fail("an array is not closed");
  }

  bool child(const Alive& next, std::string segment) {
    if (next.empty()) return skip(trail_.size() + 1);
    trail_.push_back(std::move(segment));
    const bool read = value(next);
    trail_.pop_back();
    return read;
  }

  // Over one value that is inside of `depth` containers; strings are only searched for their end.
  bool skip(std::size_t depth) {
    const char first = lexer_.peek();
    if (first == '"') return lexer_.skipString();
    if (first != '{' && first != '[') {
      std::string_view text;
      return lexer_.readLiteral(text);
    }
    if (depth == maxDepth) return lexer_.fail("it is nested too deeply");
    const char closer = first == '{' ? '}' : ']';
    lexer_.take(first);
    if (lexer_.take(closer)) return true;
    do {
      if (first == '{' && (!lexer_.skipString() || !lexer_.take(':'))) return lexer_.fail("a member has no value");
      if (!skip(depth + 1)) return false;
    } while (lexer_.take(','));
    return lexer_.take(closer) || lexer_.fail("an object or array is not closed");
  }

  void report(const Alive& alive, const Value& value) {
    for (const std::size_t each : alive) {
      const Path& path = paths_[each];
      if (path.size() != trail_.size()) continue;
      std::vector<std::string> wild;
      for (std::size_t i = 0; i < path.size(); ++i) {
        if (path[i] == "*") wild.push_back(trail_[i]);
      }
      onValue_(each, wild, value);
    }
  }

  Lexer lexer_;
  const std::vector<Path>& paths_;
  const Projection::OnValue& onValue_;
  Path trail_;           // the member names and indexes that lead to the present value
  std::string decoded_;  // the string read last, if it had escapes
};

}  // namespace

std::int64_t Value::integer(std::int64_t otherwise) const {
  std::int64_t out = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, out);
  return kind == Kind::Number && parsed.ec == std::errc() && parsed.ptr == end ? out : otherwise;
}

bool Value::boolean(bool otherwise) const { return kind == Kind::Boolean ? text == "true" : otherwise; }

Projection::Projection(std::vector<std::string> paths) {
  for (const std::string& path : paths) {
    Path segments(1);
    for (const char each : path) {
      if (each == '.') {
        segments.emplace_back();
      } else {
        segments.back() += each;
      }
    }
    paths_.push_back(std::move(segments));
  }
}

Result<void> Projection::decode(std::string_view document, const OnValue& onValue) const {
  return Walk(document, paths_, onValue).run();
}

}  // namespace rollback::json
