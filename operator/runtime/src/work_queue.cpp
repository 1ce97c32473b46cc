#include "runtime/work_queue.h"

#include <algorithm>

namespace rollback::runtime {
namespace {

double seconds(Millis time) { return static_cast<double>(time.count()) / 1000; }

}  // namespace

// Under the names client-go gives them; the two of running work are computed when asked for, not by a ticker.
struct WorkQueue::Instruments {
  Instruments(WorkQueue& queue, Registry& metrics, const std::string& name)
      : labels{{"controller", name}, {"name", name}},
        adds(metrics.counter("workqueue_adds_total", "Keys added to the queue.", labels)),
        retries(metrics.counter("workqueue_retries_total", "Keys added again after a failure.", labels)),
        waited(metrics.histogram("workqueue_queue_duration_seconds", "Time a key was in the queue.", secondsBuckets(),
                                 labels)),
        worked(metrics.histogram("workqueue_work_duration_seconds", "Time a key was worked on.", secondsBuckets(),
                                 labels)),
        depth(metrics.gaugeCallback("workqueue_depth", "Keys ready to be worked on.", labels,
                                    [&queue] { return static_cast<double>(queue.depth()); })),
        unfinished(metrics.gaugeCallback("workqueue_unfinished_work_seconds",
                                         "Time spent so far on the keys worked on now.", labels,
                                         [&queue] { return running(queue, false); })),
        longest(metrics.gaugeCallback("workqueue_longest_running_processor_seconds",
                                      "Time spent so far on the key worked on the longest.", labels,
                                      [&queue] { return running(queue, true); })) {}

  static double running(const WorkQueue& queue, bool longestOnly) {
    const MonoTime now = queue.timing_.clock.now();
    const std::lock_guard<std::mutex> hold(queue.mutex_);
    double sum = 0, most = 0;
    for (const auto& [key, since] : queue.processing_) {
      sum += seconds(now - since);
      most = std::max(most, seconds(now - since));
    }
    return longestOnly ? most : sum;
  }

  const Labels labels;
  Counter& adds;
  Counter& retries;
  Histogram& waited;
  Histogram& worked;
  const std::shared_ptr<void> depth, unfinished, longest;
};

WorkQueue::WorkQueue(std::string name, Timing timing, Registry& metrics, BackoffOptions backoff)
    : timing_(std::move(timing)),
      backoff_(backoff),
      instruments_(std::make_unique<Instruments>(*this, metrics, name)) {}

WorkQueue::~WorkQueue() = default;

void WorkQueue::add(const std::string& key) {
  const std::lock_guard<std::mutex> hold(mutex_);
  enqueue(key);
}

// With mutex_ held.
void WorkQueue::enqueue(const std::string& key) {
  if (down_) return;
  if (const auto delayed = delayed_.find(key); delayed != delayed_.end()) {
    due_.erase({delayed->second, key});
    delayed_.erase(delayed);
  }
  if (!dirty_.emplace(key, timing_.clock.now()).second) return;
  instruments_->adds.add();
  if (processing_.count(key)) return;  // done() brings it back
  ready_.push_back(key);
  changed_.notify_one();
}

void WorkQueue::addAfter(const std::string& key, Millis time) {
  const std::lock_guard<std::mutex> hold(mutex_);
  if (time <= Millis(0)) {
    enqueue(key);
  } else {
    schedule(key, timing_.clock.now() + time);
  }
}

// With mutex_ held.
void WorkQueue::schedule(const std::string& key, MonoTime at) {
  if (down_ || dirty_.count(key)) return;
  const auto [known, isNew] = delayed_.emplace(key, at);
  if (!isNew) {
    if (known->second <= at) return;
    due_.erase({known->second, key});
    known->second = at;
  }
  due_.emplace(at, key);
  if (due_.begin()->second == key) changed_.notify_all();  // everybody waits for the first one due
}

void WorkQueue::addRateLimited(const std::string& key, Millis atLeast) {
  const std::lock_guard<std::mutex> hold(mutex_);
  instruments_->retries.add();
  const int failures = failures_[key]++;
  Millis wait = backoff_.most;
  if (failures < 40 && backoff_.first.count() <= (backoff_.most.count() >> failures)) {
    wait = std::min(backoff_.most, Millis(backoff_.first.count() << failures));
  }
  wait = std::max(jittered(wait, backoff_.jitter, timing_.random), atLeast);

  // The bucket of all keys, as the time at which it is full again: each retry moves that time by its share of a second,
  // and one that would move it beyond `burst` shares ahead waits for the difference.
  const MonoTime now = timing_.clock.now();
  const Millis share(static_cast<Millis::rep>(1000 / backoff_.retriesPerSecond));
  bucket_ = std::max(bucket_, now) + share;
  wait = std::max(wait, bucket_ - now - share * backoff_.burst);
  schedule(key, now + wait);
}

void WorkQueue::forget(const std::string& key) {
  const std::lock_guard<std::mutex> hold(mutex_);
  failures_.erase(key);
}

int WorkQueue::requeues(const std::string& key) const {
  const std::lock_guard<std::mutex> hold(mutex_);
  const auto found = failures_.find(key);
  return found == failures_.end() ? 0 : found->second;
}

// With mutex_ held.
void WorkQueue::promoteDue() {
  const MonoTime now = timing_.clock.now();
  while (!due_.empty() && due_.begin()->first <= now) enqueue(std::string(due_.begin()->second));
}

// With mutex_ held; ready_ is not empty.
std::string WorkQueue::take() {
  std::string key = std::move(ready_.front());
  ready_.pop_front();
  const MonoTime now = timing_.clock.now();
  const auto since = dirty_.find(key);
  instruments_->waited.observe(seconds(now - since->second));
  dirty_.erase(since);
  processing_[key] = now;
  return key;
}

std::optional<std::string> WorkQueue::get() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    promoteDue();
    if (down_) return std::nullopt;
    if (!ready_.empty()) return take();
    timing_.waiter.wait(lock, changed_, due_.empty() ? MonoTime::max() : due_.begin()->first);
  }
}

std::optional<std::string> WorkQueue::tryGet() {
  const std::lock_guard<std::mutex> hold(mutex_);
  promoteDue();
  if (down_ || ready_.empty()) return std::nullopt;
  return take();
}

void WorkQueue::done(const std::string& key) {
  const std::lock_guard<std::mutex> hold(mutex_);
  const auto since = processing_.find(key);
  if (since == processing_.end()) return;
  instruments_->worked.observe(seconds(timing_.clock.now() - since->second));
  processing_.erase(since);
  if (dirty_.count(key)) {
    ready_.push_back(key);
    changed_.notify_one();
  }
  if (processing_.empty()) idle_.notify_all();
}

std::size_t WorkQueue::depth() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  return ready_.size();
}

std::optional<MonoTime> WorkQueue::nextDue() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  if (!ready_.empty()) return timing_.clock.now();
  if (due_.empty()) return std::nullopt;
  return due_.begin()->first;
}

void WorkQueue::shutDown() {
  const std::lock_guard<std::mutex> hold(mutex_);
  down_ = true;
  ready_.clear();
  dirty_.clear();
  delayed_.clear();
  due_.clear();
  changed_.notify_all();
}

bool WorkQueue::drain(Deadline until) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!processing_.empty()) {
    if (until.expired(timing_.clock)) return false;
    timing_.waiter.wait(lock, idle_, until.at);
  }
  return true;
}

}  // namespace rollback::runtime
