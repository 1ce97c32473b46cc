// Bugs seeded on purpose, one a run, by which the rules are tested: what is changed is what a reconciler sees or
// decides, what a mover does, or how a request is sent. Each must be caught, and by the rule named here.
#pragma once

#include <string>
#include <vector>

#include "common/decision.h"
#include "common/snapshot.h"

namespace rollback::sim {

enum class Mutant {
  None,
  SkipLedger,         // no entry of what was executed is made or looked for
  GoBeforePodsGone,   // pods that are still there are not seen
  RunsUnseen,         // Jobs of a CronJob that run are not seen
  WorkersUnseen,      // pods of the second Deployment are not seen
  WorkersForgotten,   // the second Deployment keeps its image
  ScaleUnaimed,       // preconditions of a patch are left out
  DeleteUnaimed,      // preconditions of a delete are left out
  StatusUnaimed,      // a status is written over whatever is there
  JobsRunAtOnce,      // Jobs are created running
  RestoreTwice,       // every attempt restores into the first one's shadow, which nobody fences
  PrevLeftOpen,       // the previous database is not closed
  LockReleasedEarly,  // the framework is unlocked while the application is down
  LockOverwritten,    // another's lock is not seen
  WriteAfterEnd,      // a status is written after the ending
  ActUnrecorded,      // a Job is created that no journal names
  StartUnrecorded,    // a Job is started before its uid is journaled
  LeaseIgnored,       // writes are sent whether this process leads or not
  BackupUnverified,   // the verification of the backup is taken for done
  FinalizerFirst,     // a deleted rollback lets go at once
  ActAsOperator,      // writes in the user's namespace are sent as the operator itself
  EndBeforeJobs,      // ends without looking at pods that still run
  SaysUntouched,      // a revert that is said to have touched nothing
  CleanUpEarly,       // kept copies are dropped before their time
  KeptForgotten,      // the lock is released without saying what is kept
  SecretInStatus,     // a password in a message
  HotLoop,            // writes a status at each look
  ImageAfterSwitch,   // the target image is not set before the data is switched
  NeverGivesUp,       // no deadline
  NoRevert,           // ends where it failed
  DropsPrevious,      // the mover drops the previous database once the new one is live
  ForgetsToRequeue,   // what waits for time alone is never looked at again
  Placebo,            // goes the way of the others, and changes nothing: no bug, and no rule may find one
};

struct MutantInfo {
  Mutant mutant;
  const char* name;
  const char* rule;      // that catches it
  const char* scenario;  // in which
};
const std::vector<MutantInfo>& mutants();  // all but Placebo
inline bool sound(Mutant mutant) { return mutant == Mutant::None || mutant == Mutant::Placebo; }

// Before and after a reconciler of rollbacks (or frameworks) decides.
void mutateSnapshot(Mutant mutant, reconcilers::RollbackSnapshot& in);
void mutateSnapshot(Mutant mutant, reconcilers::FrameworkSnapshot& in);
void mutateDecision(Mutant mutant, const reconcilers::RollbackSnapshot& in, reconcilers::Decision& out);
void mutateDecision(Mutant mutant, const reconcilers::FrameworkSnapshot& in, reconcilers::Decision& out);

}  // namespace rollback::sim
