// What only a plan asks for: the workloads' claims, who scales them by itself, and what earlier rollbacks took.
#include <set>

#include "api/resources.h"
#include "common/claims.h"
#include "manager/gather.h"
#include "rollback/ledger.h"

namespace rollback::manager {

Result<void> Gatherer::forTarget(reconcilers::RollbackSnapshot& out, const Call& call) {
  const std::string& namespace_ = out.rollback.meta.namespace_;
  if (auto done = backups(out.backups, namespace_, call); !done) return done;
  if (!out.ns.optIn.allowed) return {};
  auto request = kube::get(kube::resources::kConfigMaps, namespace_, reconcilers::ledgerName(out.rollback));
  request.asServiceAccount = api::kRunner;
  auto ledger = object(request, kube::decodeConfigMap, call);
  if (!ledger) return ledger.error();
  out.ledger = std::move(*ledger);
  return out.rollback.status.plan ? Result<void>() : forPlan(out, call);
}

Result<void> Gatherer::forPlan(reconcilers::RollbackSnapshot& out, const Call& call) {
  const std::string& namespace_ = out.rollback.meta.namespace_;
  std::set<std::string> claims;
  for (const auto& [key, view] : out.ns.workloads)
    if (view.workload)
      for (const auto& name : reconcilers::claimsOf(*view.workload)) claims.insert(name);
  for (const auto& name : claims) {
    auto request = kube::get(kube::resources::kPersistentVolumeClaims, namespace_, name);
    request.asServiceAccount = api::kRunner;
    auto claim = object(request, kube::decodePersistentVolumeClaim, call);
    if (!claim) return claim.error();
    if (*claim) out.ns.claims[name] = std::move(**claim);
  }
  auto request = kube::list(kube::resources::kHorizontalPodAutoscalers, namespace_);
  request.asServiceAccount = api::kRunner;
  const auto listed =
      each(request, 500, kube::decodeHorizontalPodAutoscaler, call,
           [&](kube::HorizontalPodAutoscaler scaler) { out.ns.autoscalers.push_back(std::move(scaler)); });
  // A namespace that bound a role of its own making need not have this right in it.
  if (!listed && listed.error().code != ErrorCode::Forbidden) return listed.error();
  out.ns.autoscalersKnown = listed.ok();
  for (const auto& earlier : rollbacks_.byIndex("framework", namespace_ + "/" + out.rollback.spec.frameworkName)) {
    const auto& status = earlier->status;
    if (status.phase != api::Phase::Succeeded || !status.downtime || status.downtime->milliseconds <= 0) continue;
    if (out.measured && out.measured->completedAt >= status.completedAt) continue;
    out.measured = reconcilers::MeasuredDowntime{earlier->meta.name, status.completedAt, status.downtime->milliseconds};
  }
  return {};
}

}  // namespace rollback::manager
