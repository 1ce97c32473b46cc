// The catalogue as a repository's reconciler sees it.
#include "api/resources.h"
#include "manager/gather.h"
#include "repository/repository.h"

namespace rollback::manager {

Result<void> Gatherer::backups(std::vector<api::FrameworkBackup>& out, const std::string& namespace_,
                               const Call& call) {
  return each(kube::list(api::kFrameworkBackups, namespace_), 500, api::decodeFrameworkBackup, call,
              [&](api::FrameworkBackup backup) { out.push_back(std::move(backup)); });
}

Result<void> Gatherer::catalogue(reconcilers::RepositorySnapshot& out, const std::string& namespace_,
                                 const Call& call) {
  if (!reconcilers::isScanning(out.object)) return {};
  if (auto done = backups(out.backups, namespace_, call); !done) return done;
  const auto need = [&](const api::FrameworkRollback& rollback) {
    out.neededBackups.insert(rollback.spec.to.backupName);
    if (rollback.status.plan && rollback.status.plan->backup)
      out.neededBackups.insert(rollback.status.plan->backup->name);
  };
  if (auto done = each(kube::list(api::kFrameworkRollbacks, namespace_), 500, api::decodeFrameworkRollback, call, need);
      !done)
    return done;
  for (const auto& framework : frameworks_.list())
    if (framework->meta.namespace_ == namespace_)
      out.frameworkRepository[framework->meta.name] = framework->spec.repositoryName;
  return {};
}

}  // namespace rollback::manager
