// Undo: the data a rollback switched out comes back, with the images there were. Two ways to it.
//
// The target succeeded: an ordinary rollback whose copies are not staged but kept already; what it switches out is kept
// as `…_reverted_<id>`, so it can be undone in turn, and it is taken back itself if it fails.
// The target is held (it ended and kept its lock): its lock is taken over, with the record of how the application was
// before it, and what a revert would have done is done now, by the same steps.
#pragma once

#include <optional>
#include <string>

#include "rollback/step.h"

namespace rollback::reconcilers {

// Plan of a rollback with spec.to.undo; like planStep.
StepResult planUndo(StepContext& context);
// What objects alone say against the undo: also asked in the pass that takes the lock, so that what the plan rests on
// cannot have gone in between.
std::optional<StepResult> refuseUndo(const StepContext& context);
// By its plan, this one takes over the lock of a held rollback.
bool takesOver(const StepContext& context);
// The rollback to undo holds the lock, and does nothing more.
bool heldByTarget(const StepContext& context);

// The one command that undoes `rollback`; `dataLoss`: what was written since leaves service by it.
std::string undoCommand(const api::FrameworkRollback& rollback, bool dataLoss);

}  // namespace rollback::reconcilers
