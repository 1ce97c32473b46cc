#include "manager/observations.h"

#include <algorithm>

namespace rollback::manager {
namespace {

bool over(const api::StepRecord& record) { return record.state == "Succeeded" || record.state == "Failed"; }

std::vector<EndedStep> ended(const std::vector<api::StepRecord>& before, const std::vector<api::StepRecord>& after,
                             WallTime now) {
  std::vector<EndedStep> out;
  for (const auto& record : after) {
    if (!over(record)) continue;
    const auto was = std::find_if(before.begin(), before.end(), [&](const api::StepRecord& each) {
      return each.name == record.name && each.store == record.store;
    });
    // The same end is told by the same state and time: a step that failed again after it was tried again ended again.
    if (was != before.end() && was->state == record.state && was->completedAt == record.completedAt) continue;
    WallTime from{}, to = now;
    if (!parseTime(record.startedAt, from)) continue;
    parseTime(record.completedAt, to);
    out.push_back({record.name, !record.store.empty(), record.state == "Succeeded",
                   std::max(0.0, std::chrono::duration<double>(to - from).count())});
  }
  return out;
}

}  // namespace

RollbackObservations observe(const api::FrameworkRollback& before, const api::FrameworkRollback& after, WallTime now) {
  RollbackObservations out;
  out.steps = ended(before.status.steps, after.status.steps, now);
  const auto &was = before.status.phase, &is = after.status.phase;
  if (!is || is == was) return out;
  out.reverting = *is == api::Phase::Reverting;
  if (!api::isEnding(*is)) return out;
  out.ended = *is;
  if (after.status.downtime && !after.status.downtime->endedAt.empty())
    out.downtimeSeconds = static_cast<double>(after.status.downtime->milliseconds) / 1000;
  return out;
}

BackupObservations observe(const api::FrameworkBackup& before, const api::FrameworkBackup& after, WallTime now) {
  BackupObservations out;
  out.steps = ended(before.status.steps, after.status.steps, now);
  const auto& is = after.status.phase;
  if (is != before.status.phase && (is == "Completed" || is == "Failed")) out.ended = is;
  return out;
}

}  // namespace rollback::manager
