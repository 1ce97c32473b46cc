// The catalogue as a repository's reconciler sees it.
#include "api/resources.h"
#include "manager/gather.h"
#include "repository/repository.h"

namespace rollback::manager {

Result<void> Gatherer::backups(std::vector<api::FrameworkBackup>& out, const std::string& namespace_,
                               const Call& call) {
  auto listed = client_->list(kube::list(api::kFrameworkBackups, namespace_), 500, call.deadline, call.cancel,
                              [&](std::string_view item) -> Result<void> {
                                auto backup = api::decodeFrameworkBackup(item);
                                if (!backup) return backup.error();
                                out.push_back(std::move(*backup));
                                return {};
                              });
  if (!listed) return listed.error();
  return {};
}

Result<void> Gatherer::catalogue(reconcilers::RepositorySnapshot& out, const std::string& namespace_,
                                 const Call& call) {
  if (!reconcilers::isScanning(out.object)) return {};
  if (auto done = backups(out.backups, namespace_, call); !done) return done;
  auto listed = client_->list(kube::list(api::kFrameworkRollbacks, namespace_), 500, call.deadline, call.cancel,
                              [&](std::string_view item) -> Result<void> {
                                auto rollback = api::decodeFrameworkRollback(item);
                                if (!rollback) return rollback.error();
                                out.neededBackups.insert(rollback->spec.to.backupName);
                                if (rollback->status.plan && rollback->status.plan->backup)
                                  out.neededBackups.insert(rollback->status.plan->backup->name);
                                return {};
                              });
  if (!listed) return listed.error();
  for (const auto& framework : frameworks_.list())
    if (framework->meta.namespace_ == namespace_)
      out.frameworkRepository[framework->meta.name] = framework->spec.repositoryName;
  return {};
}

}  // namespace rollback::manager
