#include "rollback/other_clients.h"

#include <algorithm>
#include <set>

#include "rollback/refusals.h"

namespace rollback::reconcilers {
namespace {

// To the server: its own tools, or an exec into its pod, which end by themselves.
bool isLocal(const std::string& address) {
  return address.empty() || address == "::1" || address.rfind("127.", 0) == 0;
}

}  // namespace

std::optional<StepResult> refuseOtherClients(const StepContext& context, const PostgresDriver& driver,
                                             const Inspection& seen) {
  const auto& pg = *driver.store.postgres;
  if (pg.otherClients == "Terminate" || !pg.directHost.empty()) return std::nullopt;
  const auto* looked = context.findRecord("Plan", driver.store.name);
  WallTime since{};
  if (!looked || !parseTime(looked->startedAt, since)) return std::nullopt;
  std::set<std::string> ours;
  for (const auto& component : context.components())
    for (const auto& pod : component.view->pods) {
      WallTime created{};
      if (!parseTime(pod.meta.creationTimestamp, created) || created >= since) return std::nullopt;
      ours.insert(pod.podIP);
    }
  ours.erase("");
  const auto isOurs = [&](const Inspection::Session& session) { return ours.count(session.address) > 0; };
  if (std::none_of(seen.sessions.begin(), seen.sessions.end(), isOurs)) return std::nullopt;
  for (const auto& session : seen.sessions)
    if (!isLocal(session.address) && !isOurs(session))
      return refuse("ForeignSession",
                    "database " + pg.database + " of store " + driver.store.name + " is used from " + session.address +
                        " too, as role " + session.user +
                        (session.application.empty() ? "" : " by " + session.application) +
                        ", which is no pod of this framework and would not be stopped with it; stop it, make its "
                        "workload a component, or have such sessions ended at the switch: "
                        "stores[].postgres.otherClients: Terminate");
  return std::nullopt;
}

}  // namespace rollback::reconcilers
