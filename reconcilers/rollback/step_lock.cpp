// Lock: the ledger entry first (a wish seen before is Skipped), then Framework.status.activeRollback by
// compare-and-swap, with all that is needed to return the application to service. The plan is looked at again under the
// lock.
#include <algorithm>

#include "api/resources.h"
#include "rollback/ledger.h"
#include "rollback/plan.h"
#include "rollback/steps.h"
#include "rollback/undo.h"

namespace rollback::reconcilers {
namespace {

api::ActiveRollback newLock(StepContext& context) {
  api::ActiveRollback lock;
  // Taken over from the rollback that is undone, with its record: how the application was before that one.
  if (takesOver(context)) lock = *context.framework().status.activeRollback;
  lock.name = context.draft.meta.name;
  lock.uid = context.draft.meta.uid;
  lock.token = context.status().lockToken;
  lock.since = context.nowText();
  lock.keepPreviousFor = context.draft.spec.keepPreviousFor;
  if (takesOver(context)) return lock;
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
  for (const auto& store : context.status().plan->stores) {
    api::ResumeStore resume;
    resume.store = store.name;
    resume.database = store.database;
    resume.systemIdentifier = store.systemIdentifier;
    resume.liveOid = store.liveOid;
    resume.action = store.action;
    resume.prevName = store.prevName;
    resume.revertedName = store.revertedName;
    lock.stores.push_back(resume);
  }
  return lock;
}

}  // namespace

std::vector<api::PlannedStore> plannedStores(const api::ActiveRollback& lock) {
  std::vector<api::PlannedStore> out;
  for (const auto& store : lock.stores) {
    api::PlannedStore planned;
    planned.name = store.store;
    planned.action = store.action;
    planned.database = store.database;
    planned.systemIdentifier = store.systemIdentifier;
    planned.liveOid = store.liveOid;
    planned.stageName = store.stageName;
    planned.prevName = store.prevName;
    planned.revertedName = store.revertedName;
    planned.stageOid = store.stageOid;
    out.push_back(planned);
  }
  return out;
}

std::optional<StepResult> waitForTurn(const StepContext& context) {
  if (context.lock()) return std::nullopt;
  const auto& status = context.framework().status;
  if (status.activeRollback && takesOver(context) && heldByTarget(context)) return std::nullopt;
  if (status.activeRollback)
    return StepResult::wait(
        "waiting for rollback " + status.activeRollback->name + " of the same framework to end and to give up its lock",
        Millis(5000));
  if (status.activeBackup)
    return StepResult::wait("waiting for backup " + status.activeBackup->name + " of the same framework to end",
                            Millis(5000));
  return std::nullopt;
}

std::optional<StepResult> expired(const StepContext& context) {
  const std::string& until = context.draft.spec.validUntil;
  WallTime limit{};
  if (context.lock() || until.empty() || !parseTime(until, limit) || context.now() <= limit) return std::nullopt;
  return StepResult::end(api::Phase::Skipped, "Expired", "spec.validUntil " + until + " has passed");
}

StepResult lockStep(StepContext& context) {
  auto& status = context.status();
  const auto& framework = context.framework();
  // It may have waited since it was planned: suspended, or for another's lock.
  if (auto over = expired(context)) return *over;
  if (auto turn = waitForTurn(context)) return *turn;
  if (!context.in.ledger) return StepResult::act({createLedger(context.draft, context.nowText())});
  if (ledgerUid(*context.in.ledger) != context.draft.meta.uid)
    return StepResult::end(api::Phase::Skipped, "AlreadyExecuted",
                           "this rollback (same name, same spec) was executed before, as ConfigMap " +
                               context.in.ledger->meta.name + " records; to run it again, apply it under a new name");
  if (!context.lock()) {
    // In the snapshot whose version the lock is taken by: nobody can have dropped a copy in between.
    if (!context.draft.spec.to.undo.empty())
      if (auto refused = refuseUndo(context)) return *refused;
    if (status.lockToken.empty()) {
      status.lockToken = context.in.ns.newToken;
      return StepResult::record();
    }
    api::Framework locked = framework;
    locked.status.activeRollback = newLock(context);
    return StepResult::act({kube::updateStatus(api::kFrameworks, locked.meta.namespace_, locked.meta.name,
                                               api::encodeFrameworkStatus(locked))});
  }
  if (!takesOver(context) && planDigest(context) != status.plan->digest) {
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

bool keepCopies(api::FrameworkStatus& status, const std::vector<api::KeptCopy>& keep) {
  bool changed = false;
  auto& kept = status.kept;
  for (const auto& copy : keep) {
    const auto same = [&](const api::KeptCopy& other) { return other.store == copy.store && other.oid == copy.oid; };
    const auto known = std::find_if(kept.begin(), kept.end(), same);
    if (known != kept.end() && known->name == copy.name && known->of == copy.of) continue;
    kept.erase(std::remove_if(kept.begin(), kept.end(), same), kept.end());  // under a name it had before
    kept.push_back(copy);
    changed = true;
  }
  return changed;
}

StepResult releaseLock(StepContext& context, const std::vector<api::KeptCopy>& keep, bool succeeded) {
  if (!context.in.ns.framework) return StepResult::done();
  api::Framework framework = context.framework();
  bool changed = keepCopies(framework.status, keep);
  if (context.lock()) {
    if (succeeded) {
      auto& kept = framework.status.kept;
      for (const auto* store : context.switched())
        kept.erase(
            std::remove_if(kept.begin(), kept.end(),
                           [&](const auto& copy) { return copy.store == store->name && copy.oid == store->stageOid; }),
            kept.end());
      framework.status.lastRollback =
          api::LastRollback{context.draft.meta.name, context.draft.meta.uid, context.nowText()};
    }
    framework.status.activeRollback.reset();
    changed = true;
  }
  if (!changed) return StepResult::done();
  return StepResult::act({kube::updateStatus(api::kFrameworks, framework.meta.namespace_, framework.meta.name,
                                             api::encodeFrameworkStatus(framework))});
}

}  // namespace rollback::reconcilers
