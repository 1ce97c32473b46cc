// What the stores of one Framework are to each other when they live on one server. Which server that is only their
// Jobs can say: two addresses may be one, and one address two.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rollback/step.h"

namespace rollback::reconcilers {

// Why stores that must go back cannot do so together; absent: they can. Each can by itself.
std::optional<StepResult> refuseNeighbours(const StepContext& context,
                                           const std::vector<std::pair<std::string, Inspection>>& inspections,
                                           const std::vector<api::PlannedStore>& stores);

}  // namespace rollback::reconcilers
