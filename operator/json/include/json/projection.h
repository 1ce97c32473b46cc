// Projecting decoder: walks one JSON document once and hands over only the values at the paths asked for; subtrees
// nobody asked for are skipped undecoded. A cached Deployment costs the fields kept, not the document.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rollback::json {

// One value met at a path. `text` is the decoded string for strings (it may hold NUL), the literal for numbers,
// booleans and null.
struct Value {
  enum class Kind { String, Number, Boolean, Null };
  Kind kind = Kind::Null;
  std::string_view text;  // valid during the callback

  // `otherwise` when the value is of another kind, or no integer of 64 bits ("1.0", "1e3").
  std::int64_t integer(std::int64_t otherwise = 0) const;
  bool boolean(bool otherwise = false) const;
};

// Paths to project, compiled once and shared between threads. A segment is a member name; "*" matches any member
// (the name is reported) or any array element (its index is reported).
//
//   static const Projection p({"metadata.name", "metadata.labels.*", "spec.template.spec.containers.*.image"});
//   p.decode(text, [&](std::size_t path, const std::vector<std::string>& wild, const Value& v) { ... });
//
// `path` is the index into the list given; `wild` the names or indexes the stars stood for, in order. Only strings,
// numbers, booleans and null are reported: a path that ends at an object or array reports nothing. Key order in the
// document is not fixed: nothing may be concluded before decode() returned. A member that occurs twice is reported
// twice. A member name holding '.' cannot be written as a segment; only "*" reaches it.
class Projection {
 public:
  explicit Projection(std::vector<std::string> paths);
  using OnValue = std::function<void(std::size_t path, const std::vector<std::string>& wild, const Value& value)>;
  // Protocol error for malformed JSON (RFC 8259, the skipped parts too), text that is not UTF-8, lone surrogates, or
  // more than 128 containers in each other. Values already reported stay. The message never quotes the document.
  Result<void> decode(std::string_view document, const OnValue& onValue) const;

 private:
  std::vector<std::vector<std::string>> paths_;
};

}  // namespace rollback::json
