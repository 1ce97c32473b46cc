// Time, injected. Deadlines and leases are judged by the monotonic clock; wall time is only for what people read.
#pragma once

#include <chrono>
#include <string>

namespace rollback {

using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::milliseconds>;
using Millis = std::chrono::milliseconds;

// Thread-safe. The real one counts time the machine was suspended (CLOCK_BOOTTIME): a lease must not survive a nap.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual MonoTime now() const = 0;
};

// The machine's clocks; a stateless object that lives as long as the program.
const Clock& systemClock();

// A point in monotonic time after which nobody waits. It flows down: a callee may shorten it, never extend it.
struct Deadline {
  MonoTime at = MonoTime::max();

  static Deadline after(const Clock& clock, Millis time) { return Deadline{clock.now() + time}; }
  bool expired(const Clock& clock) const { return clock.now() >= at; }
  Millis left(const Clock& clock) const { return at == MonoTime::max() ? Millis::max() : at - clock.now(); }
  Deadline earlier(Deadline other) const { return at < other.at ? *this : other; }
};

// RFC 3339 in UTC: "2026-11-24T03:00:00Z" (metav1.Time) and with microseconds "….123000Z" (metav1.MicroTime).
std::string formatTime(WallTime time);
std::string formatMicroTime(WallTime time);
// Accepts any RFC 3339 offset and fraction; returns false and leaves `out` alone if `text` is anything else.
bool parseTime(const std::string& text, WallTime& out);

}  // namespace rollback
