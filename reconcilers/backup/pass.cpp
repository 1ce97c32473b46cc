// What a pass can answer: a request, a status write with its conditions and Event, or both kinds of wait.
#include "backup/pass.h"

#include "api/resources.h"
#include "common/conditions.h"
#include "common/opt_in.h"
#include "common/status.h"

namespace rollback::reconcilers {

Decision BackupPass::act(std::vector<kube::Request> requests) const {
  Decision decision;
  decision.requests = std::move(requests);
  decision.again = true;
  decision.requeueAfter = Millis(1000);
  return decision;
}

Decision BackupPass::written() {
  Decision decision;
  draft_.status.observedGeneration = draft_.meta.generation;
  auto write = statusWrite(api::kFrameworkBackups, in_.backup, draft_, api::encodeFrameworkBackupStatus);
  if (!write) return decision;
  decision.requests.push_back(std::move(*write));
  const auto& phase = draft_.status.phase;
  if (phase != in_.backup.status.phase && phase != "Pending")
    decision.events.push_back(
        {phase == "Failed" ? "Warning" : "Normal", "Backup" + phase, "Backup",
         draft_.status.message.empty() ? "framework " + draft_.spec.frameworkName : draft_.status.message});
  decision.again = true;
  return decision;
}

Decision BackupPass::working(const std::string& phase, const std::string& reason, const std::string& message) {
  auto& status = draft_.status;
  status.phase = phase;
  status.message = message;
  const ConditionWriter write{status.conditions, in_.ns.now, draft_.meta.generation};
  write.set("Ready", "False", reason, message);
  write.set("Reconciling", "True", reason, message);
  write.set("Stalled", "False", "Working", "");
  write.set("Succeeded", "Unknown", reason, "");
  write.set("Completed", "False", reason, "");
  return written();
}

Decision BackupPass::waiting(const std::string& phase, const std::string& reason, const std::string& message,
                             Millis recheck) {
  Decision decision = working(phase, reason, message);
  decision.again = false;
  decision.requeueAfter = recheck;
  return decision;
}

Decision BackupPass::blocked(const Obstacle& obstacle) {
  if (obstacle.final) return failed("Lock", "", obstacle.code, obstacle.message);
  return waiting(draft_.status.phase.empty() ? "Pending" : draft_.status.phase, obstacle.code, obstacle.message,
                 obstacle.recheck);
}

Decision BackupPass::failed(const char* step, const std::string& store, const std::string& code,
                            const std::string& message) {
  auto& record = line(step, store);
  if (record.startedAt.empty()) record.startedAt = nowText();
  record.state = "Failed";
  record.token = code;
  record.message = message;
  record.completedAt = nowText();
  return working(draft_.status.phase.empty() ? "Pending" : draft_.status.phase, code, message);
}

Decision BackupPass::failed(const std::string& code, const std::string& message) {
  if (draft_.spec.path.empty())
    for (const char* step : {"Backup", "Settle"})
      if (const auto store = unfinished(step)) return failed(step, *store, code, message);
  return failed("Verify", unfinished("Verify").value_or(""), code, message);
}

Decision BackupPass::ended(const std::string& phase, const std::string& reason, const std::string& message) {
  auto& status = draft_.status;
  const bool good = phase == "Completed";
  const bool ready = good && !status.unsettled && !status.verifiedAt.empty();
  status.phase = phase;
  status.message = message;
  status.completedAt = nowText();
  const ConditionWriter write{status.conditions, in_.ns.now, draft_.meta.generation};
  write.set("Ready", ready ? "True" : "False", reason, message);
  write.set("Reconciling", "False", "Ended", "");
  // Taken but of no use by itself is nothing to wait for either: somebody has to decide.
  write.set("Stalled", ready ? "False" : "True", ready ? "Ended" : reason, ready ? "" : message);
  write.set("Succeeded", good ? "True" : "False", reason, message);
  write.set("Completed", "True", reason, "");
  return written();
}

Decision BackupPass::release() const {
  api::Framework framework = *in_.ns.framework;
  framework.status.activeBackup.reset();
  return act({frameworkStatus(framework)});
}

std::optional<Decision> BackupPass::stopJobs() {
  std::vector<kube::Request> deletes;
  std::string alive;
  for (const auto& view : in_.ns.jobs) {
    if (view.job.ended() && view.podsGone()) continue;
    alive = "Job " + view.job.meta.name;
    if (!view.job.meta.deleting()) deletes.push_back(deleteJob(view.job));
  }
  for (const auto& pod : in_.ns.orphans)
    if (!pod.ended()) alive = "pod " + pod.meta.name;
  if (alive.empty()) return std::nullopt;
  if (!in_.ns.optIn.allowed)
    return waiting(draft_.status.phase, kNotOptedIn, "cannot stop " + alive + ": " + in_.ns.optIn.reason,
                   Millis(10000));
  if (!deletes.empty()) return act(std::move(deletes));
  return waiting(draft_.status.phase, "StoppingJobs", "waiting for " + alive + " to end", Millis(1000));
}

}  // namespace rollback::reconcilers
