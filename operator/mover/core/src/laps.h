// How long each part of a verb took, for its result: {"restore": 14212, "analyze": 350, …} in milliseconds. Not
// thread-safe.
#pragma once

#include <nlohmann/json.hpp>

#include "base/clock.h"

namespace rollback::mover {

class Laps {
 public:
  explicit Laps(const Clock& clock) : clock_(clock), since_(clock.now()) {}
  // Ends a lap; laps of one name add up.
  void lap(const char* name) {
    const MonoTime now = clock_.now();
    auto& sum = laps_[name];
    sum = (sum.is_null() ? 0 : sum.get<std::int64_t>()) + std::chrono::duration_cast<Millis>(now - since_).count();
    since_ = now;
  }
  const nlohmann::json& json() const { return laps_; }

 private:
  const Clock& clock_;
  MonoTime since_;
  nlohmann::json laps_ = nlohmann::json::object();
};

}  // namespace rollback::mover
