// A pull scanner: walks the document once, following all paths that still match at the same time (a bit each), and steps over
// every subtree no path leads into without decoding it.
#include "json/projection.h"

#include <charconv>

namespace rollback::json {
namespace {

constexpr int kMaxDepth = 128;

Error malformed(const char* what, std::size_t at) {
  return Error{ErrorCode::Protocol, std::string("not JSON: ") + what + " at byte " + std::to_string(at)};
}

class Scanner {
 public:
  Scanner(std::string_view text, const std::vector<std::vector<std::string>>& paths, const Projection::OnValue& onValue)
      : text_(text), paths_(paths), onValue_(onValue) {}

  Result<void> run() {
    std::vector<std::size_t> all(paths_.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    if (auto r = value(all, 0); !r) return r;
    space();
    if (at_ != text_.size()) return malformed("something follows its end", at_);
    return {};
  }

 private:
  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  // `alive`: paths whose first `depth` segments matched.
  Result<void> value(const std::vector<std::size_t>& alive, std::size_t depth) {
    if (depth > kMaxDepth) return malformed("it is nested too deeply", at_);
    space();
    if (at_ >= text_.size()) return malformed("it ends early", at_);
    switch (text_[at_]) {
      case '{': return object(alive, depth);
      case '[': return array(alive, depth);
      default: return scalar(alive, depth);
    }
  }

  // The paths of `alive` whose segment at `depth` is `name` or "*"; `star` says whether any was a star.
  std::vector<std::size_t> narrow(const std::vector<std::size_t>& alive, std::size_t depth, std::string_view name, bool starOnly) const {
    std::vector<std::size_t> out;
    for (const std::size_t p : alive)
      if (depth < paths_[p].size() && (paths_[p][depth] == "*" || (!starOnly && paths_[p][depth] == name))) out.push_back(p);
    return out;
  }

  Result<void> object(const std::vector<std::size_t>& alive, std::size_t depth) {
    ++at_;
    if (take('}')) return {};
    for (;;) {
      space();
      auto name = string(true);
      if (!name) return name.error();
      const std::string member = std::move(*name);
      if (!take(':')) return malformed("a member has no value", at_);
      if (auto r = child(narrow(alive, depth, member, false), depth, member); !r) return r;
      if (take(',')) continue;
      if (take('}')) return {};
      return malformed("an object is not closed", at_);
    }
  }

  Result<void> array(const std::vector<std::size_t>& alive, std::size_t depth) {
    ++at_;
    if (take(']')) return {};
    for (std::size_t index = 0;; ++index) {
      const auto next = narrow(alive, depth, {}, true);
      if (auto r = child(next, depth, next.empty() ? std::string() : std::to_string(index)); !r) return r;
      if (take(',')) continue;
      if (take(']')) return {};
      return malformed("an array is not closed", at_);
    }
  }

  Result<void> child(const std::vector<std::size_t>& next, std::size_t depth, const std::string& segment) {
    if (next.empty()) return skip(depth + 1);
    trail_.push_back(segment);
    auto result = value(next, depth + 1);
    trail_.pop_back();
    return result;
  }

  Result<void> scalar(const std::vector<std::size_t>& alive, std::size_t depth) {
    Value v;
    std::string decoded;
    const char c = text_[at_];
    if (c == '"') {
      auto s = string(true);
      if (!s) return s.error();
      decoded = std::move(*s);
      v.kind = Value::Kind::String;
      v.text = decoded;
    } else {
      const std::size_t from = at_;
      if (auto r = literal(); !r) return r;
      v.text = text_.substr(from, at_ - from);
      v.kind = c == 't' || c == 'f' ? Value::Kind::Boolean : c == 'n' ? Value::Kind::Null : Value::Kind::Number;
    }
    for (const std::size_t p : alive) {
      if (paths_[p].size() != depth) continue;
      std::vector<std::string> wild;
      for (std::size_t i = 0; i < depth; ++i)
        if (paths_[p][i] == "*") wild.push_back(trail_[i]);
      onValue_(p, wild, v);
    }
    return {};
  }

  Result<void> literal() {
    for (const std::string_view word : {"true", "false", "null"})
      if (text_.compare(at_, word.size(), word) == 0) {
        at_ += word.size();
        return {};
      }
    return number();
  }

  // The grammar of RFC 8259 §6.
  Result<void> number() {
    const auto digit = [&] { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; };
    const std::size_t from = at_;
    if (at_ < text_.size() && text_[at_] == '-') ++at_;
    if (!digit()) return malformed("a value is neither string, number, literal nor container", from);
    if (text_[at_] == '0') ++at_;
    else
      while (digit()) ++at_;
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      if (!digit()) return malformed("a number ends in its point", from);
      while (digit()) ++at_;
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (!digit()) return malformed("a number has no exponent", from);
      while (digit()) ++at_;
    }
    return {};
  }

