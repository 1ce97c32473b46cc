// What every test of the transport starts from.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "http/transport.h"

namespace rollback::http::testing {

// Moves when told: now, or by a step each time it is read from now on.
class StepClock final : public Clock {
 public:
  WallTime wall() const override { return WallTime(Millis(at_)); }
  MonoTime now() const override { return MonoTime(Millis(at_ += step_)); }
  void advance(Millis time) { at_ += time.count(); }
  void stepAtEachReading(Millis step) { step_ = step.count(); }

 private:
  mutable std::atomic<std::int64_t> at_{1'000'000};
  std::atomic<std::int64_t> step_{0};
};

// makeTransport after initializeTransport, once for the process; throws what makeTransport refuses.
std::shared_ptr<Transport> transportTo(const TransportConfig& config, const Clock& clock = systemClock());
std::shared_ptr<Transport> transportTo(const std::string& origin, const Clock& clock = systemClock());

// 60 s: long enough to never pass in a test that works.
Deadline ample(const Clock& clock = systemClock());

Request get(const std::string& target);

}  // namespace rollback::http::testing
