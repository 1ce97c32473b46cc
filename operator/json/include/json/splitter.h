// Push parsers that cut a stream of JSON into the pieces a caller wants, without a DOM of the whole: a list of 10,000
// objects is never in memory at once.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rollback::json {

// Cuts each element of the array at top-level member "items" out of one list document, and keeps the rest (the
// "envelope": kind, metadata.resourceVersion, metadata.continue) small. Feed it bytes as they arrive.
//
//   ItemSplitter split([&](std::string_view item) { store.add(item); return Result<void>{}; });
//   for (piece : body) if (auto r = split.feed(piece); !r) return r.error();
//   if (auto r = split.finish(); !r) return r.error();
//   decodeListMeta(split.envelope());
//
// Not thread-safe. Errors: Protocol for malformed or truncated JSON, an item beyond `maxItem` bytes, or nesting deeper
// than 128; and whatever `onItem` returned.
class ItemSplitter {
 public:
  using OnItem = std::function<Result<void>(std::string_view item)>;
  explicit ItemSplitter(OnItem onItem, std::size_t maxItem = 8u << 20);
  Result<void> feed(std::string_view bytes);
  Result<void> finish();
  // The document with "items" emptied; valid after finish().
  const std::string& envelope() const { return envelope_; }

 private:
  enum class State { Start, Envelope, Items, Item, Done };
  OnItem onItem_;
  std::size_t maxItem_;
  State state_ = State::Start;
  int depth_ = 0;          // open containers around the next byte
  bool inString_ = false;
  bool escaped_ = false;
  std::string key_;        // the last string read at depth 1
  bool keyComplete_ = false;
  bool expectItems_ = false;
  std::string item_;       // the element being read
  int itemDepth_ = 0;
  std::string envelope_;
};

// Cuts a watch stream into lines, each one event. Pieces may split or share lines.
class LineSplitter {
 public:
  using OnLine = std::function<bool(std::string_view line)>;  // false ends the stream
  explicit LineSplitter(OnLine onLine, std::size_t maxLine = 8u << 20);
  // ok(true): go on; ok(false): onLine said stop; Protocol: a line beyond maxLine.
  Result<bool> feed(std::string_view bytes);

 private:
  OnLine onLine_;
  std::size_t maxLine_;
  std::string carry_;
};

}  // namespace rollback::json
