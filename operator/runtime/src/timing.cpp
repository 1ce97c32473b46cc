#include "runtime/timing.h"

#include <algorithm>
#include <memory>
#include <random>

namespace rollback::runtime {
namespace {

// The condition variable's clock stands still while the machine sleeps, ours does not: no wait is longer than this.
constexpr Millis kLongestWait{300000};

class SystemWaiter final : public Waiter {
 public:
  void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed, MonoTime until) const override {
    const MonoTime now = systemClock().now();
    if (until <= now) return;
    const Millis left = until == MonoTime::max() ? kLongestWait : std::min(until - now, kLongestWait);
    changed.wait_for(lock, left);
  }
};

}  // namespace

const Waiter& systemWaiter() {
  static const SystemWaiter waiter;
  return waiter;
}

Random systemRandom() {
  struct Generator {
    std::mutex mutex;  // guards engine
    std::mt19937_64 engine{(std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()};
  };
  const auto generator = std::make_shared<Generator>();
  return [generator] {
    const std::lock_guard<std::mutex> hold(generator->mutex);
    return std::uniform_real_distribution<double>(0, 1)(generator->engine);
  };
}

Timing systemTiming() { return Timing{systemClock(), systemWaiter(), systemRandom()}; }

bool waitUntil(const Timing& timing, MonoTime until, const http::CancelToken& cancel) {
  std::mutex mutex;  // guards nothing but the moment between looking and waiting
  std::condition_variable changed;
  const std::shared_ptr<void> registration = cancel.onCancel([&] {
    const std::lock_guard<std::mutex> hold(mutex);
    changed.notify_all();
  });
  std::unique_lock<std::mutex> lock(mutex);
  while (!cancel.cancelled()) {
    if (timing.clock.now() >= until) return true;
    timing.waiter.wait(lock, changed, until);
  }
  return false;
}

Millis jittered(Millis time, double share, const Random& random) {
  const double factor = 1 - share + 2 * share * random();
  return Millis(static_cast<Millis::rep>(static_cast<double>(time.count()) * factor));
}

}  // namespace rollback::runtime
