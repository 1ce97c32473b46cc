#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/resources.h"
#include "common/journal.h"
#include "rollback/other_clients.h"
#include "rollback/other_writers.h"
#include "rollback/plan.h"
#include "rollback/plan_report.h"
#include "rollback/refusals.h"
#include "rollback/steps.h"
#include "rollback/undo.h"

namespace rollback::reconcilers {
namespace {

using api::Phase;

bool swaps(const api::PlannedStore& store) { return store.action == "Restore" || store.action == "Undo"; }

bool swapsAny(const api::FrameworkRollback& rollback) {
  const auto& plan = rollback.status.plan;
  return plan && std::any_of(plan->stores.begin(), plan->stores.end(), swaps);
}

// What the target switched out of a store: in the framework's list of kept copies, by its OID.
const api::KeptCopy* keptOf(const StepContext& context, const api::PlannedStore& undone) {
  for (const auto& copy : context.framework().status.kept)
    if (copy.store == undone.name && copy.of == context.in.undoTarget->meta.uid && copy.oid == undone.liveOid)
      return &copy;
  return nullptr;
}

std::string gone(const StepContext& context, const api::PlannedStore& undone) {
  return "the database rollback " + context.in.undoTarget->meta.name + " switched out of store " + undone.name +
         " is not kept any more: its time was over, or it was dropped by hand. A backup is the way now (kubectl get "
         "frameworkbackups -n " +
         context.draft.meta.namespace_ + ")";
}

// Why there is nothing of the target that could be undone; absent: there is.
std::optional<StepResult> refuseTarget(const StepContext& context) {
  const auto& name = context.draft.spec.to.undo;
  const std::string list = " (see: kubectl get frameworkrollbacks -n " + context.draft.meta.namespace_ + ")";
  const auto& target = context.in.undoTarget;
  if (!target)
    return refuse("UndoTargetMissing", "FrameworkRollback " + name + " does not exist in this namespace" + list);
  if (target->spec.frameworkName != context.draft.spec.frameworkName)
    return refuse("UndoTargetOfAnotherFramework", "FrameworkRollback " + name + " is of framework " +
                                                      target->spec.frameworkName + ", not " +
                                                      context.draft.spec.frameworkName);
  return std::nullopt;
}

api::PlannedStore keepAlone(const StepContext& context, const api::PlannedStore& undone) {
  api::PlannedStore planned = undone;
  planned.action = "Keep";
  planned.reason = "rollback " + context.in.undoTarget->meta.name + " left it alone";
  planned.targetSchema = undone.liveSchema;
  planned.stageName.clear();
  planned.stageOid = 0;
  return planned;
}

// A store the target left alone stays, if it still is what it was then.
std::optional<StepResult> keepStore(const StepContext& context, const api::PlannedStore& undone, const Inspection& seen,
                                    api::PlannedStore& planned) {
  planned = keepAlone(context, undone);
  planned.liveOid = seen.liveOid;
  planned.liveBytes = seen.liveBytes;
  planned.systemIdentifier = seen.systemIdentifier;
  planned.liveSchema = seen.liveSchema;
  const auto& scope = context.in.undoTarget->spec.scope;
  const bool versionOnly = !scope.empty() && std::find(scope.begin(), scope.end(), "Databases") == scope.end();
  if (versionOnly || !undone.liveSchema.known()) return std::nullopt;
  const std::string instead = "; go back by version instead: spec.to.version: " + context.draft.status.toVersion;
  if (!seen.liveSchema.known())
    return refuse("SchemaUnknown", "the schema of store " + planned.name + " cannot be read (" +
                                       seen.liveSchema.unknownReason + "), so it is not known whether version " +
                                       context.draft.status.toVersion + " can work on it" + instead);
  if (seen.liveSchema.digest != undone.liveSchema.digest ||
      seen.liveSchema.structureDigest != undone.liveSchema.structureDigest)
    return refuse("SchemaChanged", "the schema of store " + planned.name + " is not the one it had when rollback " +
                                       context.in.undoTarget->meta.name + " left it alone" + instead);
  return std::nullopt;
}

std::optional<StepResult> swapStore(const StepContext& context, const PostgresDriver& driver,
                                    const api::PlannedStore& undone, const Inspection& seen,
                                    api::PlannedStore& planned) {
  const auto& target = *context.in.undoTarget;
  const api::KeptCopy* kept = keptOf(context, undone);
  if (!kept) return refuse("KeptCopyGone", gone(context, undone));
  const auto there = std::find_if(seen.databases.begin(), seen.databases.end(),
                                  [&](const auto& database) { return database.name == kept->name; });
  if (there == seen.databases.end()) return refuse("KeptCopyGone", gone(context, undone));
  if (there->oid != kept->oid)
    return refuse("KeptCopyReplaced", "database " + kept->name + " has OID " + std::to_string(there->oid) +
                                          ", rollback " + target.meta.name + " kept one with OID " +
                                          std::to_string(kept->oid) + ": somebody else made it");
  if (seen.liveOid != undone.stageOid || seen.systemIdentifier != undone.systemIdentifier)
    return refuse("DatabaseReplaced", "database " + undone.database + " has OID " + std::to_string(seen.liveOid) +
                                          " on server " + seen.systemIdentifier + ", rollback " + target.meta.name +
                                          " had switched in OID " + std::to_string(undone.stageOid) + " on server " +
                                          undone.systemIdentifier +
                                          ": it was replaced since, and what replaced it was never this rollback's");
  // What would only stand in the way of staging does not matter.
  for (const auto& blocker : seen.blockers)
    for (const char* code :
         {"MayNotRename", "PreparedTransaction", "ReplicationSlot", "Subscription", "ForeignSession"})
      if (blocker.code == code) return refuse(blocker.code, blocker.message);
  if (auto refused = refuseOtherClients(context, driver, seen)) return refused;
  const auto names = driver.names(context.draft.meta.uid);
  planned.name = undone.name;
  planned.action = "Undo";
  planned.reason = "rollback " + target.meta.name + " switched it out; it is kept as " + kept->name;
  planned.database = undone.database;
  planned.systemIdentifier = seen.systemIdentifier;
  planned.liveOid = seen.liveOid;
  planned.liveBytes = seen.liveBytes;
  planned.liveSchema = seen.liveSchema;
  planned.targetSchema = undone.liveSchema;
  planned.stageName = kept->name;
  planned.stageOid = kept->oid;
  planned.prevName = names.reverted;  // what goes out was written after the target's switch
  planned.revertedName = names.prev;  // if this is taken back, what the target switched out is kept again
  planned.writtenFrom = target.status.downtime ? target.status.downtime->endedAt : target.status.completedAt;
  return std::nullopt;
}

// The window of writes that leaves service.
std::string lossOf(const StepContext& context, const std::vector<api::PlannedStore>& stores) {
  std::string out;
  for (const auto& store : stores) {
    if (store.action != "Undo") continue;
    out += (out.empty() ? "" : "; ") + std::string("what was written to store ") + store.name + " from " +
           store.writtenFrom + " until the application is stopped leaves service";
    WallTime from{};
    if (parseTime(store.writtenFrom, from))
      out += " (" + std::to_string(std::chrono::duration_cast<std::chrono::minutes>(context.now() - from).count()) +
             " min by now)";
    out += "; it is kept, closed, in database " + store.prevName + " for " + context.draft.spec.keepPreviousFor;
  }
  return out.empty() ? "none: the data stays as it is" : out;
}

void finishPlan(StepContext& context, api::RollbackPlan plan) {
  plan.checks = plannedChecks(context, plan.stores);
  plan.downtime = expectedDowntime(context);
  plan.writers = otherWriters(context);
  plan.schedules = plannedSchedules(context);
  plan.frozenClass = api::encodeFrameworkClassSpec(context.in.ns.frameworkClass->spec);
  context.status().plan = std::move(plan);
  context.status().plan->digest = planDigest(context);
}

// The plan that takes over the lock of a held rollback. No Job looks into the databases: its live one may be closed in
// the middle of a switch, and the Job that switches back looks for itself.
StepResult planTakeOver(StepContext& context) {
  const auto& lock = *context.framework().status.activeRollback;
  auto& status = context.status();
  status.fromImages.clear();
  for (const auto& component : context.components())
    if (component.container()) status.fromImages.emplace_back(component.component->name, component.container()->image);
  status.fromVersion = context.in.undoTarget->status.toVersion;
  status.toVersion = context.in.undoTarget->status.fromVersion;
  api::RollbackPlan plan;
  for (const auto& component : lock.components) plan.images.emplace_back(component.name, component.image);
  plan.stores = plannedStores(lock);
  for (auto& store : plan.stores) {
    if (!swaps(store)) {
      store.reason = "rollback " + lock.name + " left it alone";
      continue;
    }
    store.reason = "rollback " + lock.name + " is held: if it was switched, it is switched back";
    plan.dataLoss += (plan.dataLoss.empty() ? "" : "; ") + std::string("what was written to store ") + store.name +
                     " since rollback " + lock.name +
                     " switched it, if it did, leaves service; it is kept, closed, in " + "database " +
                     store.revertedName + " for " + context.draft.spec.keepPreviousFor;
  }
  if (plan.dataLoss.empty()) plan.dataLoss = "none: the data stays as it is";
  plan.steps = {"Lock", "StopJobs", "RevertQuiesce", "SwitchBack", "RevertResume", "Discard", "Unlock"};
  finishPlan(context, std::move(plan));
  return StepResult::done();
}

}  // namespace

bool takesOver(const StepContext& context) {
  const auto& plan = context.draft.status.plan;
  return !context.draft.spec.to.undo.empty() && plan &&
         std::find(plan->steps.begin(), plan->steps.end(), "SwitchBack") != plan->steps.end();
}

bool heldByTarget(const StepContext& context) {
  const auto& active = context.framework().status.activeRollback;
  const auto& target = context.in.undoTarget;
  return active && target && active->uid == target->meta.uid && target->status.phase &&
         api::isEnding(*target->status.phase);
}

std::optional<StepResult> refuseUndo(const StepContext& context) {
  if (auto refused = refuseTarget(context)) return refused;
  if (heldByTarget(context)) return std::nullopt;
  const auto& target = *context.in.undoTarget;
  const auto& phase = target.status.phase;
  if (phase != Phase::Succeeded)
    return refuse("NothingToUndo", "rollback " + target.meta.name + " is " +
                                       (phase ? api::toString(*phase) : "not begun") +
                                       ": it left nothing behind that could be undone");
  const auto& last = context.framework().status.lastRollback;
  if (!last || last->uid != target.meta.uid)
    return refuse("NotLatest", "rollback " + target.meta.name + " is not the latest of framework " +
                                   context.draft.spec.frameworkName +
                                   (last ? ": " + last->name + " came after it. Undo that one first" : ""));
  if (!target.status.plan)
    return refuse("NothingToUndo", "rollback " + target.meta.name + " has no plan in its status");
  for (const auto& undone : target.status.plan->stores) {
    if (!swaps(undone)) continue;
    const api::KeptCopy* kept = keptOf(context, undone);
    WallTime until{};
    if (!kept || !parseTime(kept->until, until) || context.now() >= until)
      return refuse("KeptCopyGone", gone(context, undone));
    const auto* cleanup = findRecord(context.framework().status.steps, "Cleanup", undone.name);
    if (cleanup && cleanup->message.find(kept->name) != std::string::npos)
      return refuse("KeptCopyGone", gone(context, undone));
  }
  return std::nullopt;
}

StepResult planUndo(StepContext& context) {
  const auto& spec = context.draft.spec;
  auto& status = context.status();
  const auto& framework = context.framework();
  if (auto refused = refuseTarget(context)) return *refused;
  if (heldByTarget(context)) return planTakeOver(context);
  if (auto turn = waitForTurn(context)) return *turn;
  if (auto refused = refuseUndo(context)) return *refused;
  const auto& undone = *context.in.undoTarget;
  Target target;
  target.version = undone.status.fromVersion;
  target.images = imagesFor(context, target.version, undone.status.fromImages, nullptr);  // a component may be new
  if (auto refused = refuseByObjects(context, target)) return *refused;

  std::vector<api::PlannedStore> stores;
  std::vector<StepResult> parts;
  for (const auto& store : undone.status.plan->stores) {
    const auto driver = context.driver(store.name);
    if (!driver || driver->store.postgres->database != store.database)
      return refuse("StoreChanged", "store " + store.name + " is not what it was when rollback " + undone.meta.name +
                                        " ran: the Framework describes another database now, or none");
    std::optional<StepResult> refused;
    parts.push_back(context.runMover(
        "Plan", store.name, "inspect", 5,
        [&](const PostgresDriver& postgres, const api::StepRecord& record) {
          return postgres.inspect(record, "", 600);
        },
        [&](const Outcome& outcome) {
          const auto seen = decodeInspection(outcome.result);
          if (!seen) return StepResult::fail("JobFailed", seen.error().message);
          api::PlannedStore planned;
          refused = swaps(store) ? swapStore(context, *driver, store, *seen, planned)
                                 : keepStore(context, store, *seen, planned);
          if (!refused) stores.push_back(planned);
          return StepResult::done();
        }));
    if (refused) return *refused;
    if (parts.back().kind == StepResult::Kind::Fail)
      return refuse(parts.back().code, "store " + store.name + " could not be looked into: " + parts.back().message);
  }
  if (auto looking = together(std::move(parts)); looking.kind != StepResult::Kind::Done) {
    if (looking.kind == StepResult::Kind::Wait && looking.message.empty()) looking.message = "looking into the stores";
    return looking;
  }
  if (framework.spec.stores.size() != stores.size())
    return refuse("StoreChanged", "framework " + spec.frameworkName + " has other stores than when rollback " +
                                      undone.meta.name + " ran");

  api::RollbackPlan plan;
  plan.images = target.images;
  plan.stores = std::move(stores);
  const bool loses = std::any_of(plan.stores.begin(), plan.stores.end(), swaps);
  plan.dataLoss = lossOf(context, plan.stores);
  if (loses && !spec.acceptDataLoss) {
    if (spec.mode == "Execute")
      return refuse("DataLossNotAccepted", plan.dataLoss + "; to accept that set spec.accept.dataLoss: true");
    plan.dataLoss += "; to be executed it needs spec.accept.dataLoss: true";
  }
  if (!loses && plan.images == status.fromImages)
    return StepResult::end(Phase::Skipped, "AlreadyAtTarget",
                           "what rollback " + undone.meta.name + " changed is as it was before already");
  plan.steps = {"Lock", "Stage", "Quiesce", "Switch", "Resume", "Verify", "Close"};
  finishPlan(context, std::move(plan));
  return StepResult::done();
}

std::string undoCommand(const api::FrameworkRollback& rollback, bool dataLoss) {
  std::string name = ("undo-" + rollback.meta.name).substr(0, 63);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  nlohmann::ordered_json spec = {{"frameworkRef", {{"name", rollback.spec.frameworkName}}},
                                 {"to", {{"undo", rollback.meta.name}}}};
  if (dataLoss && swapsAny(rollback)) spec["accept"] = {{"dataLoss", true}};
  const nlohmann::ordered_json object = {{"apiVersion", std::string(api::kGroup) + "/" + api::kVersion},
                                         {"kind", "FrameworkRollback"},
                                         {"metadata", {{"name", name}, {"namespace", rollback.meta.namespace_}}},
                                         {"spec", spec}};
  return "echo '" + object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) +
         "' | kubectl create -f -";
}

}  // namespace rollback::reconcilers
