// What endings say: what state the application and its data are in, and the one command that goes on from there.
#pragma once

#include <string>

#include "rollback/step.h"

namespace rollback::reconcilers {

std::string kubectlDescribe(const StepContext& context);
// The command that gives up the lock of this rollback by hand.
std::string unlockCommand(const StepContext& context);
// After a success: what runs, what is kept until when, how to undo it.
std::string successMessage(const StepContext& context);
// After a dry run: what was proven, what would be lost, how to do it.
std::string plannedMessage(const StepContext& context);
// What a held application and its data are left as.
std::string heldState(StepContext& context);
// What stays of a rollback whose namespace is being deleted.
std::string letGoMessage(StepContext& context);

}  // namespace rollback::reconcilers
