// Push parsers that cut a stream of JSON into the pieces a caller wants, without a DOM of the whole: a list of 10,000
// objects is never in memory at once.
#pragma once

#include <array>
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
// Not thread-safe. It frames: brackets, strings and the commas between items are checked; the grammar inside an item or
// the envelope is left to whoever decodes it. Errors: Protocol for a document that is framed wrongly or cut short, an
// item or an envelope beyond `maxItem` bytes, or nesting deeper than 128; and whatever `onItem` returned. After an
// error every further call fails.
class ItemSplitter {
 public:
  // `item` is one JSON object, valid during the call.
  using OnItem = std::function<Result<void>(std::string_view item)>;
  explicit ItemSplitter(OnItem onItem, std::size_t maxItem = 8u << 20);
  Result<void> feed(std::string_view bytes);
  Result<void> finish();
  // The document with "items" emptied; valid after finish().
  const std::string& envelope() const { return envelope_; }

 private:
  static constexpr std::size_t maxDepth = 128;  // of the envelope, and of each item by itself

  // What the next byte belongs to. A string inside the envelope or an item is told by inString_.
  enum class State { Start, Envelope, FirstItem, Item, AfterItem, NextItem, Done, Failed };

  Result<void> step(char next);
  Result<void> envelopeByte(char next);
  Result<std::size_t> readItem(std::string_view bytes);
  Result<void> open(char bracket, std::size_t limit);
  bool close(char bracket);
  Error fail(const std::string& what);

  OnItem onItem_;
  std::size_t maxItem_;
  State state_ = State::Start;
  std::array<char, 2 * maxDepth> closers_{};  // the first depth_: the brackets that close what is open
  std::size_t depth_ = 0;
  bool inString_ = false;
  bool escaped_ = false;  // the byte before was a backslash that begins an escape
  std::string key_;       // the last string read at depth 1 of the envelope
  bool atValueOfItems_ = false;
  std::string item_;  // the beginning of an element whose end has not arrived
  std::string envelope_;
};

// Cuts a watch stream into lines, each one event. Pieces may split or share lines; empty lines are passed over.
// Not thread-safe.
class LineSplitter {
 public:
  // `line` is valid during the call and holds no '\n'. False ends the stream.
  using OnLine = std::function<bool(std::string_view line)>;
  explicit LineSplitter(OnLine onLine, std::size_t maxLine = 8u << 20);
  // ok(true): go on; ok(false): onLine said stop, the rest of `bytes` was dropped; Protocol: a line beyond maxLine.
  Result<bool> feed(std::string_view bytes);

 private:
  OnLine onLine_;
  std::size_t maxLine_;
  std::string carry_;  // the beginning of a line whose end has not arrived
};

}  // namespace rollback::json
