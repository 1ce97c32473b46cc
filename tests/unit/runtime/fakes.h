// A clock that moves when told, a waiter that moves it instead of waiting, dice that fall as told, and a client that
// answers what the test says.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kube/client/client.h"
#include "runtime/timing.h"

namespace rollback::runtime::fakes {

// Thread-safe.
class FakeClock final : public Clock {
 public:
  WallTime wall() const override { return WallTime(Millis(1795489200000 + passed_.load())); }  // 2026-11-24T03:00:00Z
  MonoTime now() const override { return MonoTime(Millis(1000000 + passed_.load())); }
  void advance(Millis time) { passed_ += time.count(); }
  void advanceTo(MonoTime until) {
    if (until > now()) advance(until - now());
  }

 private:
  std::atomic<std::int64_t> passed_{0};
};

// Time passes at once; without a time to wait for, only another thread can bring the change, so it gets the processor.
class FakeWaiter final : public Waiter {
 public:
  explicit FakeWaiter(FakeClock& clock) : clock_(clock) {}
  void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed, MonoTime until) const override {
    if (until == MonoTime::max()) {
      changed.wait_for(lock, std::chrono::milliseconds(1));
    } else {
      clock_.advanceTo(until);
    }
  }

 private:
  FakeClock& clock_;
};

struct World {
  FakeClock clock;
  FakeWaiter waiter{clock};
  double dice = 0.5;  // jitter of ± is none at a half
  Timing timing{clock, waiter, [this] { return dice; }};
};

// Everything not set is an Internal error. Not thread-safe.
class FakeClient final : public kube::Client {
 public:
  using OnItem = std::function<Result<void>(std::string_view)>;
  using OnEvent = std::function<bool(const kube::WatchEvent&)>;

  Result<std::string> send(const kube::Request& request, Deadline deadline, const http::CancelToken& cancel) override {
    requests.push_back(request);
    deadlines.push_back(deadline);
    if (cancel.cancelled()) return Error{ErrorCode::Cancelled, "cancelled"};
    if (onSend) return onSend(request);
    return unexpected(request);
  }
  Result<kube::ListMeta> list(const kube::Request& request, int, Deadline, const http::CancelToken&,
                              const OnItem& onItem) override {
    requests.push_back(request);
    if (onList) return onList(onItem);
    return unexpected(request);
  }
  Result<void> watch(const kube::Request& request, Deadline, Millis idle, const http::CancelToken&,
                     const OnEvent& onEvent) override {
    requests.push_back(request);
    idles.push_back(idle);
    if (onWatch) return onWatch(onEvent);
    return unexpected(request);
  }

  std::function<Result<std::string>(const kube::Request&)> onSend;
  std::function<Result<kube::ListMeta>(const OnItem&)> onList;
  std::function<Result<void>(const OnEvent&)> onWatch;
  std::vector<kube::Request> requests;
  std::vector<Deadline> deadlines;
  std::vector<Millis> idles;

 private:
  static Error unexpected(const kube::Request& request) {
    return Error{ErrorCode::Internal, "the test expected no " + request.describe()};
  }
};

inline std::string queryOf(const kube::Request& request, const std::string& name) {
  for (const auto& [key, value] : request.query) {
    if (key == name) return value;
  }
  return "";
}

}  // namespace rollback::runtime::fakes
