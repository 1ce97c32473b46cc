#include "drop.h"

#include "mover/names.h"
#include "mover/outcome.h"
#include "mover/quoting.h"

namespace rollback::mover {

Result<bool> dropDatabase(SwapSession& swap, const Task& task, const std::string& name, Oid oid) {
  auto seen = swap.look();
  if (!seen) return seen.error();
  const auto found = seen->databases.find(name);
  if (found == seen->databases.end()) return false;
  if (name == task.postgres.database || isReserved(name, task.postgres.maintenanceDatabase) ||
      !isKeptCopy(name, task.postgres.database))
    return problem(ErrorCode::Conflict, "LiveDatabase",
                   "database " + name + " is no kept copy of " + task.postgres.database + "; it is not dropped");
  if (oid != 0 && found->second.oid != oid)
    return problem(ErrorCode::Conflict, "WrongDatabase",
                   "database " + name + " has OID " + std::to_string(found->second.oid) + ", not " +
                       std::to_string(oid) + ": somebody else made it; it is not dropped");
  const Oid target = found->second.oid;
  if (auto ok = swap.setOpen(name, target, false); !ok) return ok.error();
  if (auto ok = swap.endSessions(target, name); !ok) return ok.error();
  // Idle slots and subscriptions would make DROP fail with a riddle.
  if (auto ok = swap.requireQuiet(target, name, {"*"}, Millis(0)); !ok) return ok.error();
  auto dropped = swap.query("drop database " + identifier(name));
  if (!dropped && sqlState(dropped.error()) == "3D000") return false;
  if (!dropped) return during("dropping database " + name, dropped.error());
  return true;
}

Result<void> connectPatiently(SwapSession& swap, Environment& env, Deadline deadline) {
  for (;;) {
    auto ok = swap.connect(deadline);
    if (ok) return ok;
    const bool away = ok.error().code == ErrorCode::Unavailable || connectionLost(ok.error());
    if (!away || deadline.expired(env.clock) || env.stop.requested()) return ok;
    env.waiter.sleep(Millis(500));
  }
}

}  // namespace rollback::mover
