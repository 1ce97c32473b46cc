// Controller: takes keys from its queue and reconciles them, with one or more workers. Level-triggered: a key says
// where to look, never what happened.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/transport.h"
#include "runtime/metrics.h"
#include "runtime/runnable.h"
#include "runtime/timing.h"
#include "runtime/work_queue.h"

namespace rollback::runtime {

struct ReconcileResult {
  // Look again after this long, even if nothing happens; 0: at once, with back-off. Without it: when something happens.
  std::optional<Millis> requeueAfter;
  // Failed for good: counted and logged, not retried until something changes.
  std::optional<Error> terminal;
};

// What one run gets besides its key. Pass `deadline` and `cancel` on to every request.
struct ReconcileContext {
  std::string id;  // of this run, in every log line of its thread
  Deadline deadline;
  http::CancelToken cancel;  // set when the drain is over or leadership is lost: come back at once
};

// An error is logged and retried with back-off, not before its `retryAfter`. Called by several workers at once, never
// for the same key. An exception is caught, counted as a panic, and is an error.
using Reconcile = std::function<Result<ReconcileResult>(const std::string& key, const ReconcileContext& context)>;

struct ControllerOptions {
  std::string name;  // "frameworkrollback": queue, logs, metrics
  int workers = 1;
  Millis reconcileTimeout{120000};
  BackoffOptions backoff{};
};

class Controller final : public Runnable {
 public:
  // `metrics` outlives the controller.
  Controller(ControllerOptions options, Reconcile reconcile, Timing timing, Registry& metrics);
  ~Controller() override;

  WorkQueue& queue() { return queue_; }
  // What event handlers call; the same as queue().add(key).
  void enqueue(const std::string& key) { queue_.add(key); }

  std::string name() const override { return options_.name; }
  // Works until `stop`; then takes no new key, lets the running ones end and returns. Never an error.
  Result<void> run(const http::CancelToken& stop) override;
  // Cancels the running reconciles. Thread-safe.
  void abort();

  // One key, if there is one now, on the caller's thread; false if there was none. For tests and simulations.
  bool processNext();

 private:
  struct Instruments;
  void process(const std::string& key);
  void settle(const std::string& key, const ReconcileResult& result);
  Result<ReconcileResult> guarded(const std::string& key, const ReconcileContext& context);

  const ControllerOptions options_;
  const Reconcile reconcile_;
  const Timing timing_;
  const http::CancelToken aborted_;
  WorkQueue queue_;
  std::unique_ptr<Instruments> instruments_;
};

}  // namespace rollback::runtime
