// What the rules remember of the writes they have seen: a fold over the audit log.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "record.h"

namespace rollback::rules {

struct StepSeen {
  std::string name, store, state, jobName, jobUid;
};

struct RollbackSeen {
  std::string uid, namespace_, name, framework;
  std::string wish;  // name, framework and spec but for what may change: two with the same are the same wish
  std::string phase, reason;
  std::vector<StepSeen> steps;
  bool restores = false;  // a store of the plan goes back to a backup
  std::string undoes;     // name of the rollback that it undoes; empty: none
  bool hasFinalizer = false;
  bool mutated = false;  // a write Job was started, or a workload written, for it
  bool goGiven = false;
  bool backupRead = false;                                // a Job that verifies its backup was started
  bool applicationWritten = false;                        // scaled or its image set
  std::map<std::string, int> replicaWrites, imageWrites;  // by workload
  WallTime endedAt{};
  bool ended() const;
};

struct ComponentSeen {
  std::string workload;  // "deployments ns/name"
  int replicas = 0;
};

struct LockSeen {
  std::string uid, name;
  std::vector<ComponentSeen> components;
};

struct KeptSeen {
  std::string name;
  WallTime until{};
};

struct FrameworkSeen {
  std::string uid, namespace_, name;
  std::string unlock;  // the annotation
  LockSeen lock;       // uid empty: free
  std::string backup;  // uid of the backup that holds it
  std::vector<KeptSeen> kept;
  std::vector<StepSeen> steps;
};

struct BackupSeen {
  std::string uid;
  std::vector<StepSeen> steps;
};

struct WorkloadSeen {
  std::optional<int> replicas, statusReplicas;
  WallTime raisedAt{};  // when somebody last started it: from 0 to more
};

struct JobSeen {
  std::string uid, namespace_, name, ownerUid, ownerKind, step, store, effect, stageName;
  std::vector<std::string> drops;  // of a cleanup
  bool suspended = true, ended = false, gone = false;
  bool started = false;  // was unsuspended
};

class State {
 public:
  std::map<std::string, RollbackSeen> rollbacks;    // by uid
  std::map<std::string, FrameworkSeen> frameworks;  // by namespace/name
  std::map<std::string, BackupSeen> backups;        // by uid
  std::map<std::string, WorkloadSeen> workloads;    // "deployments ns/name"
  std::map<std::string, JobSeen> jobs;              // by namespace/name
  std::set<std::string> ledgers;                    // namespace/name
  std::map<std::string, std::string> wishDone;      // wish → uid of the first that mutated for it
  std::set<std::string> terminating;                // namespaces
  std::set<std::string> gone;                       // uids of rollbacks whose object is no more
  std::set<std::string> named;                      // "owner's uid/Job": was in a journal, which may have gone on since

  void apply(const Record& record);

  // The framework of that namespace whose lock names the workload; null: none.
  const FrameworkSeen* lockerOf(const std::string& namespace_, const std::string& workload) const;
  const FrameworkSeen* frameworkOf(const RollbackSeen& rollback) const;
};

// Readers shared by state and rules; absent members read as empty.
std::string textAt(const json* from, std::initializer_list<const char*> path);
const json* memberAt(const json* from, std::initializer_list<const char*> path);
std::vector<StepSeen> stepsOf(const json* status);
LockSeen lockOf(const json* framework, const std::string& namespace_);
bool isEndingPhase(const std::string& phase);
std::string workloadKey(const Record& record);
bool isWorkload(const Record& record);  // of a kind that a component may be
// Whether it writes how many of a workload are to run: its scale, or whether a CronJob is suspended.
bool scales(const Record& record);
// The last finalizer of a deleted object went, and the object with it.
bool takenAway(const json* object);
bool hasFinalizerIn(const json* object, const std::string& finalizer);

}  // namespace rollback::rules
