// Backoff: how long to wait after the next failure in a row. Not thread-safe.
#pragma once

#include <algorithm>

#include "runtime/timing.h"

namespace rollback::runtime {

// 800 ms doubling to 30 s, each plus up to as much again, from the start after 2 minutes without a failure
// (client-go tools/cache/reflector.go). The jitter is what keeps replicas from coming back together.
class Backoff {
 public:
  explicit Backoff(Timing timing) : timing_(std::move(timing)) {}

  Millis next() {
    const MonoTime now = timing_.clock.now();
    if (now - last_ > kForgotten) base_ = kFirst;
    last_ = now;
    const Millis wait = base_ + Millis(static_cast<Millis::rep>(static_cast<double>(base_.count()) * timing_.random()));
    base_ = std::min(base_ * 2, kMost);
    return wait;
  }

 private:
  static constexpr Millis kFirst{800}, kMost{30000}, kForgotten{120000};
  const Timing timing_;
  Millis base_ = kFirst;
  MonoTime last_{};
};

}  // namespace rollback::runtime
