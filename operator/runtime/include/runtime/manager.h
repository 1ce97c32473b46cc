// Manager: the life of a program. Starts what it was given in order, stops it in the reverse, within the grace period.
//
//   start  probes and metrics → others → reflectors, until all have synced → leader election → controllers
//   stop   controllers (drain 20 s, then cancelled) → lease released → reflectors → others (events last) → probes
//
// Readiness is "the caches are synced", for a standby as well as for the leader. A standby keeps its caches warm.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/server.h"
#include "http/transport.h"
#include "runtime/controller.h"
#include "runtime/health.h"
#include "runtime/http_endpoints.h"
#include "runtime/leader_election.h"
#include "runtime/metrics.h"
#include "runtime/reflector.h"
#include "runtime/runnable.h"
#include "runtime/timing.h"

namespace rollback::runtime {

struct ManagerOptions {
  std::string healthAddress = ":8081";   // /healthz, /readyz; empty: not served
  std::string metricsAddress = ":8080";  // /metrics; empty: not served
  Millis syncTimeout{120000};
  Millis drain{20000};        // for running reconciles
  Millis abortTimeout{2000};  // for cancelled ones
  Millis stopTimeout{2000};   // for each later stage: 28 s in all, a pod has 30
  // What happens if a thread does not come back in time; the default flushes the logs and ends the process, status 1.
  std::function<void()> onStuck{};
};

class Manager {
 public:
  // `metrics` outlives the manager.
  Manager(ManagerOptions options, Timing timing, Registry& metrics);
  ~Manager();

  // All before run().
  void add(std::shared_ptr<Synced> reflector);
  void add(std::shared_ptr<Controller> controller);
  void addOther(std::shared_ptr<Runnable> other);  // runs from first to last, leader or not: the EventRecorder
  // At most one; without it controllers start when the caches are synced. Client and callbacks see leader_election.h;
  // the gate of every other client is elector->writeGate(). The manager watches leading() itself.
  void elect(std::shared_ptr<LeaderElector> elector);
  Health& healthz() { return healthz_; }
  Health& readyz() { return readyz_; }

  // Blocks until `stop` (ok), the lease is lost, a cache did not sync in time, an address could not be bound or a
  // runnable failed (the error). All threads have ended when it returns. Then: flushLogs() and _exit(), since
  // cpprestsdk's pool joins its threads in a static destructor and one stuck request would hang there.
  Result<void> run(const http::CancelToken& stop);

 private:
  class Crew;
  Result<void> serve();
  Result<void> syncCaches(const http::CancelToken& stop);
  Result<void> lead(const http::CancelToken& stop);
  void stopAll(bool orderly);
  void stuck(const std::string& what);
  std::string unsynced() const;

  const ManagerOptions options_;
  const Timing timing_;
  Registry& metrics_;
  Health healthz_{"healthz"};
  Health readyz_{"readyz"};
  std::vector<std::shared_ptr<Synced>> reflectors_;
  std::vector<std::shared_ptr<Controller>> controllers_;
  std::vector<std::shared_ptr<Runnable>> others_;
  std::shared_ptr<LeaderElector> elector_;
  std::atomic<bool> cachesStarted_{false};
  std::vector<std::unique_ptr<http::Server>> servers_;
  std::unique_ptr<Crew> crew_;  // last: its threads use the others
};

}  // namespace rollback::runtime
