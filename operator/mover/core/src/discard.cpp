// discard: this rollback's shadow databases go, of this attempt and of earlier ones. What is live is never touched.
#include <nlohmann/json.hpp>

#include "drop.h"
#include "mover/names.h"
#include "mover/outcome.h"
#include "mover/verbs.h"

namespace rollback::mover {

Outcome discard(const Task& task, Environment& env) {
  const Deadline deadline = Deadline::after(env.clock, std::chrono::seconds(task.deadlineSeconds));
  const int last = stageAttempt(task.names.stage, task.postgres.database, task.id);
  if (last == 0)
    return refused(problem(
        ErrorCode::BadInput, "BadTask",
        "names.stage \"" + task.names.stage + "\" is no shadow of " + task.postgres.database + " made for " + task.id));
  SwapSession swap(env, task);
  if (auto ok = connectPatiently(swap, env, deadline); !ok) return refused(ok.error());
  if (auto ok = swap.lock(task.expect.liveOid, deadline); !ok) return refused(ok.error());
  auto seen = swap.look();
  if (!seen) return refused(seen.error());
  nlohmann::json dropped = nlohmann::json::array();
  for (const auto& [name, database] : seen->databases) {
    const int attempt = stageAttempt(name, task.postgres.database, task.id);
    if (attempt == 0 || attempt > last) continue;
    auto done = dropDatabase(swap, task, name, database.oid);
    if (!done) return dropped.empty() ? refused(done.error()) : failed(done.error());
    if (*done) dropped.push_back(name);
  }
  return succeeded(nlohmann::json{{"dropped", dropped}}.dump());
}

}  // namespace rollback::mover
