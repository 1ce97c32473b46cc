#include "rollback/neighbours.h"

#include <algorithm>
#include <cstdint>
#include <map>

#include "rollback/refusals.h"

namespace rollback::reconcilers {
namespace {

bool restored(const api::PlannedStore& store) { return store.action == "Restore"; }

std::optional<StepResult> refusePair(const StepContext& context, const api::PlannedStore& one,
                                     const api::PlannedStore& other) {
  if (one.systemIdentifier != other.systemIdentifier || !restored(one)) return std::nullopt;
  if (one.liveOid == other.liveOid)
    return refuse("DatabaseShared", "stores " + one.name + " and " + other.name + " are one and the same database, " +
                                        one.database + "; describe it once");
  // Their steps hold a session in it all the time, and a database with sessions cannot be renamed.
  if (context.driver(other.name)->store.postgres->maintenanceDatabase == one.database)
    return refuse("ReservedDatabase", "database " + one.database + " of store " + one.name +
                                          " is the maintenanceDatabase of store " + other.name +
                                          ", so it could not be renamed; name another one there");
  return std::nullopt;
}

// Each fits by itself; all of one server have to fit at once. What is kept free for the server is needed once.
std::optional<StepResult> refuseSpace(const std::vector<std::pair<std::string, Inspection>>& inspections,
                                      const std::vector<api::PlannedStore>& stores) {
  struct Server {
    std::int64_t copies = 0, reserve = 0, available = INT64_MAX;
    std::string names;
    bool known = true;
  };
  std::map<std::string, Server> servers;
  for (const auto& store : stores)
    for (const auto& [name, seen] : inspections) {
      if (name != store.name || !restored(store)) continue;
      Server& server = servers[store.systemIdentifier];
      server.copies += seen.spaceRequired - seen.spaceReserve;
      server.reserve = std::max(server.reserve, seen.spaceReserve);
      server.available = std::min(server.available, seen.spaceAvailable);
      server.known = server.known && seen.spaceKnown;
      server.names += (server.names.empty() ? "" : ", ") + name;
    }
  for (const auto& [id, server] : servers)
    if (server.known && server.copies + server.reserve > server.available)
      return refuse("NotEnoughSpace",
                    "the staged copies of stores " + server.names + ", which are on one server, need " +
                        std::to_string(server.copies + server.reserve) + " bytes on its volume together, " +
                        std::to_string(server.available) + " are free; a full volume would stop the server");
  return std::nullopt;
}

}  // namespace

std::optional<StepResult> refuseNeighbours(const StepContext& context,
                                           const std::vector<std::pair<std::string, Inspection>>& inspections,
                                           const std::vector<api::PlannedStore>& stores) {
  for (const auto& one : stores)
    for (const auto& other : stores)
      if (&one != &other)
        if (auto refused = refusePair(context, one, other)) return refused;
  return refuseSpace(inspections, stores);
}

}  // namespace rollback::reconcilers
