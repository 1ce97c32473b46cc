#include "repository/repository.h"

#include "api/resources.h"
#include "common/conditions.h"
#include "common/opt_in.h"

namespace rollback::reconcilers {

Decision reconcileRepository(const RepositorySnapshot& snapshot, const Settings&) {
  const auto& object = snapshot.object;
  Decision decision;
  if (object.meta.deleting()) return decision;
  std::string reason = "ClaimFound", message = "claim " + object.spec.claimName + " exists";
  if (!snapshot.ns.optIn.allowed) {
    reason = kNotOptedIn;
    message = snapshot.ns.optIn.reason;
  } else if (!snapshot.ns.repositoryClaimExists) {
    reason = "ClaimMissing";
    message = "claim " + object.spec.claimName + " does not exist; kubectl get persistentvolumeclaims -n " +
              object.meta.namespace_;
  }
  const bool ready = reason == "ClaimFound";
  api::BackupRepository draft = object;
  draft.status.observedGeneration = draft.meta.generation;
  const ConditionWriter write{draft.status.conditions, snapshot.ns.now, draft.meta.generation};
  write.set("Ready", ready ? "True" : "False", reason, message);
  write.set("Reconciling", "False", reason, "");
  write.set("Stalled", ready ? "False" : "True", reason, ready ? "" : message);
  // Neither claims nor bindings are watched: somebody who makes one must not have to tell us.
  decision.requeueAfter = ready ? std::chrono::minutes(10) : std::chrono::seconds(30);
  const std::string body = api::encodeBackupRepositoryStatus(draft);
  if (body != api::encodeBackupRepositoryStatus(object))
    decision.requests.push_back(
        kube::updateStatus(api::kBackupRepositories, draft.meta.namespace_, draft.meta.name, body));
  return decision;
}

}  // namespace rollback::reconcilers
