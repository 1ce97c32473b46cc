// cleanup: kept copies whose time is over go, each by name and OID. A missing one is success: somebody was here before.
#include <nlohmann/json.hpp>

#include "drop.h"
#include "mover/outcome.h"
#include "mover/verbs.h"

namespace rollback::mover {

Outcome cleanup(const Task& task, Environment& env) {
  const Deadline deadline = Deadline::after(env.clock, std::chrono::seconds(task.deadlineSeconds));
  for (const auto& item : task.drop)
    if (item.oid == 0 || item.name.empty())
      return refused(problem(ErrorCode::BadInput, "BadTask", "what is dropped is named by name and OID"));
  SwapSession swap(env, task);
  if (auto ok = connectPatiently(swap, env, deadline); !ok) return refused(ok.error());
  nlohmann::json dropped = nlohmann::json::array();
  Error first;
  bool bad = false;
  // One that cannot go is no reason to keep the others.
  for (const auto& item : task.drop) {
    // A previous copy is the original of its rollback: a switchback that wants it back holds the same lock.
    auto locked = swap.lock(item.oid, deadline);
    auto done = locked ? dropDatabase(swap, task, item.name, item.oid) : Result<bool>(locked.error());
    if (done && *done) dropped.push_back(item.name);
    if (done || bad) continue;
    bad = true;
    first = done.error();
  }
  if (bad) return dropped.empty() ? refused(first) : failed(first);
  return succeeded(nlohmann::json{{"dropped", dropped}}.dump());
}

}  // namespace rollback::mover
