// LeaderElector: at most one replica writes. A Lease (coordination.k8s.io/v1) is taken, renewed, and given back on a
// clean stop, compatible with client-go's tools/leaderelection, with two differences: others are judged by the time
// since *we* last saw the record change, never by the time it claims; and leadership is enforced, not hoped for:
// writeGate() makes the client refuse every mutating request later than the last renewal + renewDeadline, so a stalled
// leader cannot write late.
//
// The elector's own client has no gate, and no other traffic, so that a hung request elsewhere cannot cost the lease.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kube/client/client.h"
#include "runtime/metrics.h"
#include "runtime/runnable.h"
#include "runtime/timing.h"

namespace rollback::runtime {

struct LeaderElectionOptions {
  std::string namespace_, name;  // of the Lease
  std::string identity;          // of this process: leaderIdentity()
  Millis leaseDuration{15000};
  Millis renewDeadline{10000};
  Millis retryPeriod{2000};
};

// "<hostname>_<random uuid>": a restarted process is another candidate.
std::string leaderIdentity(const std::string& hostname, const Random& random);

struct LeaderCallbacks {
  std::function<void()> onStarted;                         // we lead; must not block
  std::function<void()> onLost;                            // we no longer do, against our will; must not block
  std::function<void(const std::string& identity)> onNew;  // somebody else, or we, lead from now on
};

class LeaderElector final : public Runnable {
 public:
  // BadInput unless leaseDuration > renewDeadline > 1.2 × retryPeriod and all names are set.
  static Result<std::shared_ptr<LeaderElector>> make(LeaderElectionOptions options,
                                                     std::shared_ptr<kube::Client> client, Timing timing,
                                                     LeaderCallbacks callbacks, Registry& metrics);
  ~LeaderElector() override;

  // Another onStarted, for the Manager; before run().
  void whenLeading(std::function<void()> then);

  std::string name() const override { return "leader-election"; }
  // Acquires and renews until `stop` (releases the Lease if held, ok) or until the lease is lost (Fenced). Set `stop`
  // only when no worker runs any more.
  Result<void> run(const http::CancelToken& stop) override;
  // One attempt to acquire or renew; returns how long to wait before the next, or Fenced once the lease is lost. run()
  // is this and the waiting.
  Result<Millis> step(const http::CancelToken& stop);
  // Gives the Lease back if it is held. The gate is shut before anything is sent.
  void release();

  // Thread-safe, and may be called after the elector is gone (Fenced).
  kube::WriteGate writeGate() const;
  bool leading() const;  // thread-safe
  // For /healthz: an error if we lead by our own account but did not renew for leaseDuration + 10 s. Thread-safe.
  Result<void> healthy() const;

 private:
  class Machine;
  explicit LeaderElector(std::unique_ptr<Machine> machine);
  std::unique_ptr<Machine> machine_;
};

}  // namespace rollback::runtime
