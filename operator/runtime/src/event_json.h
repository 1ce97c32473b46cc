// Events (events.k8s.io/v1) as JSON, and what about them the API server insists on.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "runtime/event_recorder.h"

namespace rollback::runtime {

struct EventIdentity {
  std::string namespace_, name;
  WallTime eventTime;
};

// "<object>.<nanoseconds in hex>", at most 253 characters. `sequence` tells two of one millisecond apart.
std::string eventName(const std::string& object, WallTime time, std::uint64_t sequence);

// `count` > 1 makes it a series, last seen at `last`.
std::string encodeEvent(const Event& event, const EventIdentity& identity, const std::string& controller,
                        const std::string& instance, int count, WallTime last);
// A merge patch of the series alone: nothing else of an Event may change.
std::string encodeEventSeries(int count, WallTime last);

// At most `most` bytes, not cut within a character.
std::string cutText(const std::string& text, std::size_t most);

}  // namespace rollback::runtime
