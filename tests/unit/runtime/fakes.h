// A clock that moves when told, waits that follow it, and an API server of scripted answers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "kube/client/client.h"
#include "runtime/metrics.h"
#include "runtime/timing.h"

namespace rollback::runtime::fakes {

class FakeClock final : public Clock {
 public:
  WallTime wall() const override { return WallTime(Millis(wall_.load())); }
  MonoTime now() const override { return MonoTime(Millis(mono_.load())); }
  void advance(Millis time) {
    wall_ += time.count();
    mono_ += time.count();
  }
  void shiftWall(Millis time) { wall_ += time.count(); }  // somebody set the machine's clock

 private:
  std::atomic<std::int64_t> wall_{1795489200000};  // 2026-11-24T03:00:00Z
  std::atomic<std::int64_t> mono_{1000000};
};

// Returns early after a millisecond of real time, which a Waiter may: whoever waits then sees where the fake clock is.
class PollingWaiter final : public Waiter {
 public:
  void wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed, MonoTime) const override {
    changed.wait_for(lock, std::chrono::milliseconds(1));
  }
};

// Waits for something other threads do; false after ten seconds, when they are not going to.
inline bool eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 10000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return holds();
}

struct Bench {
  FakeClock clock;
  PollingWaiter waiter;
  std::atomic<double> random{0.5};  // the middle of every jitter
  Registry metrics;
  http::CancelToken stop;

  Timing timing() {
    return Timing{clock, waiter, [this] { return random.load(); }};
  }
  // The line of a sample, "name{labels} value", without the name and labels; empty if there is none.
  std::string metric(const std::string& series) const {
    const std::string text = "\n" + metrics.expose();
    const std::size_t at = text.find("\n" + series + " ");
    if (at == std::string::npos) return "";
    const std::size_t value = at + series.size() + 2;
    return text.substr(value, text.find('\n', value) - value);
  }
};

inline std::string queryOf(const kube::Request& request, const std::string& key) {
  for (const auto& each : request.query) {
    if (each.first == key) return each.second;
  }
  return "";
}

// One answer to a list or a watch.
struct ListAnswer {
  std::vector<std::string> items;
  std::string version;
  std::optional<Error> error{};
};
struct WatchAnswer {
  std::vector<std::pair<kube::WatchEvent::Type, std::string>> events;
  Result<void> end{};
  Millis takes{60000};           // from the last event to the end
  std::function<void()> also{};  // after the events
};

// Answers lists and watches in order, and sends by a function. A watch beyond the script waits for its cancellation.
class FakeClient final : public kube::Client {
 public:
  explicit FakeClient(FakeClock& clock) : clock_(clock) {}

  using OnSend = std::function<Result<std::string>(const kube::Request&)>;
  OnSend onSend;
  std::deque<ListAnswer> lists;     // before the client is used by another thread
  std::deque<WatchAnswer> watches;  // the same

  std::vector<kube::Request> requests() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return requests_;
  }
  std::vector<Millis> idles() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return idles_;
  }
  std::vector<Deadline> deadlines() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return deadlines_;
  }
  int count(kube::Verb verb) const {
    int found = 0;
    for (const kube::Request& each : requests()) found += each.verb == verb ? 1 : 0;
    return found;
  }

  Result<std::string> send(const kube::Request& request, Deadline deadline, const http::CancelToken& cancel) override {
    note(request, deadline);
    if (cancel.cancelled()) return Error{ErrorCode::Cancelled, "cancelled"};
    return onSend ? onSend(request) : Error{ErrorCode::Internal, "no script"};
  }

  Result<kube::ListMeta> list(const kube::Request& request, int, Deadline deadline, const http::CancelToken&,
                              const std::function<Result<void>(std::string_view)>& onItem) override {
    note(request, deadline);
    if (lists.empty()) return Error{ErrorCode::Unavailable, "no script"};
    const ListAnswer answer = lists.front();
    lists.pop_front();
    for (const std::string& item : answer.items) {
      if (auto taken = onItem(item); !taken) return taken.error();
    }
    if (answer.error) return *answer.error;
    return kube::ListMeta{answer.version, ""};
  }

  Result<void> watch(const kube::Request& request, Deadline deadline, Millis idle, const http::CancelToken& cancel,
                     const std::function<bool(const kube::WatchEvent&)>& onEvent) override {
    note(request, deadline);
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      idles_.push_back(idle);
    }
    if (watches.empty()) {
      while (!cancel.cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return Error{ErrorCode::Cancelled, "cancelled"};
    }
    const WatchAnswer answer = watches.front();
    watches.pop_front();
    for (const auto& [type, object] : answer.events) {
      if (!onEvent(kube::WatchEvent{type, object})) return Error{ErrorCode::Cancelled, "the reader stopped"};
    }
    if (answer.also) answer.also();
    clock_.advance(answer.takes);
    return answer.end;
  }

 private:
  void note(const kube::Request& request, Deadline deadline) {
    const std::lock_guard<std::mutex> hold(mutex_);
    requests_.push_back(request);
    deadlines_.push_back(deadline);
  }

  FakeClock& clock_;
  mutable std::mutex mutex_;  // guards what was asked
  std::vector<kube::Request> requests_;
  std::vector<Deadline> deadlines_;
  std::vector<Millis> idles_;
};

inline std::string configMap(const std::string& name, const std::string& version, const std::string& value = "",
                             const std::string& uid = "u") {
  return R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"namespace":"demo","name":")" + name + R"(","uid":")" +
         uid + R"(","resourceVersion":")" + version + R"("},"data":{"value":")" + value + R"("}})";
}

}  // namespace rollback::runtime::fakes