  // Steps over one value; strings are only searched for their end.
  Result<void> skip(std::size_t depth) {
    space();
    if (at_ >= text_.size()) return malformed("it ends early", at_);
    if (depth > kMaxDepth) return malformed("it is nested too deeply", at_);
    const char c = text_[at_];
    if (c == '"') {
      auto s = string(false);
      if (!s) return s.error();
      return {};
    }
    if (c != '{' && c != '[') return literal();
    const char close = c == '{' ? '}' : ']';
    ++at_;
    if (take(close)) return {};
    for (;;) {
      if (c == '{') {
        space();
        auto name = string(false);
        if (!name) return name.error();
        if (!take(':')) return malformed("a member has no value", at_);
      }
      if (auto r = skip(depth + 1); !r) return r;
      if (take(',')) continue;
      if (take(close)) return {};
      return malformed("a container is not closed", at_);
    }
  }

  // At an opening quote: the string, decoded if `decode`.
  Result<std::string> string(bool decode) {
    if (at_ >= text_.size() || text_[at_] != '"') return malformed("a string was expected", at_);
    ++at_;
    std::string out;
    for (;;) {
      std::size_t stop = at_;
      while (stop < text_.size() && text_[stop] != '"' && text_[stop] != '\\' && static_cast<unsigned char>(text_[stop]) >= 0x20) ++stop;
      if (stop >= text_.size()) return malformed("a string is not closed", at_);
      if (decode) out.append(text_.substr(at_, stop - at_));
      at_ = stop + 1;
      if (text_[stop] == '"') return out;
      if (text_[stop] != '\\') return malformed("a control character in a string", stop);
      if (at_ >= text_.size()) return malformed("a string is not closed", at_);
      const char c = text_[at_++];
      switch (c) {
        case '"': case '\\': case '/': out += c; break;
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'n': out += '\n'; break;
        case 'r': out += '\r'; break;
        case 't': out += '\t'; break;
        case 'u': {
          unsigned unit = 0, low = 0;
          if (!hex4(unit)) return malformed("a \\u escape is not four digits", at_);
          if (unit >= 0xDC00 && unit <= 0xDFFF) return malformed("a low surrogate stands alone", at_);
          if (unit >= 0xD800 && unit <= 0xDBFF) {
            if (text_.compare(at_, 2, "\\u") != 0) return malformed("a high surrogate stands alone", at_);
            at_ += 2;
            if (!hex4(low) || low < 0xDC00 || low > 0xDFFF) return malformed("a surrogate pair is broken", at_);
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
          }
          if (decode) utf8(unit, out);
          break;
        }
        default: return malformed("an unknown escape", at_ - 1);
      }
    }
  }

  bool hex4(unsigned& out) {
    if (at_ + 4 > text_.size()) return false;
    const char* from = text_.data() + at_;
    const auto parsed = std::from_chars(from, from + 4, out, 16);
    if (parsed.ec != std::errc() || parsed.ptr != from + 4) return false;
    at_ += 4;
    return true;
  }

  static void utf8(unsigned code, std::string& out) {
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xC0 | (code >> 6));
      out += static_cast<char>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      out += static_cast<char>(0xE0 | (code >> 12));
      out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
      out += static_cast<char>(0x80 | (code & 0x3F));
    } else {
      out += static_cast<char>(0xF0 | (code >> 18));
      out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
      out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
      out += static_cast<char>(0x80 | (code & 0x3F));
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  const std::vector<std::vector<std::string>>& paths_;
  const Projection::OnValue& onValue_;
  std::vector<std::string> trail_;  // the member names and indexes around the present value
};

}  // namespace

std::int64_t Value::integer(std::int64_t otherwise) const {
  std::int64_t out = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  return kind == Kind::Number && parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() ? out : otherwise;
}

bool Value::boolean(bool otherwise) const { return kind == Kind::Boolean ? text == "true" : otherwise; }

Projection::Projection(std::vector<std::string> paths) {
  for (const auto& path : paths) {
    std::vector<std::string> segments;
    std::size_t from = 0;
    for (;;) {
      const auto dot = path.find('.', from);
      segments.push_back(path.substr(from, dot == std::string::npos ? dot : dot - from));
      if (dot == std::string::npos) break;
      from = dot + 1;
    }
    paths_.push_back(std::move(segments));
  }
}

Result<void> Projection::decode(std::string_view document, const OnValue& onValue) const { return Scanner(document, paths_, onValue).run(); }

}  // namespace rollback::json
