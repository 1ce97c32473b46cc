// Triggers: what is watched, and which keys a change concerns. Caches hold projections: of a Deployment, a Job or a pod
// only what it takes to know whom it concerns.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/backup.h"
#include "api/framework.h"
#include "api/framework_class.h"
#include "api/framework_rollback.h"
#include "kube/client/client.h"
#include "manager/instruments.h"
#include "runtime/controller.h"
#include "runtime/reflector.h"
#include "runtime/store.h"

namespace rollback::manager {

// A built-in object as far as it is needed to know whom it concerns: some hundred bytes, of which there are as many as
// the cluster has workloads.
struct Trace {
  std::string namespace_, name, resourceVersion;
  std::string ownerKind, ownerName;  // our labels on Jobs and pods of ours
};
Result<Trace> decodeTrace(std::string_view json);

struct Controllers {
  std::shared_ptr<runtime::Controller> rollbacks, backups, frameworks, repositories;
};

// Owns the stores; outlives the reflectors and controllers.
class Triggers {
 public:
  Triggers(std::shared_ptr<kube::Client> client, runtime::Timing timing, runtime::Registry& metrics);
  // The reflectors to run; they enqueue into `controllers`.
  std::vector<std::shared_ptr<runtime::Synced>> reflectors(const Controllers& controllers);
  const runtime::Store<api::Framework>& frameworks() const { return frameworks_; }
  const runtime::Store<api::FrameworkRollback>& rollbacks() const { return rollbacks_; }
  // What is counted at a scrape. Thread-safe.
  Caches caches() const { return {frameworks_.list(), rollbacks_.list(), backups_.list(), repositories_.list()}; }
  // Counts Frameworks that come and go. Before reflectors(); `instruments` outlives them.
  void count(Instruments& instruments) { instruments_ = &instruments; }

 private:
  void frameworkChanged(const std::string& namespace_, const std::string& name);
  void workloadChanged(const std::string& kind, const Trace& workload);
  void ownedChanged(const Trace& owned);

  std::shared_ptr<kube::Client> client_;
  const runtime::Timing timing_;
  runtime::Registry& metrics_;
  Controllers controllers_;
  Instruments* instruments_ = nullptr;
  runtime::Store<api::FrameworkRollback> rollbacks_;
  runtime::Store<api::Framework> frameworks_;
  runtime::Store<api::FrameworkBackup> backups_;
  runtime::Store<api::BackupRepository> repositories_;
  runtime::Store<api::FrameworkClass> classes_;
  runtime::Store<Trace> jobs_, pods_, deployments_, statefulSets_, cronJobs_;
};

}  // namespace rollback::manager
