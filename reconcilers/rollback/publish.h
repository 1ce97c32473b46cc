// From the journal to what people and tools read: phase, conditions (kstatus: Ready, Reconciling, Stalled; kubectl
// wait: Completed, Succeeded), printer columns. Derived anew at every write; nothing decides from them.
#pragma once

#include <string>

#include "rollback/step.h"

namespace rollback::reconcilers {

// Ends the rollback: phase, reason, message, conditions, completedAt.
void publishEnding(StepContext& context, api::Phase phase, const std::string& reason, const std::string& message);
// While it works: `phase` and `step` it is in, `waiting` what it waits for (may be empty), `reason` the conditions'
// (empty: the step).
void publishProgress(StepContext& context, api::Phase phase, const std::string& step, const std::string& waiting,
                     const std::string& reason = "");
// A condition of the engine's own (Planned, BackupVerified, Staged, Switched, Verified, Suspended).
void publishCondition(StepContext& context, const std::string& type, const std::string& status,
                      const std::string& reason, const std::string& message);

}  // namespace rollback::reconcilers
