#include "runtime/event_recorder.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "event_json.h"
#include "runtime/logging.h"

namespace rollback::runtime {
namespace {

constexpr Millis kRefresh{30 * 60 * 1000}, kQuiet{6 * 60 * 1000};  // client-go tools/events
constexpr Millis kRetry{10000};
constexpr int kTries = 12;
constexpr Millis kSendTimeout{5000};

bool retryable(const Error& error) {
  switch (error.code) {
    case ErrorCode::TooManyRequests:
    case ErrorCode::Unavailable:
    case ErrorCode::Timeout:
    case ErrorCode::ConnectionLost:
    case ErrorCode::Cancelled:
      return true;
    default:
      return false;
  }
}

std::string identify(const ObjectReference& reference) {
  return reference.apiVersion + "\n" + reference.kind + "\n" + reference.namespace_ + "\n" + reference.name + "\n" +
         reference.uid;
}

// Everything but time and note.
std::string seriesKey(const Event& event) {
  return event.type + "\n" + event.reason + "\n" + event.action + "\n" + identify(event.regarding) + "\n" +
         (event.related ? identify(*event.related) : "");
}

struct Series {
  Event event;  // the first
  EventIdentity identity;
  int count = 1;
  WallTime last;      // observed
  MonoTime lastSeen;  // the same, monotonic
  int sentCount = 0;  // what the server knows; 0: nothing
  MonoTime sentAt;
  MonoTime due;  // when to look at it again
  int failures = 0;
};

}  // namespace

ObjectReference referenceTo(const kube::Resource& resource, const kube::ObjectMeta& meta) {
  return ObjectReference{resource.apiVersion(), resource.kind, meta.namespace_, meta.name, meta.uid,
                         meta.resourceVersion};
}

// record() fills the inbox from any thread; everything else belongs to the one that calls step().
class EventRecorder::Machine {
 public:
  Machine(EventRecorderOptions options, std::shared_ptr<kube::Client> client, Timing timing, Registry& metrics)
      : options_(std::move(options)),
        client_(std::move(client)),
        timing_(timing),
        sent_(metrics.counter("events_sent_total", "Events created or extended.")),
        dropped_(metrics.counter("events_dropped_total", "Events that could not be sent, or were too many.")) {}

  void record(Event event) {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (inbox_.size() >= options_.capacity) {
      dropped_.add();
      return;
    }
    inbox_.emplace_back(std::move(event), timing_.clock.wall());
    arrived_.notify_one();
  }

  // Until `until`, an event or `stop`.
  void wait(MonoTime until, const http::CancelToken& stop) {
    const std::shared_ptr<void> registration = stop.onCancel([this] {
      const std::lock_guard<std::mutex> hold(mutex_);
      arrived_.notify_one();
    });
    std::unique_lock<std::mutex> lock(mutex_);
    while (inbox_.empty() && !stop.cancelled() && timing_.clock.now() < until)
      timing_.waiter.wait(lock, arrived_, until);
  }

  MonoTime step(const http::CancelToken& stop) {
    takeInbox();
    if (timing_.clock.now() >= pausedUntil_) sendDue(stop, Deadline{}, false);
    MonoTime next = MonoTime::max();
    for (const auto& [key, series] : series_) next = std::min(next, series.due);
    return next == MonoTime::max() ? next : std::max(next, pausedUntil_);
  }

  // What the server does not know yet, once, by a deadline for all.
  void flush() {
    takeInbox();
    sendDue(http::CancelToken(), Deadline::after(timing_.clock, options_.flushTimeout), true);
  }

 private:
  void takeInbox() {
    std::deque<std::pair<Event, WallTime>> taken;
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      taken.swap(inbox_);
    }
    for (auto& [event, time] : taken) add(std::move(event), time);
  }

  void add(Event event, WallTime time) {
    const MonoTime now = timing_.clock.now();
    const std::string key = seriesKey(event);
    const auto known = series_.find(key);
    if (known != series_.end()) {
      Series& series = known->second;
      ++series.count;
      series.last = time;
      series.lastSeen = now;
      if (series.failures == 0) series.due = nextLook(series);
      return;
    }
    if (series_.size() >= options_.capacity) {
      dropped_.add();
      return;
    }
    Series series;
    const std::string namespace_ = event.regarding.namespace_.empty() ? "default" : event.regarding.namespace_;
    series.identity = EventIdentity{namespace_, eventName(event.regarding.name, time, sequence_++), time};
    series.event = std::move(event);
    series.last = time;
    series.lastSeen = now;
    series.due = now;
    series_.emplace(key, std::move(series));
  }

