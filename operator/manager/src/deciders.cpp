#include "manager/deciders.h"

#include "api/resources.h"
#include "backup/backup.h"
#include "framework/framework.h"
#include "repository/repository.h"
#include "rollback/rollback.h"

namespace rollback::manager {

Deciders deciders(Gatherer& gatherer, const reconcilers::Settings& settings) {
  // Gather, then decide: the same four lines for each kind.
  const auto decide = [&gatherer, settings](auto read, auto reconcile, const kube::Resource& resource,
                                            auto meta) -> Decide {
    return [&gatherer, settings, read, reconcile, &resource, meta](
               const std::string& namespace_, const std::string& name,
               const Gatherer::Call& call) -> Result<std::optional<Decided>> {
      auto snapshot = (gatherer.*read)(namespace_, name, call);
      if (!snapshot) return snapshot.error();
      if (!*snapshot) return std::optional<Decided>();
      return std::optional(Decided{reconcile(**snapshot, settings), runtime::referenceTo(resource, meta(**snapshot))});
    };
  };
  return Deciders{decide(&Gatherer::rollback, reconcilers::reconcileRollback, api::kFrameworkRollbacks,
                         [](const reconcilers::RollbackSnapshot& s) { return s.rollback.meta; }),
                  decide(&Gatherer::backup, reconcilers::reconcileBackup, api::kFrameworkBackups,
                         [](const reconcilers::BackupSnapshot& s) { return s.backup.meta; }),
                  decide(&Gatherer::framework, reconcilers::reconcileFramework, api::kFrameworks,
                         [](const reconcilers::FrameworkSnapshot& s) { return s.object.meta; }),
                  decide(&Gatherer::repository, reconcilers::reconcileRepository, api::kBackupRepositories,
                         [](const reconcilers::RepositorySnapshot& s) { return s.object.meta; })};
}

}  // namespace rollback::manager
