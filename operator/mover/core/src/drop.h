// Dropping copies of ours, aimed: name and OID, never live. Shared by discard and cleanup; private.
#pragma once

#include <string>

#include "mover/swap.h"

namespace rollback::mover {

// A missing one is success with false. WrongDatabase: another database has the name; LiveDatabase: it is live.
Result<bool> dropDatabase(SwapSession& swap, const Task& task, const std::string& name, Oid oid);

// Connects, trying again while the server is away.
Result<void> connectPatiently(SwapSession& swap, Environment& env, Deadline deadline);

}  // namespace rollback::mover
