// The rollback engine: a FrameworkRollback's next move. The engine is the list of steps (steps.h); each step is one
// file with one decision function; the journal in status.steps says where it stands, so any process at any time
// re-decides the same.
//
// forward   Plan Lock VerifyBackup Stage | Quiesce Switch Resume | Verify Close
// abandon   (a step failed before Quiesce)  StopJobs Discard Unlock            → Failed/NothingTouched, Aborted
// revert    (a step failed after Quiesce)   StopJobs RevertQuiesce SwitchBack RevertResume Discard Unlock → Reverted
// hold      (the same, spec.onFailure: Hold) StopJobs                          → Failed/Held, the lock stays
// take over (undo of a held one)            Plan Lock, then as a revert        → Succeeded
#pragma once

#include "common/decision.h"
#include "common/settings.h"
#include "common/snapshot.h"

namespace rollback::reconcilers {

Decision reconcileRollback(const RollbackSnapshot& snapshot, const Settings& settings);

}  // namespace rollback::reconcilers
