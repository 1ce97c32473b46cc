// Lock: the ledger entry first (a wish seen before is Skipped), then Framework.status.activeRollback by
// compare-and-swap, with all that is needed to return the application to service. The plan is looked at again under the
// lock.
#include "api/resources.h"
#include "rollback/ledger.h"
#include "rollback/plan.h"
#include "rollback/steps.h"

namespace rollback::reconcilers {
namespace {

api::ActiveRollback newLock(StepContext& context) {
  api::ActiveRollback lock;
  lock.name = context.draft.meta.name;
  lock.uid = context.draft.meta.uid;
  lock.token = context.status().lockToken;
  lock.since = context.nowText();
  for (const auto& component : context.components()) {
    api::ResumeComponent resume;
    resume.name = component.component->name;
    resume.workloadKind = component.component->workloadKind;
    resume.workloadName = component.component->workloadName;
    resume.container = component.container() ? component.container()->name : "";
    resume.image = component.container() ? component.container()->image : "";
    resume.replicas = component.view->workload ? component.view->workload->replicas : 0;
    resume.workloadUid = component.view->workload ? component.view->workload->meta.uid : "";
    lock.components.push_back(resume);
  }
  for (const auto& store : context.status().plan->stores)
    lock.stores.push_back({store.name, store.database, store.systemIdentifier, store.liveOid});
  return lock;
}

}  // namespace

std::optional<StepResult> waitForTurn(const StepContext& context) {
  if (context.lock()) return std::nullopt;
  const auto& status = context.framework().status;
  if (status.activeRollback)
    return StepResult::wait("waiting for rollback " + status.activeRollback->name + " of the same framework to end",
                            Millis(5000));
  if (status.activeBackup)
    return StepResult::wait("waiting for backup " + status.activeBackup->name + " of the same framework to end",
                            Millis(5000));
  return std::nullopt;
}

StepResult lockStep(StepContext& context) {
  auto& status = context.status();
  const auto& framework = context.framework();
  if (auto turn = waitForTurn(context)) return *turn;
  if (!context.in.ledger) return StepResult::act({createLedger(context.draft, context.nowText())});
  if (ledgerUid(*context.in.ledger) != context.draft.meta.uid)
    return StepResult::end(api::Phase::Skipped, "AlreadyExecuted",
                           "this rollback (same name, same spec) was executed before, as ConfigMap " +
                               context.in.ledger->meta.name +
                               " records; nothing was touched. To run it again, apply it under a new name");
  if (!context.lock()) {
    if (status.lockToken.empty()) {
      status.lockToken = context.in.ns.newToken;
      return StepResult::record();
    }
    api::Framework locked = framework;
    locked.status.activeRollback = newLock(context);
    return StepResult::act({kube::updateStatus(api::kFrameworks, locked.meta.namespace_, locked.meta.name,
                                               api::encodeFrameworkStatus(locked))});
  }
  if (planDigest(context) != status.plan->digest) {
    // Something the plan rests on moved between Plan and Lock: plan again, holding the lock.
    status.plan.reset();
    status.steps.clear();
    return StepResult::record();
  }
  if (status.deadline.empty()) {
    status.deadline = formatTime(context.now() + std::chrono::seconds(context.draft.spec.timeoutSeconds));
    return StepResult::record();
  }
  return StepResult::done();
}

StepResult releaseLock(StepContext& context, const std::vector<api::KeptCopy>& keep) {
  if (!context.in.ns.framework) return StepResult::done();
  api::Framework framework = context.framework();
  bool changed = false;
  for (const auto& copy : keep) {
    bool there = false;
    for (const auto& kept : framework.status.kept) there = there || (kept.name == copy.name && kept.oid == copy.oid);
    if (there) continue;
    framework.status.kept.push_back(copy);
    changed = true;
  }
  if (context.lock()) {
    framework.status.activeRollback.reset();
    changed = true;
  }
  if (!changed) return StepResult::done();
  return StepResult::act({kube::updateStatus(api::kFrameworks, framework.meta.namespace_, framework.meta.name,
                                             api::encodeFrameworkStatus(framework))});
}

}  // namespace rollback::reconcilers
