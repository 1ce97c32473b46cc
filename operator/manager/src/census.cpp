#include "manager/census.h"

#include <algorithm>
#include <map>
#include <optional>

namespace rollback::manager {
namespace {

using runtime::Labels;
using Sink = runtime::Registry::Sink;
using Key = std::pair<std::string, std::string>;  // namespace, name of the Framework

Labels with(Labels labels, const std::string& name, const std::string& value) {
  labels.emplace_back(name, value);
  return labels;
}

std::optional<double> age(const std::string& since, WallTime now) {
  WallTime at{};
  if (!parseTime(since, at)) return std::nullopt;
  return std::max(0.0, std::chrono::duration<double>(now - at).count());
}

std::optional<double> timestamp(const std::string& text) {
  WallTime at{};
  if (!parseTime(text, at)) return std::nullopt;
  return std::chrono::duration<double>(at.time_since_epoch()).count();
}

void put(const Sink& out, const char* name, const Labels& labels, std::optional<double> value) {
  if (value) out({name, labels, *value});
}

// A backup a rollback may choose by itself: complete, read to its end, of one moment.
bool usable(const api::FrameworkBackup& backup) {
  return backup.status.phase == "Completed" && !backup.status.unsettled && !backup.status.verifiedAt.empty() &&
         !backup.meta.deleting();
}

void countFramework(const Sink& out, const api::Framework& framework, WallTime now) {
  const Labels of{{"namespace", framework.meta.namespace_}, {"framework", framework.meta.name}};
  const auto& status = framework.status;
  out({"rollback_framework_info",
       with(with(of, "class", framework.spec.className), "version",
            status.running ? status.running->version : std::string()),
       1});
  out({"rollback_framework_healthy", of, status.healthy ? 1.0 : 0.0});
  out({"rollback_framework_stores", of, static_cast<double>(framework.spec.stores.size())});
  out({"rollback_framework_locked", with(of, "by", "rollback"), status.activeRollback.has_value() ? 1.0 : 0.0});
  out({"rollback_framework_locked", with(of, "by", "backup"), status.activeBackup.has_value() ? 1.0 : 0.0});
  if (status.activeRollback)
    put(out, "rollback_framework_lock_age_seconds", with(of, "by", "rollback"), age(status.activeRollback->since, now));
  if (status.activeBackup)
    put(out, "rollback_framework_lock_age_seconds", with(of, "by", "backup"), age(status.activeBackup->since, now));
  std::map<std::string, int> kept{{"prev", 0}, {"reverted", 0}};
  std::optional<double> first;
  for (const auto& copy : status.kept) {
    ++kept[copy.kind];
    if (const auto until = timestamp(copy.until)) first = std::min(first.value_or(*until), *until);
  }
  for (const auto& [kind, count] : kept)
    out({"rollback_kept_copies", with(of, "kind", kind), static_cast<double>(count)});
  put(out, "rollback_kept_copy_first_expiry_timestamp_seconds", of, first);
}

// Since when it has been at the step it is at; since it began, where the journal has no such line.
std::string stepSince(const api::FrameworkRollback& rollback) {
  for (const auto& record : rollback.status.steps)
    if (record.name == rollback.status.step && record.store.empty() && !record.startedAt.empty())
      return record.startedAt;
  return rollback.status.startedAt.empty() ? rollback.meta.creationTimestamp : rollback.status.startedAt;
}

void countRollback(const Sink& out, const api::FrameworkRollback& rollback, bool locks, WallTime now) {
  const Labels of{{"namespace", rollback.meta.namespace_},
                  {"framework", rollback.spec.frameworkName},
                  {"rollback", rollback.meta.name}};
  const auto& status = rollback.status;
  if (status.phase && api::isEnding(*status.phase)) {
    // An ending that left the lock taken: nothing more happens until a person acts.
    if (locks) out({"rollback_needs_attention", with(of, "reason", status.reason), 1});
    return;
  }
  out({"rollback_active",
       with(with(of, "phase", status.phase ? api::toString(*status.phase) : "Pending"), "step", status.step), 1});
  put(out, "rollback_active_age_seconds", of, age(rollback.meta.creationTimestamp, now));
  put(out, "rollback_active_step_age_seconds", of, age(stepSince(rollback), now));
  out({"rollback_active_suspended", of, rollback.spec.suspend ? 1.0 : 0.0});
  put(out, "rollback_active_deadline_timestamp_seconds", of,
      timestamp(status.revertDeadline.empty() ? status.deadline : status.revertDeadline));
}

struct Backups {
  std::map<std::string, int> byPhase;
  const api::FrameworkBackup* newest = nullptr;  // usable
};

}  // namespace

const std::vector<std::pair<std::string, std::string>>& censusFamilies() {
  static const std::vector<std::pair<std::string, std::string>> families{
      {"rollback_framework_info", "A Framework, with the class it is of and the version that runs; always 1."},
      {"rollback_framework_healthy", "1 if the Framework's workloads are rolled out and ready."},
      {"rollback_framework_stores", "Stores the Framework declares."},
      {"rollback_framework_locked", "1 if a rollback, or a backup, holds the Framework."},
      {"rollback_framework_lock_age_seconds", "How long the Framework has been held."},
      {"rollback_kept_copies", "Databases kept, closed, for undo."},
      {"rollback_kept_copy_first_expiry_timestamp_seconds", "When the first kept database is due to be dropped."},
      {"rollback_active", "A rollback under way, with its phase and step; always 1."},
      {"rollback_active_age_seconds", "Age of a rollback under way."},
      {"rollback_active_step_age_seconds", "How long a rollback under way has been at its step."},
      {"rollback_active_suspended", "1 if spec.suspend of a rollback under way is set."},
      {"rollback_active_deadline_timestamp_seconds", "When a rollback under way, or its revert, runs out of time."},
      {"rollback_needs_attention",
       "A rollback that ended and left its Framework locked: a person has to act; always 1."},
      {"rollback_backups", "Entries of the catalogue by phase."},
      {"rollback_backup_age_seconds", "Age of the newest backup a rollback may choose by itself."},
      {"rollback_backup_verification_age_seconds", "Time since that backup was read to its end."},
      {"rollback_backup_size_bytes", "Size of that backup."},
      {"rollback_repository_ready", "1 if the BackupRepository can be used."},
  };
  return families;
}

void census(const Caches& caches, WallTime now, const Sink& out) {
  std::map<Key, const api::Framework*> frameworks;
  for (const auto& framework : caches.frameworks) {
    frameworks[{framework->meta.namespace_, framework->meta.name}] = framework.get();
    countFramework(out, *framework, now);
  }
  for (const auto& rollback : caches.rollbacks) {
    const auto found = frameworks.find({rollback->meta.namespace_, rollback->spec.frameworkName});
    const bool locks = found != frameworks.end() && found->second->status.activeRollback &&
                       found->second->status.activeRollback->uid == rollback->meta.uid;
    countRollback(out, *rollback, locks, now);
  }
  std::map<Key, Backups> backups;
  for (const auto& backup : caches.backups) {
    const Key key{backup->meta.namespace_, backup->spec.frameworkName};
    if (frameworks.count(key) == 0) continue;  // of nothing that is there: no label of its own
    Backups& of = backups[key];
    ++of.byPhase[backup->status.phase.empty() ? "Pending" : backup->status.phase];
    if (usable(*backup) && (!of.newest || of.newest->status.createdAt < backup->status.createdAt))
      of.newest = backup.get();
  }
  for (const auto& [key, of] : backups) {
    const Labels labels{{"namespace", key.first}, {"framework", key.second}};
    for (const auto& [phase, count] : of.byPhase)
      out({"rollback_backups", with(labels, "phase", phase), static_cast<double>(count)});
    if (!of.newest) continue;
    put(out, "rollback_backup_age_seconds", labels, age(of.newest->status.createdAt, now));
    put(out, "rollback_backup_verification_age_seconds", labels, age(of.newest->status.verifiedAt, now));
    out({"rollback_backup_size_bytes", labels, static_cast<double>(of.newest->status.sizeBytes)});
  }
  for (const auto& repository : caches.repositories) {
    const auto* ready = kube::findCondition(repository->status.conditions, "Ready");
    out({"rollback_repository_ready",
         {{"namespace", repository->meta.namespace_}, {"repository", repository->meta.name}},
         ready && ready->status == "True" ? 1.0 : 0.0});
  }
}

}  // namespace rollback::manager
