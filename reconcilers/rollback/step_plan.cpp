// Plan: resolves the target, looks inside the stores by read-only Jobs, decides which of them must go back, and refuses
// what cannot work, with the reason and the next command, before anything is touched. Long for one file: it is the list
// of everything that is checked, in the order a reader would ask.
#include <algorithm>

#include "api/digest.h"
#include "api/duration.h"
#include "common/claims.h"
#include "common/version.h"
#include "rollback/ledger.h"
#include "rollback/neighbours.h"
#include "rollback/other_clients.h"
#include "rollback/other_writers.h"
#include "rollback/plan.h"
#include "rollback/plan_report.h"
#include "rollback/refusals.h"
#include "rollback/steps.h"
#include "rollback/target.h"
#include "rollback/undo.h"

namespace rollback::reconcilers {
namespace {

using api::Phase;

bool inScope(const api::FrameworkRollbackSpec& spec, const char* what) {
  return std::find(spec.scope.begin(), spec.scope.end(), what) != spec.scope.end();
}

std::string kubectlGet(const StepContext& context, const std::string& what) {
  return "kubectl get " + what + " -n " + context.draft.meta.namespace_;
}

// Claims that would end with the pods: the data would be gone while the application rests at 0 replicas.
std::optional<StepResult> refuseVanishingClaims(const StepContext& context, const ComponentView& component) {
  const auto& workload = *component.view->workload;
  const std::string what = "component " + component.component->name + " (" + component.key() + ")";
  const std::string namespace_ = context.draft.meta.namespace_;
  if (workload.whenScaled == "Delete")
    return refuse(
        "ClaimsVanish", what + " deletes its claims when it is scaled to 0",
        "kubectl patch " + component.key() + " -n " + namespace_ +
            " --type merge -p '{\"spec\": {\"persistentVolumeClaimRetentionPolicy\": {\"whenScaled\": \"Retain\"}}}'");
  if (!workload.ephemeralVolumes.empty() && !workload.isCronJob())
    return refuse(
        "ClaimsVanish",
        what + " has the ephemeral volume " + workload.ephemeralVolumes.front() +
            ", whose claim belongs to the pod and is deleted with it; use an emptyDir if nothing in it matters, else a "
            "claim of its own",
        "kubectl edit " + component.key() + " -n " + namespace_);
  for (const auto& name : claimsOf(workload)) {
    const auto claim = context.in.ns.claims.find(name);
    if (claim == context.in.ns.claims.end()) continue;
    for (const auto& owner : claim->second.meta.ownerReferences)
      if (owner.kind == "Pod")
        return refuse("ClaimsVanish",
                      "claim " + name + " of " + what + " belongs to pod " + owner.name +
                          " and is deleted with it; take the owner off it",
                      "kubectl patch persistentvolumeclaim " + name + " -n " + namespace_ +
                          " --type json -p '[{\"op\": \"remove\", \"path\": \"/metadata/ownerReferences\"}]'");
  }
  return std::nullopt;
}

}  // namespace

// What objects alone can say: nothing here starts a Job.
std::optional<StepResult> refuseByObjects(StepContext& context, const Target& target) {
  const auto& spec = context.draft.spec;
  auto& status = context.status();
  for (const auto& component : context.components()) {
    const std::string what = "component " + component.component->name + " (" + component.key() + ")";
    if (!component.view->workload) return refuse("WorkloadMissing", what + " does not exist");
    if (!component.container())
      return refuse("ContainerMissing",
                    what + " has no container " +
                        (component.component->container.empty()
                             ? "that is its only one: name it in the Framework's components[].container"
                             : component.component->container));
    if (component.view->workload->paused)
      return refuse("WorkloadPaused", what + " is paused, so the target would never be rolled out; resume it first",
                    "kubectl rollout resume " + component.key() + " -n " + context.draft.meta.namespace_);
    if (auto refused = refuseVanishingClaims(context, component)) return refused;
  }
  if (auto refused = refuseOtherWriters(context)) return refused;
  if (context.components().empty())
    return refuse("NoComponents", "framework " + spec.frameworkName + " names no components");
  for (const auto& component : context.classSpec().components) {
    if (component.optional) continue;
    const bool there = std::any_of(context.components().begin(), context.components().end(),
                                   [&](const ComponentView& view) { return view.component->name == component.name; });
    if (!there)
      return refuse("ComponentMissing", "framework " + spec.frameworkName + " has no component " + component.name +
                                            ", which its class requires");
  }
  for (const auto& store : context.framework().spec.stores) {
    const auto driver = context.driver(store.name);
    if (!driver)
      return refuse("StoreUnknown",
                    "store " + store.name + " is not described by class " + context.framework().spec.className);
    if (driver->toolsImage().empty())
      return refuse("ToolsMissing",
                    "the image with pg_dump and pg_restore of store " + store.name +
                        " is not known: stores[].postgres.tools names no existing workload, container or image");
    if (store.postgres->database == store.postgres->maintenanceDatabase || store.postgres->database == "postgres")
      return refuse("ReservedDatabase", "store " + store.name + " lives in database " + store.postgres->database +
                                            ", which is never renamed; move it to a database of its own");
  }
  for (const auto& described : context.classSpec().stores) {
    if (described.optional) continue;
    const auto& stores = context.framework().spec.stores;
    if (std::none_of(stores.begin(), stores.end(), [&](const auto& store) { return store.name == described.name; }))
      return refuse("StoreUnknown", "spec.stores of framework " + spec.frameworkName + " does not say where store " +
                                        described.name + " is, which its class requires: its data would not go back");
  }
  for (const auto& [framework, store] : context.in.frameworkSharers)
    return refuse("DatabaseShared", "Framework " + framework + " uses the database of store " + store +
                                        " too; one database belongs to one Framework");

  // From and to.
  status.fromImages.clear();
  for (const auto& component : context.components())
    status.fromImages.emplace_back(component.component->name, component.container()->image);
  const auto& running = context.framework().status.running;
  status.fromVersion = versionOf(status.fromImages.front().second);
  if (status.fromVersion.empty() && running) status.fromVersion = running->version;
  if (!spec.fromVersion.empty() && spec.fromVersion != status.fromVersion)
    return StepResult::end(Phase::Skipped, "PreconditionFailed",
                           "spec.from.version is " + spec.fromVersion + ", but " +
                               (status.fromVersion.empty() ? "an unknown version" : status.fromVersion) + " runs");
  status.toVersion = target.version;
  if (target.backup && !context.in.ns.repository)
    return refuse("RepositoryMissing",
                  "BackupRepository " + context.framework().spec.repositoryName + " does not exist",
                  kubectlGet(context, "backuprepositories"));
  if (target.backup && !context.in.ns.repositoryClaimExists)
    return refuse("RepositoryMissing",
                  "claim " + context.in.ns.repository->spec.claimName + " of BackupRepository " +
                      context.in.ns.repository->meta.name + " does not exist",
                  kubectlGet(context, "persistentvolumeclaims"));
  return std::nullopt;
}

namespace {

const api::SchemaLevel* recordedSchema(const api::RunningVersion* history, const std::string& store) {
  if (history)
    for (const auto& entry : history->schemas)
      if (entry.store == store && entry.schema.known()) return &entry.schema;
  return nullptr;
}

// Why the data must go back though nobody asked: empty if the schema alone decides.
std::string mustRestore(const StepContext& context) {
  const auto& spec = context.draft.spec;
  if (inScope(spec, "Databases")) return "spec.scope asks for it";
  if (spec.reason == "DataCorruption") return "the reason is DataCorruption";
  for (const auto& rule : context.classSpec().rules) {
    const auto& from = context.draft.status.fromVersion;
    const auto& to = context.draft.status.toVersion;
    if (std::find(rule.scope.begin(), rule.scope.end(), "Databases") != rule.scope.end() && !from.empty() &&
        !to.empty() && compareVersions(from, rule.crossing) >= 0 && compareVersions(to, rule.crossing) < 0)
      return "the step crosses " + rule.crossing + ": " + rule.note;
  }
  return {};
}

// Restore or Keep, with the reason; or a refusal.
std::optional<StepResult> decideStore(const StepContext& context, const Target& target, const Inspection& seen,
                                      api::PlannedStore& planned) {
  const auto& spec = context.draft.spec;
  planned.liveSchema = seen.liveSchema;
  if (!spec.scope.empty() && !inScope(spec, "Databases")) {
    planned.action = "Keep";
    planned.reason = "spec.scope leaves databases out";
    return std::nullopt;
  }
  planned.reason = mustRestore(context);
  if (!planned.reason.empty()) {
    planned.action = "Restore";
    return std::nullopt;
  }
  if (!seen.liveSchema.known())
    return refuse("SchemaUnknown",
                  "the schema of store " + planned.name + " cannot be read (" + seen.liveSchema.unknownReason +
                      "), so it is not known whether version " + context.draft.status.toVersion +
                      " can work on it; say what to do with spec.scope: [Version] or [Version, Databases]");
  const api::SchemaLevel* recorded = recordedSchema(target.history, planned.name);
  if (recorded && recorded->digest == seen.liveSchema.digest &&
      recorded->structureDigest == seen.liveSchema.structureDigest) {
    planned.action = "Keep";
    planned.targetSchema = *recorded;
    planned.reason = "the schema is the one version " + target.version + " was healthy on (" +
                     std::to_string(recorded->count) + " entries)";
    return std::nullopt;
  }
  if (seen.backup && seen.backup->found && seen.backup->schema.known()) {
    if (seen.backup->schemaRelation == "Equal" &&
        seen.backup->schema.structureDigest == seen.liveSchema.structureDigest) {
      planned.action = "Keep";
      planned.targetSchema = seen.backup->schema;
      planned.reason = "the schema equals the backup's (" + std::to_string(seen.liveSchema.count) + " entries)";
      return std::nullopt;
    }
    if (seen.backup->schemaRelation != "Unknown") {
      planned.action = "Restore";
      planned.reason = seen.backup->missing.empty()
                           ? "the structure of the live schema is not the target's"
                           : "the live schema has " + std::to_string(seen.backup->missing.size()) +
                                 " entries version " + context.draft.status.toVersion + " never had, the first is " +
                                 seen.backup->missing.front();
      return std::nullopt;
    }
  }
  if (recorded) {
    planned.action = "Restore";
    planned.targetSchema = *recorded;
    planned.reason = "the live schema (" + std::to_string(seen.liveSchema.count) + " entries) is not the one version " +
                     target.version + " was healthy on (" + std::to_string(recorded->count) + ")";
    return std::nullopt;
  }
  for (const auto& blocker : seen.blockers)
    if (blocker.code == "StoreMissing")
      return refuse(blocker.code, "nothing tells what schema version " + context.draft.status.toVersion +
                                      " needs in store " + planned.name + ": " + blocker.message +
                                      ". If its data can stay as it is, say so with spec.scope: [Version]");
  if (!target.withoutData.empty())
    return refuse("SchemaUnknown", "FrameworkBackup " + target.withoutData +
                                       " was made by a script and records no schema, so nothing tells what version " +
                                       target.version +
                                       " needs; if the data can stay as it is, say so with spec.scope: [Version]");
  return refuse("SchemaUnknown", "nothing tells what schema version " + context.draft.status.toVersion +
                                     " needs: it was never seen healthy and there is no verified backup of it; take "
                                     "one, or name one in spec.to.backupRef");
}

// What stands against restoring a store.
std::optional<StepResult> refuseRestore(const StepContext& context, const Target& target, const Inspection& seen,
                                        api::PlannedStore& planned) {
  const auto& spec = context.draft.spec;
  if (!target.backup && !target.withoutData.empty())
    return refuse("BackupHoldsNoData", "store " + planned.name + " must be restored (" + planned.reason +
                                           "), but FrameworkBackup " + target.withoutData +
                                           " was made by a script: it is listed, and no data is restored from it. "
                                           "Name another; " +
                                           kubectlGet(context, "frameworkbackups"));
  if (!target.backup)
    return refuse("BackupNotFound", "store " + planned.name + " must be restored (" + planned.reason +
                                        "), but there is no verified backup of version " +
                                        context.draft.status.toVersion);
  if (spec.reason == "DataCorruption" && !target.backupNamed)
    return refuse("BackupNotNamed",
                  "after DataCorruption the backup must be named in spec.to.backupRef: the newest may hold the "
                  "corruption already");
  if (!target.backupNamed) {
    WallTime created{};
    const auto limit = api::parseDuration(context.framework().spec.policy.maxDataLoss);
    if (limit && parseTime(target.backup->createdAt, created) && context.now() - created > *limit)
      return refuse("BackupTooOld", "the newest verified backup of version " + target.version + ", " +
                                        target.backup->name + ", is of " + target.backup->createdAt +
                                        ", older than policy.maxDataLoss " +
                                        context.framework().spec.policy.maxDataLoss +
                                        "; to accept the loss name it in spec.to.backupRef");
  }
  if (!seen.backup || !seen.backup->found)
    return refuse("BackupNotFound", "no backup at " + target.backup->path + " in the repository");
  for (const auto& blocker : seen.blockers) {
    if (blocker.code == "SpaceUnknown" && spec.acceptUnknownSpace) continue;
    if (blocker.code == "SpaceUnknown" && planned.capacityBytes == 0)
      return refuse(blocker.code, "it is not known whether the staged copy of store " + planned.name +
                                      " fits, and a full volume would stop the server: " + planned.capacityFrom +
                                      ". Declare it, or take the risk with spec.accept.unknownSpace: true");
    return refuse(blocker.code, blocker.message);
  }
  if (!seen.backup->complete)
    return refuse("BackupIncomplete",
                  "backup " + target.backup->path + " has no completion marker (SHA256SUMS) or lacks files it lists");
  if (seen.backup->unsettled)
    return refuse("BackupUnsettled",
                  "backup " + target.backup->path + " was taken while version or schema changed; it is never a target");
  if (seen.backup->framework != spec.frameworkName)
    return refuse("BackupOfAnotherFramework", "backup " + target.backup->path + " is of framework " +
                                                  seen.backup->framework + ", not " + spec.frameworkName);
  if (!target.version.empty() && seen.backup->version != target.version)
    return refuse("BackupOfAnotherVersion", "backup " + target.backup->path + " holds version " + seen.backup->version +
                                                ", not " + target.version);
  if (!target.backup->digest.empty() && target.backup->digest != seen.backup->digest)
    return refuse("BackupChanged", "backup " + target.backup->path + " has digest " + seen.backup->digest +
                                       ", the catalogue says " + target.backup->digest);
  for (const auto& key : seen.keys) {
    if (key.state == "Differ")
      return refuse("KeyDiffers", "key " + key.name +
                                      " is not the one the backup was taken with: the restored data could not be "
                                      "decrypted. Put the old key back first");
    if (key.state == "Unknown" && !spec.acceptUnknownKeys)
      return refuse("KeyUnknown", "key " + key.name + " cannot be compared with the backup's (" + key.reason +
                                      "); if you are sure it is the same set spec.accept.unknownKeys: true");
  }
  // Catches a cut folder before its every byte is read (VerifyBackup does that).
  if (target.backup->sizeBytes > 0 && target.backup->sizeBytes != seen.backup->sizeBytes)
    return refuse("BackupDamaged", "backup " + target.backup->path + " has " + std::to_string(seen.backup->sizeBytes) +
                                       " bytes, the catalogue says " + std::to_string(target.backup->sizeBytes));
  planned.targetSchema = seen.backup->schema;
  tellWhatChanges(seen, planned);
  return std::nullopt;
}

}  // namespace

std::string planDigest(StepContext& context) {
  const auto& plan = *context.status().plan;
  const auto& ns = context.in.ns;
  std::string text = "plan v1\n" + ns.framework->meta.uid + " " + std::to_string(ns.framework->meta.generation) + "\n";
  if (ns.frameworkClass)
    text += ns.frameworkClass->meta.uid + " " + std::to_string(ns.frameworkClass->meta.generation) + "\n";
  text += context.draft.specDigest + "\n" +
          (plan.backup ? plan.backup->path + " " + plan.backup->digest : "no backup") + "\n";
  for (const auto& [component, image] : plan.images) text += "image " + component + " " + image + "\n";
  for (const auto& component : context.components())
    if (component.container()) text += "from " + component.component->name + " " + component.container()->image + "\n";
  for (const auto& store : plan.stores)
    text += "store " + store.name + " " + store.action + " " + store.systemIdentifier + " " +
            std::to_string(store.liveOid) + (store.action == "Undo" ? " " + std::to_string(store.stageOid) : "") + "\n";
  for (const auto& step : plan.steps) text += "step " + step + "\n";
  return "sha256:" + api::sha256Hex(text);
}

StepResult planStep(StepContext& context) {
  const auto& spec = context.draft.spec;
  auto& status = context.status();
  const auto& framework = context.framework();
  if (spec.mode == "Execute" && context.in.ledger && ledgerUid(*context.in.ledger) != context.draft.meta.uid)
    return StepResult::end(Phase::Skipped, "AlreadyExecuted",
                           "this rollback (same name, same spec) was executed before, as ConfigMap " +
                               context.in.ledger->meta.name + " records; to run it again, apply it under a new name");
  if (auto over = expired(context)) return *over;
  if (!context.in.ns.frameworkClass)
    return refuse("ClassNotFound", "FrameworkClass " + framework.spec.className + " does not exist");
  if (!spec.to.undo.empty()) return planUndo(context);
  if (auto turn = waitForTurn(context)) return *turn;
  auto target = resolveTarget(context);
  if (!target) return refuse(target.error().reason, target.error().message);
  if (auto refused = refuseByObjects(context, *target)) return *refused;

  // Look inside, one read-only Job a store.
  std::vector<std::pair<std::string, Inspection>> inspections;
  std::vector<StepResult> parts;
  for (const auto& store : framework.spec.stores) {
    std::optional<Inspection> seen;
    parts.push_back(context.runMover(
        "Plan", store.name, "inspect", 5,
        [&](const PostgresDriver& driver, const api::StepRecord& record) {
          return driver.inspect(record, target->backup ? target->backup->path : "", 600);
        },
        [&](const Outcome& outcome) {
          auto result = decodeInspection(outcome.result, store.name);
          if (!result) return StepResult::fail("JobFailed", result.error().message);
          seen = *result;
          return StepResult::done();
        }));
    if (parts.back().kind == StepResult::Kind::Fail)
      return refuse(parts.back().code, "store " + store.name + " could not be looked into: " + parts.back().message);
    if (seen) inspections.emplace_back(store.name, *seen);
  }
  if (auto looking = together(std::move(parts)); looking.kind != StepResult::Kind::Done) {
    if (looking.kind == StepResult::Kind::Wait && looking.message.empty()) looking.message = "looking into the stores";
    return looking;
  }

  // A folder named by path tells its version only now.
  if (target->version.empty()) {
    for (const auto& [name, seen] : inspections)
      if (seen.backup && seen.backup->found) {
        target->version = seen.backup->version;
        target->backup->version = seen.backup->version;
        target->backup->createdAt = seen.backup->createdAt;
        target->images = imagesFor(context, target->version, seen.backup->images, nullptr);
      }
    if (target->version.empty()) {
      for (const auto& [name, seen] : inspections)
        for (const auto& blocker : seen.blockers)
          if (blocker.code.rfind("Backup", 0) == 0 || blocker.code == "HostilePath" ||
              blocker.code == "ManifestUnsupported")
            return refuse(blocker.code, blocker.message);
      return refuse("BackupNotFound", "no readable backup at " + spec.to.backupPath + " in BackupRepository " +
                                          framework.spec.repositoryName);
    }
    status.toVersion = target->version;
  }
  if (target->backup && target->backup->digest.empty())
    for (const auto& [name, seen] : inspections)
      if (seen.backup) target->backup->digest = seen.backup->digest;

  api::RollbackPlan plan;
  plan.images = target->images;
  for (const auto& [name, seen] : inspections) {
    api::PlannedStore planned;
    planned.name = name;
    const auto driver = context.driver(name);
    const auto names = driver->names(context.draft.meta.uid);
    planned.database = names.database;
    planned.systemIdentifier = seen.systemIdentifier;
    planned.liveOid = seen.liveOid;
    planned.liveBytes = seen.liveBytes;
    const auto capacity = driver->capacity();
    planned.capacityBytes = capacity.bytes;
    planned.capacityFrom = capacity.from;
    planned.prevName = names.prev;
    planned.revertedName = names.reverted;
    if (auto refused = decideStore(context, *target, seen, planned)) return *refused;
    if (planned.action == "Restore") {
      if (auto refused = refuseRestore(context, *target, seen, planned)) return *refused;
      if (auto refused = refuseOtherClients(context, *driver, seen)) return *refused;
      for (const auto& statement : driver->storeClass.afterStage) planned.afterStage.push_back(statement.name);
    }
    plan.stores.push_back(planned);
  }
  const bool restores =
      std::any_of(plan.stores.begin(), plan.stores.end(), [](const auto& store) { return store.action == "Restore"; });
  if (restores) plan.backup = target->backup;
  if (auto refused = refuseNeighbours(context, inspections, plan.stores)) return *refused;

  if (!restores && sameImages(plan.images, imagesOf(context.components())))
    return StepResult::end(Phase::Skipped, "AlreadyAtTarget",
                           "version " + status.toVersion + " runs already and its data is the target's");

  plan.steps = {"Lock"};
  if (restores) plan.steps.push_back("VerifyBackup");
  for (const char* step : {"Stage", "Quiesce", "Switch", "Resume", "Verify", "Close"}) plan.steps.push_back(step);
  plan.checks = plannedChecks(context, plan.stores);
  plan.downtime = expectedDowntime(context);
  plan.writers = otherWriters(context);
  plan.schedules = plannedSchedules(context);
  plan.dataLoss = restores ? dataLoss(context, inspections, plan.stores) : "none: the data stays as it is";
  plan.frozenClass = api::encodeFrameworkClassSpec(context.in.ns.frameworkClass->spec);
  status.plan = std::move(plan);
  status.plan->digest = planDigest(context);
  return StepResult::done();
}

}  // namespace rollback::reconcilers
