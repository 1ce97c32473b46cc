#include "rollback/events.h"

#include <algorithm>

namespace rollback::reconcilers {
namespace {

using api::Phase;

bool became(const api::FrameworkRollback& before, const api::FrameworkRollback& after, const char* condition,
            const char* status) {
  const auto* was = kube::findCondition(before.status.conditions, condition);
  const auto* is = kube::findCondition(after.status.conditions, condition);
  return is && is->status == status && !(was && was->status == status);
}

std::string backupOf(const api::FrameworkRollback& rollback) {
  const auto& plan = rollback.status.plan;
  if (!plan || !plan->backup) return "the backup";
  return plan->backup->name.empty() ? "backup " + plan->backup->path : "backup " + plan->backup->name;
}

// "2.0.0 to 1.0.0", as far as it is known.
std::string way(const api::FrameworkRollback& rollback) {
  const auto& status = rollback.status;
  if (status.fromVersion.empty() || status.toVersion.empty()) return "framework " + rollback.spec.frameworkName;
  return "framework " + rollback.spec.frameworkName + " from " + status.fromVersion + " to " + status.toVersion;
}

bool restores(const api::FrameworkRollback& rollback) {
  if (!rollback.status.plan) return false;
  for (const auto& store : rollback.status.plan->stores)
    if (store.action != "Keep") return true;
  return false;
}

bool undoes(const api::FrameworkRollback& rollback) {
  if (!rollback.status.plan) return false;
  for (const auto& store : rollback.status.plan->stores)
    if (store.action == "Undo") return true;
  return false;
}

std::string stagedNote(const api::FrameworkRollback& rollback) {
  if (undoes(rollback)) return "the data that is kept is as it was left; the target image is there";
  if (restores(rollback))
    return "the data of " + backupOf(rollback) +
           " stands beside the live data and equals the backup; the target image is there";
  return "the target image is there; the data stays as it is";
}

std::string noteOf(Phase phase, const api::FrameworkRollback& rollback) {
  const auto& status = rollback.status;
  switch (phase) {
    case Phase::Planning:
      return "looking at target, backup and database of framework " + rollback.spec.frameworkName +
             "; nothing is touched";
    case Phase::Preparing:
      return "taking " + way(rollback) +
             (restores(rollback) ? ": the data is prepared beside the live data" : ": the data stays as it is") +
             "; the application serves";
    case Phase::Switching:
      return "stopping the application: everything is ready for " +
             (status.toVersion.empty() ? "the target" : status.toVersion);
    case Phase::Verifying: {
      std::string note = (status.toVersion.empty() ? "the target" : status.toVersion) + " is up";
      if (status.downtime) note += " after " + std::to_string(status.downtime->milliseconds) + " ms of downtime";
      return note + "; health, schema and invariants are checked";
    }
    case Phase::Reverting:
      return "going back to how it was before: " + status.message;
    default:
      return status.message.empty() ? "framework " + rollback.spec.frameworkName : status.message;
  }
}

Event event(const char* type, const std::string& reason, const std::string& note) {
  return {type, reason, "Rollback", note};
}

// Staged copies that Discard has just given up. The journal of a rollback that is deleted goes with it; an Event stays.
void tellOfLeftovers(const api::FrameworkRollback& before, const api::FrameworkRollback& after,
                     std::vector<Event>& out) {
  for (const auto& record : after.status.steps) {
    if (record.name != "Discard" || record.store.empty() || record.message.empty()) continue;
    const auto& were = before.status.steps;
    if (std::any_of(were.begin(), were.end(), [&](const auto& was) {
          return was.name == record.name && was.store == record.store && was.message == record.message;
        }))
      continue;
    std::string name;
    if (after.status.plan)
      for (const auto& store : after.status.plan->stores)
        if (store.name == record.store) name = store.stageName;
    out.push_back(event("Warning", "StagedCopyLeft",
                        "store " + record.store + (name.empty() ? "" : ", database " + name) + ": " + record.message));
  }
}

}  // namespace

std::vector<Event> eventsOf(const api::FrameworkRollback& before, const api::FrameworkRollback& after) {
  std::vector<Event> out;
  const auto &was = before.status.phase, &is = after.status.phase;
  if (!is || (was && api::isEnding(*was))) return out;
  tellOfLeftovers(before, after, out);
  // What was done before the phase moved on is told before it.
  if (became(before, after, "BackupVerified", "True"))
    out.push_back(event("Normal", "BackupVerified", backupOf(after) + " was read to its end and is what it says"));
  if (became(before, after, "Staged", "True")) out.push_back(event("Normal", "Staged", stagedNote(after)));
  if (became(before, after, "Switched", "True"))
    out.push_back(event("Normal", "Switched",
                        restores(after) ? "the target's data is live; the data from before is kept, closed"
                                        : std::string("the target image is set")));
  if (became(before, after, "Suspended", "True"))
    out.push_back(event("Normal", "Suspended", "waiting, because spec.suspend is true; the application serves"));
  // Pending says nothing that creating the object did not say.
  if (is != was && *is != Phase::Pending) {
    const bool bad = *is == Phase::Failed || *is == Phase::Reverting || *is == Phase::Reverted || *is == Phase::Aborted;
    out.push_back(event(bad ? "Warning" : "Normal", std::string("Rollback") + api::toString(*is), noteOf(*is, after)));
  }
  return out;
}

}  // namespace rollback::reconcilers
