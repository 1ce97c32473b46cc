// Who else works on a database under the application's own role: a script, a CronJob, a workload that is no component.
// It would not be stopped with the application, and the switch would find it only when that has been.
#pragma once

#include <optional>

#include "rollback/step.h"

namespace rollback::reconcilers {

// Told by the addresses of the sessions that inspect saw, beside those of the components' pods. Nothing is refused
// where addresses tell nothing: not one session comes from a pod of ours (a pooler, a mesh, a NAT, the host's network
// is in between), a pod is younger than the look inside, or the store has its other clients' sessions ended.
std::optional<StepResult> refuseOtherClients(const StepContext& context, const PostgresDriver& driver,
                                             const Inspection& seen);

}  // namespace rollback::reconcilers
