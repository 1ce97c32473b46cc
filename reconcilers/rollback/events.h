// The Events of a rollback: its story for `kubectl describe`, told by what a status write changes. Each line is told
// once, because each change is written once.
#pragma once

#include <vector>

#include "api/framework_rollback.h"
#include "common/decision.h"

namespace rollback::reconcilers {

// What to tell about the step from one status to the next: the phase if it moved, and what was proven, staged, switched
// or given up meanwhile. Empty most of the time. A pure function.
std::vector<Event> eventsOf(const api::FrameworkRollback& before, const api::FrameworkRollback& after);

}  // namespace rollback::reconcilers
