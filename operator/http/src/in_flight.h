// How many unary requests may be under way at once: the library has no limit and opens a connection for each.
// Thread-safe; waiters come in no particular order.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "http/transport.h"

namespace rollback::http {

// A wait on a condition variable that ends at `until` of an injected clock. Slices of at most a second, because the
// condition variable counts neither the time the machine was suspended nor a test's time.
inline void waitSlice(std::condition_variable& changed, std::unique_lock<std::mutex>& lock, Millis left) {
  changed.wait_for(lock, std::clamp(left, Millis(0), Millis(1000)));
}

class InFlight : public std::enable_shared_from_this<InFlight> {
 public:
  explicit InFlight(int most) : free_(most) {}

  // A place, given back when it is destroyed; null when the deadline passed or the token was cancelled first.
  std::shared_ptr<void> enter(Deadline deadline, const Clock& clock, const CancelToken& cancel) {
    const auto registration = cancel.onCancel([self = shared_from_this()] {
      const std::lock_guard<std::mutex> lock(self->mutex_);
      self->changed_.notify_all();
    });
    std::unique_lock<std::mutex> lock(mutex_);
    while (free_ == 0) {
      if (cancel.cancelled() || deadline.expired(clock)) return nullptr;
      waitSlice(changed_, lock, deadline.left(clock));
    }
    --free_;
    lock.unlock();
    return std::shared_ptr<void>(this, [self = shared_from_this()](void*) { self->leave(); });
  }

 private:
  void leave() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++free_;
    changed_.notify_all();  // one that is told may be leaving, cancelled
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int free_;  // guarded by mutex_
};

}  // namespace rollback::http
