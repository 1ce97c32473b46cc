// What a reconciler sees: live reads of one moment, taken by the program (operator/manager) in the pass that decides.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/backup.h"
#include "api/framework.h"
#include "api/framework_class.h"
#include "api/framework_rollback.h"
#include "base/clock.h"
#include "jobs/outcome.h"
#include "kube/objects/workloads.h"

namespace rollback::reconcilers {

// A workload the framework names, and what runs of it.
struct WorkloadView {
  std::optional<kube::Workload> workload;  // absent: it does not exist
  std::vector<kube::Pod> pods;             // that its selector matches; of a CronJob, those of its Jobs
  std::vector<std::string> runs{};         // of a CronJob: its Jobs that have not ended
};

// Whether the namespace let us in: the answer of a SelfSubjectAccessReview asked as its runner.
struct OptIn {
  bool allowed = false;
  std::string reason;
};

// The part that is common to everything done in a user's namespace.
struct NamespaceSnapshot {
  WallTime now;
  std::string newToken;  // fresh randomness for this pass
  bool terminating = false;
  OptIn optIn;
  std::optional<api::Framework> framework;
  std::optional<api::FrameworkClass> frameworkClass;
  std::optional<api::BackupRepository> repository;  // the one the object or its framework names
  bool repositoryClaimExists = false;
  std::map<std::string, WorkloadView> workloads;  // key "Deployment/shop": components and tools
  // Read only while a plan is made: the claims of those workloads by name, and who scales them by itself.
  std::map<std::string, kube::PersistentVolumeClaim> claims;
  std::vector<kube::HorizontalPodAutoscaler> autoscalers;
  bool autoscalersKnown = true;    // false: the runner may not list them
  std::vector<JobView> jobs;       // owned by the object (label owner-uid)
  std::vector<kube::Pod> orphans;  // pods with the same label whose Job is gone

  const WorkloadView* workload(const std::string& kind, const std::string& name) const {
    const auto it = workloads.find(kind + "/" + name);
    return it == workloads.end() ? nullptr : &it->second;
  }
};

// What an earlier rollback of the framework that succeeded took; from the cache: an estimate is made of it, no
// decision.
struct MeasuredDowntime {
  std::string rollback, completedAt;
  std::int64_t milliseconds = 0;
};

struct RollbackSnapshot {
  NamespaceSnapshot ns;
  api::FrameworkRollback rollback;
  std::vector<api::FrameworkBackup> backups;         // of the framework
  std::optional<kube::ConfigMap> ledger;             // named ledgerName(rollback)
  std::optional<api::FrameworkRollback> undoTarget;  // the one spec.to.undo names; absent: there is none
  std::vector<std::pair<std::string, std::string>>
      frameworkSharers;                      // framework, store: others on one of our databases
  std::optional<MeasuredDowntime> measured;  // the newest
};

struct BackupSnapshot {
  NamespaceSnapshot ns;
  api::FrameworkBackup backup;
};

struct FrameworkSnapshot {
  NamespaceSnapshot ns;
  api::Framework object;
  // The rollback that the lock names, by a live read. Ended: it keeps the lock and does nothing more. Over: it ended
  // without the lock. Gone: there is none, or another of the same name.
  enum class Holder { None, Present, Ended, Over, Gone } holder = Holder::None;
  Holder backupHolder = Holder::None;  // the same of status.activeBackup: Present, Over or Gone
  std::vector<JobView> lostJobs;       // of a rollback that is gone and holds the lock
  std::vector<kube::Pod> lostOrphans;
};

struct RepositorySnapshot {
  NamespaceSnapshot ns;
  api::BackupRepository object;
  // While a scan's result is waited for or applied; else empty.
  std::vector<api::FrameworkBackup> backups;               // of the namespace
  std::map<std::string, std::string> frameworkRepository;  // framework of the namespace → the repository it names
  std::set<std::string> neededBackups;                     // named by a FrameworkRollback or its plan
};

}  // namespace rollback::reconcilers
