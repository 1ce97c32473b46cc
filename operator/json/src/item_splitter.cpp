// A byte state machine. Invariants: closers_[0, depth_) are the brackets that must come, innermost last; inside a
// string only quotes and backslashes mean anything; bytes of an element of "items" go to item_ (or straight to onItem_
// when the whole element is in one piece) and nowhere else, all others but the commas and blanks between elements to
// envelope_.
#include "json/splitter.h"

namespace rollback::json {
namespace {

bool isBlank(char each) { return each == ' ' || each == '\n' || each == '\r' || each == '\t'; }

// Most of a list is inside strings, and these are passed at once.
std::size_t endOfPlainText(std::string_view bytes, std::size_t from) {
  while (from < bytes.size() && bytes[from] != '"' && bytes[from] != '\\') ++from;
  return from;
}

}  // namespace

ItemSplitter::ItemSplitter(OnItem onItem, std::size_t maxItem) : onItem_(std::move(onItem)), maxItem_(maxItem) {}

Error ItemSplitter::fail(const std::string& what) {
  state_ = State::Failed;
  return Error{ErrorCode::Protocol, "reading a list: " + what};
}

Result<void> ItemSplitter::open(char bracket, std::size_t limit) {
  if (depth_ == limit) return fail("it is nested deeper than " + std::to_string(maxDepth));
  closers_[depth_++] = bracket == '{' ? '}' : ']';
  return {};
}

bool ItemSplitter::close(char bracket) {
  if (depth_ == 0 || closers_[depth_ - 1] != bracket) return false;
  --depth_;
  return true;
}

Result<void> ItemSplitter::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (state_ == State::Item) {
      const auto used = readItem(bytes);
      if (!used) return used.error();
      bytes.remove_prefix(*used);
      continue;
    }
    if (auto stepped = step(bytes.front()); !stepped) return stepped;
    if (state_ != State::Item) bytes.remove_prefix(1);  // the brace that begins an item belongs to it
  }
  return {};
}

Result<void> ItemSplitter::finish() {
  if (state_ == State::Failed) return fail("an earlier part of it was refused");
  if (state_ != State::Done) return fail("it ends early; the connection may have been cut");
  return {};
}

// One byte outside of items.
Result<void> ItemSplitter::step(char next) {
  switch (state_) {
    case State::Start:
      if (isBlank(next)) return {};
      if (next != '{') return fail("it does not begin with '{', so it is no JSON object");
      envelope_ += next;
      state_ = State::Envelope;
      return open(next, maxDepth);
    case State::Envelope:
      return envelopeByte(next);
    case State::FirstItem:
    case State::NextItem:
      if (isBlank(next)) return {};
      if (next == '{') {
        item_.clear();
        state_ = State::Item;
        return {};
      }
      if (next != ']' || state_ == State::NextItem) return fail("an element of its items is not an object");
      break;
    case State::AfterItem:
      if (isBlank(next)) return {};
      if (next == ',') {
        state_ = State::NextItem;
        return {};
      }
      if (next != ']') return fail("neither ',' nor ']' follows one of its items");
      break;
    case State::Done:
      if (!isBlank(next)) return fail("something follows its end");
      return {};
    case State::Item:
      return {};  // readItem's
    case State::Failed:
      return fail("an earlier part of it was refused");
  }
  envelope_ += next;
  close(next);
  state_ = State::Envelope;
  return {};
}

Result<void> ItemSplitter::envelopeByte(char next) {
  if (envelope_.size() == maxItem_) {
    return fail("what surrounds its items is larger than " + std::to_string(maxItem_) + " bytes");
  }
  envelope_ += next;
  if (inString_) {
    if (next == '"' && !escaped_) {
      inString_ = false;
      return {};
    }
    escaped_ = next == '\\' && !escaped_;
    if (depth_ == 1) key_ += next;
    return {};
  }
  const bool itemsBegin = next == '[' && atValueOfItems_;
  if (!isBlank(next)) atValueOfItems_ = next == ':' && depth_ == 1 && key_ == "items";
  switch (next) {
    case '"':
      inString_ = true;
      if (depth_ == 1) key_.clear();
      return {};
    case '{':
    case '[':
      if (itemsBegin) state_ = State::FirstItem;
      return open(next, maxDepth);
    case '}':
    case ']':
      if (!close(next)) return fail(std::string("a '") + next + "' closes nothing that is open");
      if (depth_ == 0) state_ = State::Done;
      return {};
    default:
      return {};
  }
}

// Takes as much of `bytes` as belongs to the present item, and says how much that was.
Result<std::size_t> ItemSplitter::readItem(std::string_view bytes) {
  constexpr std::size_t around = 2;  // the containers an item is in
  std::size_t at = 0;
  bool complete = false;
  while (at < bytes.size() && !complete) {
    if (inString_) {
      if (escaped_) {
        escaped_ = false;
        ++at;
        continue;
      }
      at = endOfPlainText(bytes, at);
      if (at == bytes.size()) break;
      if (bytes[at++] == '"') {
        inString_ = false;
      } else {
        escaped_ = true;
      }
      continue;
    }
    const char next = bytes[at++];
    if (next == '"') {
      inString_ = true;
    } else if (next == '{' || next == '[') {
      if (auto opened = open(next, maxDepth + around); !opened) return opened.error();
    } else if (next == '}' || next == ']') {
      if (!close(next)) return fail(std::string("in one of its items a '") + next + "' closes nothing that is open");
      complete = depth_ == around;
    }
  }
  if (item_.size() + at > maxItem_) {
    return fail("one of its items is larger than " + std::to_string(maxItem_) + " bytes");
  }
  if (!complete) {
    item_.append(bytes.substr(0, at));
    return at;
  }
  std::string_view whole = bytes.substr(0, at);
  if (!item_.empty()) whole = item_.append(whole);
  if (auto taken = onItem_(whole); !taken) {
    state_ = State::Failed;
    return taken.error();
  }
  state_ = State::AfterItem;
  return at;
}

}  // namespace rollback::json
