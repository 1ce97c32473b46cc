// What a plan tells people besides what it decides: what would be lost, how long it would take, whether it fits. Never
// a number nobody measured or counted, and never part of the plan's digest.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "rollback/step.h"

namespace rollback::reconcilers {

// Tables whose rows differ, sessions, space: of a store that is restored.
void tellWhatChanges(const Inspection& seen, api::PlannedStore& planned);
// The sentence for plan.dataLoss.
std::string dataLoss(const StepContext& context, const std::vector<std::pair<std::string, Inspection>>& inspections,
                     const std::vector<api::PlannedStore>& stores);
// From an earlier rollback of this framework, else from how long the pods that run took to become ready, else unknown.
api::PlannedDowntime expectedDowntime(const StepContext& context);
// The CronJobs among the components: when they are suspended, and that a run which falls due meanwhile is made up for.
std::vector<std::string> plannedSchedules(const StepContext& context);
// What Verify will ask: health checks of components with a Service, checks of the class, invariants, schemas.
std::vector<std::string> plannedChecks(const StepContext& context, const std::vector<api::PlannedStore>& stores);

}  // namespace rollback::reconcilers
