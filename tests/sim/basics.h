// The simulator's dice, clock and list of things to come. Everything that happens in a run follows from its seed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/clock.h"

namespace rollback::sim {

// splitmix64: small, and the same on every machine.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  int below(int n) { return n <= 1 ? 0 : static_cast<int>(next() % static_cast<std::uint64_t>(n)); }
  int between(int low, int high) { return low + below(high - low + 1); }
  bool chance(double p) { return p > 0 && static_cast<double>(next() >> 11) * 0x1.0p-53 < p; }
  std::string hex(int digits) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (int i = 0; i < digits; ++i) out += kDigits[next() & 15];
    return out;
  }

 private:
  std::uint64_t state_;
};

class VirtualClock final : public Clock {
 public:
  WallTime wall() const override { return WallTime(Millis(1'795'500'000'000) + time + skew); }
  MonoTime now() const override { return MonoTime(time); }
  Millis time{1000}, skew{0};
};

// What will happen, in order of time; what is of one time in order of arrival.
class Timeline {
 public:
  explicit Timeline(VirtualClock& clock) : clock_(clock) {}
  void after(Millis delay, std::function<void()> then) {
    events_.emplace(std::pair(clock_.time + delay, ++number_), std::move(then));
  }
  bool empty() const { return events_.empty(); }
  Millis next() const { return events_.begin()->first.first; }
  // Runs the first one; the clock goes to its time, or stays if it is later already.
  void step() {
    auto first = events_.extract(events_.begin());
    if (first.key().first > clock_.time) clock_.time = first.key().first;
    first.mapped()();
  }

 private:
  VirtualClock& clock_;
  std::map<std::pair<Millis, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t number_ = 0;
};

}  // namespace rollback::sim
