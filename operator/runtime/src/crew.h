// Crew: the threads of a Manager's Runnables, and who of them has ended, how. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/manager.h"

namespace rollback::runtime {

// The stages of a stop, in their order.
enum class Stage { Controllers, Election, Reflectors, Others };

class Manager::Crew {
 public:
  explicit Crew(Timing timing) : timing_(std::move(timing)) {}
  ~Crew();  // joins: stop every stage first

  void start(Stage stage, std::shared_ptr<Runnable> runnable);
  void cancel(Stage stage);
  // Waits until all of that stage have ended; false if `until` came first.
  bool ended(Stage stage, Deadline until);

  // Wakes wait().
  void notify();
  // Waits for notify() or the end of a member before it was cancelled, until `done` is true or `until`. `done` is
  // called with the crew's lock held.
  template <typename Done>
  void wait(MonoTime until, Done done) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (!done() && !failure_ && timing_.clock.now() < until) timing_.waiter.wait(lock, changed_, until);
  }
  // Of the first member that ended before it was cancelled.
  std::optional<Error> failure() const;

 private:
  struct Member {
    Stage stage;
    std::shared_ptr<Runnable> runnable;
    http::CancelToken stop;
    bool ended = false;
    std::thread thread;
  };
  void work(Member& member);

  const Timing timing_;
  mutable std::mutex mutex_;  // guards everything below, and Member::ended
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Member>> members_;
  std::optional<Error> failure_;
};

}  // namespace rollback::runtime
