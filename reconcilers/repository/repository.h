// BackupRepository: says whether its claim can be used. Touches nothing but its own status.
#pragma once

#include "common/decision.h"
#include "common/settings.h"
#include "common/snapshot.h"

namespace rollback::reconcilers {

Decision reconcileRepository(const RepositorySnapshot& snapshot, const Settings& settings);

}  // namespace rollback::reconcilers
