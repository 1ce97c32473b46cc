#include "rollback/plan_report.h"

#include <algorithm>
#include <map>

namespace rollback::reconcilers {
namespace {

std::string counted(const api::PlannedTable& table) {
  const std::string now = !table.rowsNow ? "none" : (table.estimated ? "about " : "") + std::to_string(*table.rowsNow);
  return table.name + ": " + now + " → " + (table.rowsInBackup ? std::to_string(*table.rowsInBackup) : "no such table");
}

std::int64_t lost(const api::PlannedTable& table) { return table.rowsNow.value_or(0) - table.rowsInBackup.value_or(0); }

int startLimitOf(const ComponentView& component) {
  int seconds = 0;
  if (component.described)
    for (const auto& health : component.described->health) seconds = std::max(seconds, health.timeoutSeconds);
  return seconds > 0 ? seconds : 300;
}

// How long the slowest pod of a component took from its creation until it was ready; 0: no pod tells. A pod that was
// not ready for a while since tells more than the truth, one that took longer than it is given tells nothing.
Millis startOf(const ComponentView& component) {
  Millis slowest{0};
  for (const auto& pod : component.view->pods) {
    WallTime created{}, ready{};
    if (!pod.ready || !parseTime(pod.meta.creationTimestamp, created) || !parseTime(pod.readySince, ready)) continue;
    const auto took = std::chrono::duration_cast<Millis>(ready - created);
    if (took > std::chrono::seconds(startLimitOf(component))) continue;
    slowest = std::max(slowest, took);
  }
  return slowest;
}

}  // namespace

void tellWhatChanges(const Inspection& seen, api::PlannedStore& planned) {
  planned.requiredBytes = seen.spaceRequired;
  if (seen.spaceKnown) planned.availableBytes = seen.spaceAvailable;
  std::map<std::string, api::PlannedTable> tables;
  for (const auto& table : seen.tables) {
    auto& line = tables[table.name];
    line.rowsNow = table.rows;
    line.estimated = !table.exact;
  }
  if (seen.backup)
    for (const auto& table : seen.backup->tables) tables[table.name].rowsInBackup = table.rows;
  for (auto& [name, table] : tables) {
    table.name = name;
    if (table.rowsNow && table.rowsInBackup && *table.rowsNow == *table.rowsInBackup) continue;
    planned.tables.push_back(table);
  }
  std::stable_sort(planned.tables.begin(), planned.tables.end(),
                   [](const auto& a, const auto& b) { return lost(a) > lost(b); });
  planned.tablesDiffering = static_cast<int>(planned.tables.size());
  if (planned.tables.size() > 64) planned.tables.resize(64);
  for (const auto& session : seen.sessions)
    planned.clients.push_back({session.user, session.application, session.address, session.count});
  if (planned.clients.size() > 16) planned.clients.resize(16);
}

std::string dataLoss(const StepContext& context, const std::vector<std::pair<std::string, Inspection>>& inspections,
                     const std::vector<api::PlannedStore>& stores) {
  std::string out;
  for (const auto& store : stores) {
    if (store.action != "Restore") continue;
    for (const auto& [name, seen] : inspections) {
      if (name != store.name || !seen.backup) continue;
      WallTime created{};
      if (parseTime(seen.backup->createdAt, created))
        out += (out.empty() ? "" : "; ") + std::string("what was written to store ") + name + " since " +
               seen.backup->createdAt + " (" +
               std::to_string(std::chrono::duration_cast<std::chrono::minutes>(context.now() - created).count()) +
               " min) leaves service";
      for (std::size_t i = 0; i < store.tables.size() && i < 5; ++i)
        out += (i ? ", " : ", in rows now → in the backup: ") + counted(store.tables[i]);
      if (store.tablesDiffering > 5) out += " and " + std::to_string(store.tablesDiffering - 5) + " tables more";
      out += "; it is kept, closed, in database " + store.prevName + " for " + context.draft.spec.keepPreviousFor;
    }
  }
  return out;
}

api::PlannedDowntime expectedDowntime(const StepContext& context) {
  api::PlannedDowntime out;
  Millis starts{0};
  std::string silent;
  for (const auto& component : context.components()) {
    const auto& workload = component.view->workload;
    if (workload && (workload->replicas == 0 || workload->isCronJob())) continue;  // it rests, or nobody waits for it
    out.startLimitSeconds += startLimitOf(component);
    const Millis took = startOf(component);
    if (took.count() == 0) silent = component.key();
    starts += took;
  }
  if (const auto& earlier = context.in.measured) {
    out.expectedMilliseconds = earlier->milliseconds;
    out.basis = "measured by rollback " + earlier->rollback + " of this framework, which ended " + earlier->completedAt;
  } else if (silent.empty() && starts.count() > 0) {
    out.expectedMilliseconds = starts.count();
    out.basis =
        "the pods that run took this long to become ready, one component after the other; stopping them comes on top";
  } else {
    out.basis = "unknown: no rollback of this framework has measured it" +
                (silent.empty() ? std::string() : ", and no pod of " + silent + " tells how long it takes to start");
  }
  return out;
}

std::vector<std::string> plannedSchedules(const StepContext& context) {
  std::vector<std::string> out;
  for (const auto& component : context.components()) {
    const auto& workload = component.view->workload;
    if (!workload || !workload->isCronJob()) continue;
    const std::string what = component.key() + " (" + workload->schedule + ")";
    if (workload->replicas == 0) {
      out.push_back(what + " is suspended and stays so");
      continue;
    }
    // https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-suspension
    out.push_back(what +
                  " is suspended from Quiesce until the target is verified, its Jobs that run are waited for while the "
                  "application serves; a run that falls due meanwhile is started when it is resumed, unless its "
                  "startingDeadlineSeconds has passed");
  }
  return out;
}

std::vector<std::string> plannedChecks(const StepContext& context, const std::vector<api::PlannedStore>& stores) {
  std::vector<std::string> out;
  for (const auto& url : healthUrls(context.framework().spec, context.classSpec(), context.draft.meta.namespace_))
    out.push_back("health " + url.name);
  for (const auto& store : stores) {
    if (store.targetSchema.known()) out.push_back("schema of " + store.name);
    if (const auto* described = findStoreClass(context.classSpec(), store.name))
      for (const auto& check : described->checks)
        if (check.min) out.push_back("invariant " + store.name + "/" + check.name);
  }
  return out;
}

}  // namespace rollback::reconcilers
