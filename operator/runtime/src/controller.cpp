#include "runtime/controller.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <thread>
#include <vector>

#include "runtime/logging.h"
#include "runtime/object_key.h"

namespace rollback::runtime {
namespace {

double seconds(Millis time) { return static_cast<double>(time.count()) / 1000; }

std::string randomId(const Random& random) {
  char text[17];
  const auto half = [&] { return static_cast<unsigned>(random() * 4294967296.0); };
  const unsigned first = half();
  std::snprintf(text, sizeof text, "%08x%08x", first, half());
  return text;
}

// What the next try will probably settle is no error to a reader of logs.
Level severity(const Error& error) {
  const bool expected =
      error.code == ErrorCode::Conflict || error.code == ErrorCode::Cancelled || error.code == ErrorCode::Fenced;
  return expected ? Level::Info : Level::Error;
}

}  // namespace

// controller_runtime_*: what dashboards know. All series exist from the start, at 0.
struct Controller::Instruments {
  Instruments(Registry& metrics, const std::string& name, int workers)
      : labels{{"controller", name}},
        success(total(metrics, name, "success")),
        error(total(metrics, name, "error")),
        requeue(total(metrics, name, "requeue")),
        requeueAfter(total(metrics, name, "requeue_after")),
        errors(metrics.counter("controller_runtime_reconcile_errors_total", "Reconciles that failed.", labels)),
        terminal(metrics.counter("controller_runtime_terminal_reconcile_errors_total",
                                 "Reconciles that failed for good.", labels)),
        panics(metrics.counter("controller_runtime_reconcile_panics_total", "Reconciles that threw an exception.",
                               labels)),
        timeouts(metrics.counter("controller_runtime_reconcile_timeouts_total",
                                 "Reconciles that outlived their deadline.", labels)),
        time(metrics.histogram("controller_runtime_reconcile_time_seconds", "Time of a reconcile.", secondsBuckets(),
                               labels)),
        active(metrics.gauge("controller_runtime_active_workers", "Workers that reconcile now.", labels)) {
    metrics.gauge("controller_runtime_max_concurrent_reconciles", "Workers.", labels).set(workers);
  }

  static Counter& total(Registry& metrics, const std::string& name, const std::string& result) {
    return metrics.counter("controller_runtime_reconcile_total", "Reconciles by result.",
                           {{"controller", name}, {"result", result}});
  }

  const Labels labels;
  Counter &success, &error, &requeue, &requeueAfter, &errors, &terminal, &panics, &timeouts;
  Histogram& time;
  Gauge& active;
};

Controller::Controller(ControllerOptions options, Reconcile reconcile, Timing timing, Registry& metrics)
    : options_(std::move(options)),
      reconcile_(std::move(reconcile)),
      timing_(timing),
      queue_(options_.name, timing, metrics, options_.backoff),
      instruments_(std::make_unique<Instruments>(metrics, options_.name, options_.workers)) {}

Controller::~Controller() = default;

void Controller::abort() { aborted_.cancel(); }

Result<void> Controller::run(const http::CancelToken& stop) {
  const std::shared_ptr<void> registration = stop.onCancel([this] { queue_.shutDown(); });
  std::vector<std::thread> workers;
  for (int i = 0; i < std::max(1, options_.workers); ++i) {
    workers.emplace_back([this] {
      while (const auto key = queue_.get()) process(*key);
    });
  }
  for (std::thread& worker : workers) worker.join();
  return {};
}

bool Controller::processNext() {
  const auto key = queue_.tryGet();
  if (key) process(*key);
  return key.has_value();
}

void Controller::process(const std::string& key) {
  const MonoTime started = timing_.clock.now();
  const ReconcileContext context{randomId(timing_.random), Deadline{started + options_.reconcileTimeout}, aborted_};
  const auto [namespace_, objectName] = splitObjectKey(key);
  const LogScope scope(
      {{"controller", options_.name}, {"namespace", namespace_}, {"name", objectName}, {"reconcileID", context.id}});

  instruments_->active.add(1);
  const Result<ReconcileResult> result = guarded(key, context);
  instruments_->active.add(-1);
  instruments_->time.observe(seconds(timing_.clock.now() - started));
  if (context.deadline.expired(timing_.clock)) instruments_->timeouts.add();

  if (!result) {
    instruments_->error.add();
    instruments_->errors.add();
    queue_.addRateLimited(key, result.error().retryAfter.value_or(std::chrono::seconds(0)));
    log(severity(result.error()), "reconcile failed, will be retried",
        {{"error", result.error()}, {"failures", queue_.requeues(key)}});
  } else {
    settle(key, *result);
  }
  queue_.done(key);
}

void Controller::settle(const std::string& key, const ReconcileResult& result) {
  if (result.terminal) {
    instruments_->error.add();
    instruments_->errors.add();
    instruments_->terminal.add();
    log(Level::Error, "reconcile failed for good, waiting for a change", {{"error", *result.terminal}});
  }
  if (!result.requeueAfter) {
    queue_.forget(key);
    if (!result.terminal) instruments_->success.add();
  } else if (*result.requeueAfter > Millis(0)) {
    queue_.forget(key);
    queue_.addAfter(key, *result.requeueAfter);
    if (!result.terminal) instruments_->requeueAfter.add();
  } else {  // "again, now": with back-off, or it is a loop that never rests
    queue_.addRateLimited(key);
    if (!result.terminal) instruments_->requeue.add();
  }
}

Result<ReconcileResult> Controller::guarded(const std::string& key, const ReconcileContext& context) {
  std::string what = "an exception of unknown type";
  try {
    return reconcile_(key, context);
  } catch (const std::exception& thrown) {
    what = thrown.what();
  } catch (...) {
  }
  instruments_->panics.add();
  return Error{ErrorCode::Internal,
               "reconciling " + key + " threw: " + what + ". This is a defect of the operator, please report it."};
}

}  // namespace rollback::runtime
