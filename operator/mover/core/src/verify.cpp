// verify: a backup is proven readable, without any server. Digest, every hash, and every entry of every archive to its
// end, its rows counted: a table of contents alone passes on a cut file. A backup of several stores is proven by a run
// for each, with the tools of that store, which may be of another version.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "mover/archive.h"
#include "mover/backup_folder.h"
#include "mover/verbs.h"

namespace rollback::mover {
namespace {

using nlohmann::json;

Outcome described(const BackupFolder& backup) {
  json result = {{"digest", backup.digest}, {"files", backup.sums.size()}, {"bytes", backup.bytes}};
  result["manifest"] = json::parse(encodeManifestSummary(backup.manifest), nullptr, false);
  if (backup.manifest.createdAt.empty()) result["manifest"]["createdAt"] = instantOf(backup.manifest.timestamp);
  result["restores"] = json::array();
  for (const auto& store : backup.manifest.stores)
    if (isRestorable(store)) result["restores"].push_back(store.name);
  result["missing"] = backup.manifest.manifestVersion < 2 ? json(missingOf(backup)) : json::array();
  return succeeded(result.dump(-1, ' ', false, json::error_handler_t::replace));
}

// Whether this run reads a store of the manifest: the one it is for; and where it is for the first, also those that no
// run is for.
bool isRead(const Task::Backup& asked, const std::string& store) {
  const auto& all = asked.stores;
  if (all.empty() || store == asked.store) return true;
  return asked.store == all.front() && std::find(all.begin(), all.end(), store) == all.end();
}

// A manifest that lists no dump, or one in a form nobody here reads, is no backup that was proven.
Result<void> requireStores(const BackupFolder& backup, const std::string& wanted) {
  for (const auto& store : backup.manifest.stores)
    if (!isRestorable(store))
      return problem(ErrorCode::BadInput, "ManifestUnsupported",
                     "store " + store.name + " of backup " + backup.path + " is of driver \"" + store.driver +
                         "\" and format \"" + store.format + "\", which this program cannot read");
  if (auto store = storeOf(backup, wanted); !store && (!wanted.empty() || backup.manifest.stores.empty()))
    return store.error();
  return {};
}

}  // namespace

Outcome verify(const Task& task, Environment& env) {
  const Deadline deadline = Deadline::after(env.clock, std::chrono::seconds(task.deadlineSeconds));
  auto surveyed = surveyBackup(env.repository, task.repositoryPath);
  const BackupFolder& backup = surveyed.folder;
  if (surveyed.problem) {
    const bool described1 =
        task.unverified && task.repositoryDigest.empty() && surveyed.problem->reason == "BackupUnverified";
    if (!described1) return refused(*surveyed.problem);
    if (auto ok = expectContent(backup, task.backup); !ok) return refused(ok.error());
    return described(backup);
  }
  if (!task.repositoryDigest.empty())
    if (auto ok = expectDigest(backup, task.repositoryDigest); !ok) return refused(ok.error());
  if (auto ok = expectContent(backup, task.backup); !ok) return refused(ok.error());
  const bool recorded = backup.manifest.manifestVersion >= 2;
  if (!recorded && !task.unverified)
    return refused(
        problem(ErrorCode::BadInput, "BackupUnverified",
                "backup " + backup.path + " was made by a script and records no stores: nothing is restored from it"));
  if (recorded)
    if (auto ok = requireStores(backup, task.unverified ? "" : task.backup.store); !ok) return refused(ok.error());
  const auto wanted = [&](const StoreRecord& store) { return isRead(task.backup, store.name); };
  if (auto ok = hashBackup(env, backup, wanted, deadline); !ok) return refused(ok.error());
  for (const auto& store : backup.manifest.stores)
    if (wanted(store))
      if (auto ok = readFully(env, backup.path + "/" + store.path, store, deadline); !ok) return refused(ok.error());
  if (auto ok = sameAsOpened(env.repository, backup); !ok) return refused(ok.error());
  return described(backup);
}

}  // namespace rollback::mover
