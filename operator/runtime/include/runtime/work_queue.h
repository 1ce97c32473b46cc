// WorkQueue: the keys that need a look. A key is handed to one worker at a time; a key added while it is worked on
// comes again afterwards; any number of adds before that are one (client-go util/workqueue/queue.go).
//
// A key waits for at most one appearance: of several, the earliest wins, and an immediate add absorbs a delayed one.
// Thread-safe.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "runtime/metrics.h"
#include "runtime/timing.h"

namespace rollback::runtime {

struct BackoffOptions {
  Millis first{5};
  Millis most{1000000};
  double jitter = 0.2;           // ± this share
  double retriesPerSecond = 10;  // of all keys together, after a burst
  int burst = 100;
};

class WorkQueue {
 public:
  // `name` labels the metrics; `metrics` outlives the queue.
  WorkQueue(std::string name, Timing timing, Registry& metrics, BackoffOptions backoff = {});
  ~WorkQueue();

  void add(const std::string& key);
  void addAfter(const std::string& key, Millis time);
  // After first × 2ⁿ, n counting the calls since forget(), jittered; not before `atLeast`.
  void addRateLimited(const std::string& key, Millis atLeast = Millis(0));
  void forget(const std::string& key);
  int requeues(const std::string& key) const;

  // Waits for a key; nothing once the queue is shut down. Every key got is given back with done().
  std::optional<std::string> get();
  // The same without waiting.
  std::optional<std::string> tryGet();
  void done(const std::string& key);

  // Keys ready now, not counting those being worked on.
  std::size_t depth() const;
  // When tryGet() will have something: now or earlier if it has, nothing if it never will by itself.
  std::optional<MonoTime> nextDue() const;

  // Forgets what waits, refuses what comes, wakes every get(). What is being worked on goes on. Idempotent.
  void shutDown();
  // Waits until nothing is worked on; false if `until` came first.
  bool drain(Deadline until);

 private:
  struct Instruments;
  std::string take();
  void enqueue(const std::string& key);
  void schedule(const std::string& key, MonoTime at);
  void promoteDue();

  const Timing timing_;
  const BackoffOptions backoff_;
  mutable std::mutex mutex_;                    // guards everything below
  std::condition_variable changed_;             // something is or becomes ready
  std::condition_variable idle_;                // nothing is worked on
  std::deque<std::string> ready_;               // in order of arrival
  std::map<std::string, MonoTime> dirty_;       // needs a look since; superset of ready_
  std::map<std::string, MonoTime> processing_;  // being worked on since
  std::map<std::string, MonoTime> delayed_;
  std::set<std::pair<MonoTime, std::string>> due_;  // the same by time
  std::map<std::string, int> failures_;
  MonoTime bucket_{};  // when the shared retry bucket will be full again
  bool down_ = false;
  std::unique_ptr<Instruments> instruments_;
};

}  // namespace rollback::runtime
