#include "rollback/target.h"

#include <algorithm>

#include "api/duration.h"
#include "common/version.h"

namespace rollback::reconcilers {
namespace {

Error refuse(std::string reason, std::string message) {
  Error error;
  error.code = ErrorCode::BadInput;
  error.reason = std::move(reason);
  error.message = std::move(message);
  return error;
}

const api::RunningVersion* historyOf(const api::FrameworkStatus& status, const std::string& version) {
  for (const auto& past : status.history)
    if (past.version == version) return &past;
  const auto& running = status.running;
  return running && running->version == version && !running->healthySince.empty() ? &*running : nullptr;
}

bool usable(const api::FrameworkBackup& backup) {
  return backup.status.phase == "Completed" && !backup.status.verifiedAt.empty() && !backup.status.unsettled &&
         !backup.meta.deleting();
}

// Found by a scan and not read yet: good enough for who names it, because VerifyBackup reads it before anything stops.
bool looksWhole(const api::FrameworkBackup& backup) {
  const auto* ready = kube::findCondition(backup.status.conditions, "Ready");
  return backup.status.phase == "Listed" && ready && ready->status == "True" && !backup.status.digest.empty() &&
         !backup.meta.deleting();
}

api::PlannedBackup planned(const api::FrameworkBackup& backup) {
  return {backup.meta.name,      backup.status.path,      backup.status.digest,
          backup.status.version, backup.status.createdAt, backup.status.sizeBytes};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> imagesFor(
    const StepContext& context, const std::string& version,
    const std::vector<std::pair<std::string, std::string>>& fromBackup, const api::RunningVersion* history) {
  // A CronJob's image of another repository and with another tag than the first component's is of no version of the
  // framework: it calls the application by curl. Of a Deployment nobody knows: it gets the tag, which is refused if
  // there is no such image.
  const auto* first = context.components().empty() ? nullptr : context.components().front().container();
  const auto ofTheFramework = [&](const ComponentView& component) {
    if (!first || !component.view->workload->isCronJob()) return true;
    const std::string &a = first->image, &b = component.container()->image;
    return repositoryOf(a) == repositoryOf(b) || versionOf(b).empty() || versionOf(b) == versionOf(a);
  };
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& component : context.components()) {
    if (!component.container()) continue;
    const std::string& name = component.component->name;
    std::string image = imageIn(fromBackup, name);
    if (image.empty() && history) image = imageIn(history->images, name);
    if (image.empty())
      image = ofTheFramework(component) ? withTag(component.container()->image, version) : component.container()->image;
    out.emplace_back(name, image);
  }
  return out;
}

Result<Target> resolveTarget(const StepContext& context) {
  const auto& spec = context.draft.spec;
  const auto& status = context.framework().status;
  Target target;
  target.version = spec.to.version;

  if (spec.to.lastKnownGood) {
    const bool good = status.running && !status.running->healthySince.empty();
    const std::string now = good ? status.running->version : std::string();
    for (const auto& past : status.history)
      if (past.version != now && !past.version.empty()) {
        target.version = past.version;
        break;
      }
    if (target.version.empty())
      return refuse("NoKnownGoodVersion", "no earlier version of framework " + spec.frameworkName +
                                              " was ever recorded as healthy; name one in spec.to.version");
  }

  const api::FrameworkBackup* chosen = nullptr;
  if (!spec.to.backupName.empty()) {
    for (const auto& backup : context.in.backups)
      if (backup.meta.name == spec.to.backupName) chosen = &backup;
    if (!chosen)
      return refuse("BackupNotFound", "FrameworkBackup " + spec.to.backupName + " does not exist in this namespace");
    if (chosen->spec.frameworkName != spec.frameworkName)
      return refuse("BackupOfAnotherFramework", "FrameworkBackup " + spec.to.backupName + " is of framework " +
                                                    chosen->spec.frameworkName + ", not " + spec.frameworkName);
    if (chosen->status.unsettled)
      return refuse("BackupUnsettled",
                    "FrameworkBackup " + spec.to.backupName +
                        " was taken while version or schema changed; it is never a target. Choose another");
    const bool unproven = chosen->status.manifestVersion == 1 && !chosen->status.version.empty() &&
                          (chosen->status.phase == "Listed" || chosen->status.phase == "Completed");
    if (unproven && !spec.acceptUnverifiedBackup)
      return refuse("BackupUnverified",
                    "FrameworkBackup " + spec.to.backupName + " was made by a script: nothing proves its version " +
                        chosen->status.version +
                        ", and no data is restored from it. To take the version from it all the same, add to spec: "
                        "accept: {unverifiedBackup: true}");
    if (!usable(*chosen) && !looksWhole(*chosen) && !unproven)
      return refuse("BackupNotUsable", "FrameworkBackup " + spec.to.backupName +
                                           " is not a completed, verified backup (phase " +
                                           (chosen->status.phase.empty() ? "unknown" : chosen->status.phase) + ")");
    if (!target.version.empty() && chosen->status.version != target.version)
      return refuse("BackupOfAnotherVersion", "FrameworkBackup " + spec.to.backupName + " holds version " +
                                                  chosen->status.version + ", spec.to.version asks for " +
                                                  target.version);
    target.version = chosen->status.version;
    target.backupNamed = true;
    if (unproven) {
      target.withoutData = chosen->meta.name;
      chosen = nullptr;
    }
  } else if (!spec.to.backupPath.empty()) {
    target.backup = api::PlannedBackup{"", spec.to.backupPath, "", "", "", 0};
    target.backupNamed = true;
  } else {
    for (const auto& backup : context.in.backups) {
      if (!usable(backup) || backup.spec.frameworkName != spec.frameworkName || backup.status.version != target.version)
        continue;
      if (!chosen || backup.status.createdAt > chosen->status.createdAt) chosen = &backup;
    }
  }
  if (chosen) target.backup = planned(*chosen);
  target.history = historyOf(status, target.version);
  if (!target.version.empty())
    target.images =
        imagesFor(context, target.version,
                  chosen ? chosen->status.images : std::vector<std::pair<std::string, std::string>>{}, target.history);
  return target;
}

}  // namespace rollback::reconcilers