  // The first and the second are news, the others are counted; a quiet series is ended.
  MonoTime nextLook(const Series& series) const {
    if (series.sentCount == 0 || (series.sentCount == 1 && series.count > 1)) return timing_.clock.now();
    const MonoTime end = series.lastSeen + kQuiet;
    return series.count > series.sentCount ? std::min(end, series.sentAt + kRefresh) : end;
  }

  void sendDue(const http::CancelToken& stop, Deadline deadline, bool all) {
    for (auto each = series_.begin(); each != series_.end();) {
      Series& series = each->second;
      const MonoTime now = timing_.clock.now();
      const bool news = series.count > series.sentCount;
      if (stop.cancelled() || deadline.expired(timing_.clock)) return;
      if (all ? !news : now < series.due) {
        ++each;
        continue;
      }
      if (news) {
        const Result<void> sent = send(series, deadline.earlier(Deadline::after(timing_.clock, kSendTimeout)), stop);
        if (!sent && retryable(sent.error()) && ++series.failures < kTries) {
          // The server is in trouble: nobody else needs to try either.
          series.due = pausedUntil_ = timing_.clock.now() + jittered(kRetry, 0.25, timing_.random);
          return;
        }
        if (!sent) {
          log(Level::Debug, "event dropped", {{"reason", series.event.reason}, {"error", sent.error()}});
          dropped_.add();
          each = series_.erase(each);
          continue;
        }
      }
      if (series.count == series.sentCount && timing_.clock.now() - series.lastSeen >= kQuiet) {
        each = series_.erase(each);
        continue;
      }
      series.due = nextLook(series);
      if (series.due > timing_.clock.now()) ++each;  // else it has a second to send, at once
    }
  }

  Result<void> send(Series& series, Deadline deadline, const http::CancelToken& stop) {
    Result<void> outcome = series.sentCount == 0 ? create(series, 1, deadline, stop) : extend(series, deadline, stop);
    if (!outcome && outcome.error().code == ErrorCode::NotFound && series.sentCount > 0) {
      // Events live for an hour: this one is over, the series is not.
      series.identity.name = eventName(series.event.regarding.name, series.last, sequence_++);
      series.identity.eventTime = series.last;
      outcome = create(series, series.count, deadline, stop);
    }
    if (outcome) {
      series.failures = 0;
      series.sentAt = timing_.clock.now();
      sent_.add();
    }
    return outcome;
  }

  Result<void> create(Series& series, int count, Deadline deadline, const http::CancelToken& stop) {
    const std::string body =
        encodeEvent(series.event, series.identity, options_.controller, options_.instance, count, series.last);
    const Result<std::string> answer =
        client_->send(kube::create(kube::resources::kEvents, series.identity.namespace_, body), deadline, stop);
    // It is there already when an earlier answer got lost.
    if (!answer && answer.error().code != ErrorCode::AlreadyExists) return answer.error();
    series.sentCount = count;
    return {};
  }

  Result<void> extend(Series& series, Deadline deadline, const http::CancelToken& stop) {
    const int count = series.count;
    const Result<std::string> answer =
        client_->send(kube::patch(kube::resources::kEvents, series.identity.namespace_, series.identity.name,
                                  kube::PatchType::Merge, encodeEventSeries(count, series.last)),
                      deadline, stop);
    if (!answer) return answer.error();
    series.sentCount = count;
    return {};
  }

  const EventRecorderOptions options_;
  const std::shared_ptr<kube::Client> client_;
  const Timing timing_;
  Counter& sent_;
  Counter& dropped_;
  std::mutex mutex_;  // guards inbox_
  std::condition_variable arrived_;
  std::deque<std::pair<Event, WallTime>> inbox_;
  std::map<std::string, Series> series_;
  MonoTime pausedUntil_{};
  std::uint64_t sequence_ = 0;
};

EventRecorder::EventRecorder(EventRecorderOptions options, std::shared_ptr<kube::Client> client, Timing timing,
                             Registry& metrics)
    : machine_(std::make_unique<Machine>(std::move(options), std::move(client), std::move(timing), metrics)) {}
EventRecorder::~EventRecorder() = default;

void EventRecorder::record(Event event) { machine_->record(std::move(event)); }
MonoTime EventRecorder::step(const http::CancelToken& stop) { return machine_->step(stop); }

Result<void> EventRecorder::run(const http::CancelToken& stop) {
  while (!stop.cancelled()) machine_->wait(machine_->step(stop), stop);
  machine_->flush();
  return {};
}

}  // namespace rollback::runtime
