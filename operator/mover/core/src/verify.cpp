// verify: a backup is proven readable, without any server. Digest, every hash, and every entry of every archive to its
// end: a table of contents alone passes on a cut file.
#include <nlohmann/json.hpp>

#include "mover/archive.h"
#include "mover/backup_folder.h"
#include "mover/verbs.h"

namespace rollback::mover {

Outcome verify(const Task& task, Environment& env) {
  const Deadline deadline = Deadline::after(env.clock, std::chrono::seconds(task.deadlineSeconds));
  auto backup = openBackup(env.repository, task.repositoryPath);
  if (!backup) return refused(backup.error());
  if (!task.repositoryDigest.empty())
    if (auto ok = expectDigest(*backup, task.repositoryDigest); !ok) return refused(ok.error());
  if (auto ok = hashBackup(env, *backup); !ok) return refused(ok.error());
  for (const auto& store : backup->manifest.stores) {
    if (store.format != "pg_directory") continue;
    if (auto ok = readFully(env, backup->path + "/" + store.path, deadline); !ok) return refused(ok.error());
  }
  if (auto ok = sameAsOpened(env.repository, *backup); !ok) return refused(ok.error());
  nlohmann::json result = {{"digest", backup->digest}, {"files", backup->sums.size()}, {"bytes", backup->bytes}};
  result["manifest"] = nlohmann::json::parse(encodeManifestSummary(backup->manifest), nullptr, false);
  return succeeded(result.dump());
}

}  // namespace rollback::mover
