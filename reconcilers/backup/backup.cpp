#include "backup/backup.h"

#include <ctime>

#include "api/resources.h"
#include "backup/pass.h"
#include "common/finalizer.h"
#include "common/version.h"

namespace rollback::reconcilers {

bool hasEnded(const api::FrameworkBackup& backup) {
  const auto& phase = backup.status.phase;
  return phase == "Completed" || phase == "Failed" || phase == "Missing";
}

Decision BackupPass::decide() {
  if (draft_.meta.deleting()) return leave();
  if (isMereListing(draft_)) return {};
  if (hasEnded(draft_)) return tidy();
  if (failure()) return giveUp();
  return draft_.spec.path.empty() ? take() : import();
}

// Ended: what is ours and not needed any more goes.
Decision BackupPass::tidy() {
  if (ours()) return release();
  if (hasFinalizer(draft_.meta, api::kBackupFinalizer))
    return act({removeFinalizer(api::kFrameworkBackups, draft_.meta, api::kBackupFinalizer)});
  std::vector<kube::Request> deletes;
  if (draft_.status.phase == "Completed" && in_.ns.optIn.allowed)
    for (const auto& view : in_.ns.jobs)
      if (!view.job.meta.deleting()) deletes.push_back(deleteJob(view.job));
  // Else at most: that the latest spec was seen, which tools wait for.
  return deletes.empty() ? written() : act(std::move(deletes));
}

// Deleted: no Job of ours may outlive the lock. In a namespace that goes, everything in it goes anyway.
Decision BackupPass::leave() {
  const bool held = hasFinalizer(draft_.meta, api::kBackupFinalizer);
  if (!held && !ours()) return {};
  if (!in_.ns.terminating && in_.ns.optIn.allowed)
    if (auto decision = stopJobs()) return *decision;
  if (ours()) return release();
  return act({removeFinalizer(api::kFrameworkBackups, draft_.meta, api::kBackupFinalizer)});
}

Decision BackupPass::giveUp() {
  if (auto decision = stopJobs()) return *decision;
  if (ours()) return release();
  const auto* record = failure();
  const std::string of = stores().size() > 1 && !record->store.empty() ? " of store " + record->store : "";
  const std::string what = (draft_.spec.path.empty() ? record->name : "Reading " + draft_.spec.path) + of;
  return ended("Failed", record->token.empty() ? "Failed" : record->token,
               what + " failed: " + record->message +
                   " · the application was not touched and serves as before · nothing more is done; create another "
                   "FrameworkBackup to try again · " +
                   describe());
}

Decision BackupPass::take() {
  if (!succeeded("Lock")) return lock();
  if (findRecord(draft_.status.steps, "Unlock")) return unlock();
  if (!ours())
    return failed("LockLost", "Framework " + draft_.spec.frameworkName +
                                  " is gone, was re-created, or its lock was given to another");
  if (const auto stop = obstacleToRead(in_)) {
    // Nobody else may have the framework while we do: only for the right to stop our Jobs is it worth waiting.
    if (!in_.ns.optIn.allowed) return blocked(*stop);
    return failed(stop->code, stop->message);
  }
  if (const auto store = unfinished("Backup")) return runBackup(*store);
  if (const auto store = unfinished("Settle")) return runSettle(*store);
  if (const auto store = unfinished("Verify")) return runVerify(*store, false);
  auto& record = line("Unlock");
  record.state = "Running";
  record.startedAt = nowText();
  return working("Verifying", "Unlock", "");
}

Decision BackupPass::lock() {
  auto stop = obstacleToRead(in_);
  if (!stop) stop = obstacleToTake(in_, components_);
  if (stop && ours()) return failed("Lock", "", stop->code, stop->message);  // nobody waits while holding the lock
  if (stop) return blocked(*stop);
  auto& record = line("Lock");
  if (record.state.empty()) {
    record.state = "Running";
    record.startedAt = nowText();
    draft_.status.startedAt = nowText();
    return working("Pending", "Lock", "");
  }
  if (!hasFinalizer(draft_.meta, api::kBackupFinalizer))
    return act({addFinalizer(api::kFrameworkBackups, draft_.meta, api::kBackupFinalizer)});
  if (!ours()) {
    api::Framework framework = *in_.ns.framework;
    framework.status.activeBackup = api::ActiveBackup{draft_.meta.name, draft_.meta.uid, nowText()};
    return act({frameworkStatus(framework)});
  }
  // What runs now is what the backup must still be of when it is done.
  draft_.status.version = versionOf(components_.front().container()->image);
  draft_.status.images = imagesOf(components_);
  done("Lock");
  begin("Backup");
  return working("Running", "Backup", "");
}

Decision BackupPass::unlock() {
  if (ours()) return release();
  done("Unlock");
  auto& status = draft_.status;
  const std::string what =
      "backup of version " + status.version + ", " + std::to_string(status.sizeBytes) + " bytes in " + status.path;
  if (status.unsettled)
    return ended(
        "Completed", "Unsettled",
        what + ", was taken while version or schema changed: it is kept, but never a target. Take another one · " +
            describe());
  return ended("Completed", "Completed", what + ", proven by a full read");
}

Decision BackupPass::import() {
  if (const auto stop = obstacleToRead(in_)) return stop->final ? failed(stop->code, stop->message) : blocked(*stop);
  if (draft_.status.startedAt.empty()) {
    draft_.status.startedAt = nowText();
    begin("Verify");
  }
  return runVerify(unfinished("Verify").value(), true);
}

std::string backupPath(const std::string& framework, WallTime now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &utc);
  return framework + "/" + framework + "-backup-" + stamp;
}

Decision reconcileBackup(const BackupSnapshot& snapshot, const Settings& settings) {
  return BackupPass(snapshot, settings).decide();
}

}  // namespace rollback::reconcilers
