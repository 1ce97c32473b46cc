#include "manager/deciders.h"

#include "api/resources.h"
#include "backup/backup.h"
#include "framework/framework.h"
#include "repository/repository.h"
#include "rollback/rollback.h"

namespace rollback::manager {

namespace {

// Tells `instruments` what a status write changed: the object as it was decided from, the object as the server answers.
template <typename T, typename Decode>
void note(Decided& decided, Instruments* instruments, const T& before, const kube::Resource& resource, Decode decode) {
  if (!instruments || decided.decision.requests.empty()) return;
  decided.accepted = [instruments, before = std::make_shared<const T>(before), &resource, decode](
                         const kube::Request& request, const std::string& answer) {
    if (request.subresource != "status" || request.resource.plural != resource.plural) return;
    if (const auto after = decode(answer)) instruments->wrote(*before, *after);
  };
}

}  // namespace

Deciders deciders(Gatherer& gatherer, const reconcilers::Settings& settings, Instruments* instruments) {
  // Gather, then decide: the same four lines for each kind.
  const auto decide = [&gatherer, settings, instruments](auto read, auto reconcile, const kube::Resource& resource,
                                                         auto meta) -> Decide {
    return [&gatherer, settings, instruments, read, reconcile, &resource, meta](
               const std::string& namespace_, const std::string& name,
               const Gatherer::Call& call) -> Result<std::optional<Decided>> {
      (void)instruments;  // of kinds that have none to tell
      auto snapshot = (gatherer.*read)(namespace_, name, call);
      if (!snapshot) return snapshot.error();
      if (!*snapshot) return std::optional<Decided>();
      Decided decided{reconcile(**snapshot, settings), runtime::referenceTo(resource, meta(**snapshot))};
      using Snapshot = std::decay_t<decltype(**snapshot)>;
      if constexpr (std::is_same_v<Snapshot, reconcilers::RollbackSnapshot>)
        note(decided, instruments, (**snapshot).rollback, resource, api::decodeFrameworkRollback);
      if constexpr (std::is_same_v<Snapshot, reconcilers::BackupSnapshot>)
        note(decided, instruments, (**snapshot).backup, resource, api::decodeFrameworkBackup);
      return std::optional(std::move(decided));
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
