// Timing: the clock, the way to wait on it, and the dice, injected together. Nothing in this layer sleeps or waits any
// other way, so a test that owns the clock owns the pace of everything.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>

#include "base/clock.h"
#include "http/transport.h"

namespace rollback::runtime {

// Thread-safe.
class Waiter {
 public:
  virtual ~Waiter() = default;
  // Releases `lock`, waits until `changed` is notified or the clock reached `until` (MonoTime::max(): only notified),
  // takes `lock` again. May return early: the caller looks at its condition and the clock again, as with any condition
  // variable.
  virtual void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed, MonoTime until) const = 0;
};

// The real one, for systemClock().
const Waiter& systemWaiter();

// In [0, 1). Called from several threads at once.
using Random = std::function<double()>;

// A generator of its own, seeded by the system.
Random systemRandom();

// Copied freely; `clock` and `waiter` outlive everything that holds one.
struct Timing {
  const Clock& clock;
  const Waiter& waiter;
  Random random;
};

Timing systemTiming();

// Waits until `until`; true, or false as soon as `cancel` is set.
bool waitUntil(const Timing& timing, MonoTime until, const http::CancelToken& cancel);
inline bool waitFor(const Timing& timing, Millis time, const http::CancelToken& cancel) {
  return waitUntil(timing, timing.clock.now() + time, cancel);
}

// `time` spread evenly over [time × (1 − share), time × (1 + share)).
Millis jittered(Millis time, double share, const Random& random);

}  // namespace rollback::runtime
