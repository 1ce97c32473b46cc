// A byte state machine. Invariants: `depth_` counts the containers open around the next byte; inside a string only quotes and
// backslashes mean anything; bytes of an element of "items" go to `item_` and nowhere else, all others to `envelope_`.
#include "json/splitter.h"

namespace rollback::json {
namespace {

constexpr int kMaxDepth = 128;

Error malformed(const char* what) { return Error{ErrorCode::Protocol, std::string("the list is not JSON: ") + what}; }

bool blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

ItemSplitter::ItemSplitter(OnItem onItem, std::size_t maxItem) : onItem_(std::move(onItem)), maxItem_(maxItem) {}

Result<void> ItemSplitter::feed(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    switch (state_) {
      case State::Start:
        if (blank(c)) break;
        if (c != '{') return malformed("it does not begin with {");
        envelope_ += c;
        depth_ = 1;
        state_ = State::Envelope;
        break;

      case State::Envelope:
        if (inString_) {
          envelope_ += c;
          if (escaped_) {
            escaped_ = false;
            if (depth_ == 1) key_ += c;
          } else if (c == '\\') {
            escaped_ = true;
            if (depth_ == 1) key_ += c;
          } else if (c == '"') {
            inString_ = false;
            keyComplete_ = depth_ == 1;
          } else if (depth_ == 1) {
            key_ += c;
          }
          break;
        }
        if (c == '"') {
          inString_ = true;
          if (depth_ == 1) {
            key_.clear();
            keyComplete_ = false;
          }
          expectItems_ = false;
        } else if (c == ':' && depth_ == 1) {
          expectItems_ = keyComplete_ && key_ == "items";
        } else if (c == '[' && depth_ == 1 && expectItems_) {
          envelope_ += c;
          state_ = State::Items;
          expectItems_ = false;
          break;
        } else if (c == '{' || c == '[') {
          if (++depth_ > kMaxDepth) return malformed("it is nested too deeply");
        } else if (c == '}' || c == ']') {
          if (--depth_ == 0) state_ = State::Done;
        } else if (!blank(c)) {
          expectItems_ = false;
        }
        envelope_ += c;
        if (envelope_.size() > maxItem_) return malformed("what surrounds its items is too large");
        break;

      case State::Items:  // between elements
        if (blank(c) || c == ',') break;
        if (c == ']') {
          envelope_ += c;
          state_ = State::Envelope;
          break;
        }
        if (c != '{') return malformed("an element of items is not an object");
        item_.assign(1, c);
        itemDepth_ = 1;
        state_ = State::Item;
        break;

      case State::Item: {
        // Runs of ordinary bytes are taken at once: most of a list is inside strings.
        std::size_t from = i;
        bool complete = false;
        for (; i < bytes.size(); ++i) {
          const char b = bytes[i];
          if (inString_) {
            if (escaped_) {
              escaped_ = false;
            } else if (b == '\\') {
              escaped_ = true;
            } else if (b == '"') {
              inString_ = false;
            } else {
              const auto stop = bytes.find_first_of("\"\\", i);
              i = (stop == std::string_view::npos ? bytes.size() : stop) - 1;
            }
          } else if (b == '"') {
            inString_ = true;
          } else if (b == '{' || b == '[') {
            if (++itemDepth_ > kMaxDepth) return malformed("an item is nested too deeply");
          } else if (b == '}' || b == ']') {
            if (--itemDepth_ == 0) {
              complete = true;
              break;
            }
          }
        }
        item_.append(bytes.substr(from, complete ? i - from + 1 : std::string_view::npos));
        if (item_.size() > maxItem_) return Error{ErrorCode::Protocol, "an item of the list is larger than " + std::to_string(maxItem_) + " bytes"};
        if (complete) {
          state_ = State::Items;
          if (auto taken = onItem_(item_); !taken) return taken.error();
          item_.clear();
        }
        break;
      }

      case State::Done:
        if (!blank(c)) return malformed("something follows its end");
        break;
    }
  }
  return {};
}

Result<void> ItemSplitter::finish() {
  if (state_ != State::Done) return malformed("it ends early");
  return {};
}

}  // namespace rollback::json
