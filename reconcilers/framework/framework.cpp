#include "framework/framework.h"

#include <algorithm>

#include "api/duration.h"
#include "api/resources.h"
#include "backup/backup.h"
#include "common/conditions.h"
#include "common/finalizer.h"
#include "common/opt_in.h"
#include "common/status.h"
#include "framework/pass.h"
#include "jobs/run.h"

namespace rollback::reconcilers {
namespace {

constexpr Millis kSlow{60000};  // for what is not watched: bindings
constexpr Millis kUnsettled{15000};

const api::FrameworkClassSpec& classOf(const NamespaceSnapshot& ns) {
  static const api::FrameworkClassSpec none;
  return ns.frameworkClass ? ns.frameworkClass->spec : none;
}

Decision act(std::vector<kube::Request> requests) {
  Decision decision;
  decision.requests = std::move(requests);
  decision.again = true;
  decision.requeueAfter = Millis(1000);
  return decision;
}

// The status write, if the draft says anything new; events go with it.
Decision written(FrameworkPass& pass, const FrameworkAnswer& answer) {
  Decision decision;
  pass.draft.status.observedGeneration = pass.draft.meta.generation;
  decision.requeueAfter = answer.recheck;
  auto write = statusWrite(api::kFrameworks, pass.in.object, pass.draft, api::encodeFrameworkStatus);
  if (!write) return decision;
  decision.requests.push_back(std::move(*write));
  decision.events = answer.events;
  decision.again = answer.again;
  return decision;
}

Decision unlocked(FrameworkPass& pass) {
  auto& status = pass.draft.status;
  const std::string name = status.activeRollback->name, uid = status.activeRollback->uid;
  // Whatever it leaves in the server is still to be dropped one day. Which names there are nobody has looked; Cleanup
  // takes each by name and OID, and one that is missing for gone.
  const auto keep = api::parseDuration(status.activeRollback->keepPreviousFor);
  const std::string until = formatTime(pass.in.ns.now + (keep ? *keep : std::chrono::hours(24)));
  for (const auto& store : status.activeRollback->stores) {
    if (store.stageOid == 0) continue;
    const auto add = [&](const char* kind, const std::string& database, std::uint32_t oid) {
      const bool known = std::any_of(status.kept.begin(), status.kept.end(), [&](const api::KeptCopy& copy) {
        return copy.store == store.store && copy.name == database && copy.oid == oid;
      });
      if (!known) status.kept.push_back({store.store, database, oid, kind, uid, name, until, "", ""});
    };
    add("prev", store.prevName, store.liveOid);
    add("reverted", store.revertedName, store.stageOid);
    add("reverted", store.stageName, store.stageOid);
  }
  status.activeRollback.reset();
  forgetLost(pass);
  FrameworkAnswer answer;
  answer.again = true;
  answer.events.push_back(
      {"Warning", "Unlocked", "Unlock",
       "the lock of rollback " + name + " (uid " + uid + ") was given up by annotation " + api::kAnnotationUnlock});
  return written(pass, answer);
}

// Nothing is to be taken back: what the lock names acts no more, and did nothing that it has not put right.
Decision freed(FrameworkPass& pass, const char* reason, const std::string& who) {
  FrameworkAnswer answer;
  answer.again = true;
  answer.events.push_back({"Warning", reason, "Unlock", who + "; it is free again"});
  return written(pass, answer);
}

Decision rollbackOver(FrameworkPass& pass) {
  const std::string name = pass.draft.status.activeRollback->name;
  pass.draft.status.activeRollback.reset();
  return freed(pass, "RollbackOver", "rollback " + name + ", which the lock names, ended without it");
}

Decision backupLost(FrameworkPass& pass) {
  const std::string name = pass.draft.status.activeBackup->name;
  pass.draft.status.activeBackup.reset();
  return freed(pass, "BackupGone", "backup " + name + ", which held the framework, is gone or over");
}

std::string heldMessage(const FrameworkPass& pass) {
  const auto& lock = *pass.draft.status.activeRollback;
  return "rollback " + lock.name + " ended and keeps the lock, with both copies of the data; its status.message says " +
         "what state things are in and how to go on. To give up the lock: " + unlockCommand(pass);
}

// A rollback has begun: no Job of ours may have a session on a database it is going to rename.
std::vector<kube::Request> stopOwnJobs(const FrameworkPass& pass) {
  std::vector<kube::Request> deletes;
  for (const auto& view : pass.in.ns.jobs)
    if (!(view.job.ended() && view.podsGone()) && !view.job.meta.deleting()) deletes.push_back(deleteJob(view.job));
  return deletes;
}

// The state of things in the order a reader would ask: the first that is wrong is why it is not Ready.
struct Verdict {
  std::string reason = "Healthy", message;
  bool stalled = false;      // waiting for a person
  bool reconciling = false;  // waiting for something that is under way
};

Verdict judge(const FrameworkPass& pass, const std::optional<Unhealthy>& ill, const std::string& stores,
              const FrameworkAnswer& answer) {
  const auto& ns = pass.in.ns;
  const auto& status = pass.draft.status;
  if (status.activeRollback && pass.in.holder == FrameworkSnapshot::Holder::Gone)
    return {"RollbackGone", answer.busy, answer.stuck, !answer.stuck};
  if (status.activeRollback && pass.in.holder == FrameworkSnapshot::Holder::Ended)
    return {"RollbackHeld", heldMessage(pass), true, false};
  if (status.activeRollback)
    return {"RollbackActive", "rollback " + status.activeRollback->name + " is at work", false, true};
  if (!ns.frameworkClass)
    return {"ClassMissing", "FrameworkClass " + pass.spec().className + " does not exist; kubectl get frameworkclasses",
            true, false};
  if (!ns.optIn.allowed) return {kNotOptedIn, ns.optIn.reason, true, false};
  if (!stores.empty()) return {"StoresUnsupported", stores, true, false};
  const bool rolling = ill && ill->reason == "RolloutUnsettled";
  if (ill) return {ill->reason, ill->message, !rolling, rolling};
  if (!answer.busy.empty()) return {"Inspecting", answer.busy, false, true};
  return {"Healthy",
          "version " + (status.running && !status.running->version.empty() ? status.running->version : "unknown") +
              " is healthy",
          false, false};
}

void publish(FrameworkPass& pass, const Verdict& verdict, const std::string& stores) {
  const auto& ns = pass.in.ns;
  const ConditionWriter write{pass.draft.status.conditions, ns.now, pass.draft.meta.generation};
  const bool ready = verdict.reason == "Healthy";
  write.set("Ready", ready ? "True" : "False", verdict.reason, verdict.message);
  write.set("Reconciling", verdict.reconciling ? "True" : "False", verdict.reason,
            verdict.reconciling ? verdict.message : "");
  write.set("Stalled", verdict.stalled ? "True" : "False", verdict.reason, verdict.stalled ? verdict.message : "");
  if (ns.frameworkClass)
    write.set("ClassFound", "True", "Found", "");
  else
    write.set("ClassFound", "False", "ClassMissing", "FrameworkClass " + pass.spec().className + " does not exist");
  if (ns.optIn.allowed)
    write.set("OptedIn", "True", "OptedIn", "");
  else
    write.set("OptedIn", "False", kNotOptedIn, ns.optIn.reason);
  if (!ns.frameworkClass)
    write.set("StoresSupported", "Unknown", "ClassMissing", "");
  else
    write.set("StoresSupported", stores.empty() ? "True" : "False", stores.empty() ? "Supported" : "StoresUnsupported",
              stores);
}

}  // namespace

FrameworkPass::FrameworkPass(const FrameworkSnapshot& snapshot, const Settings& s)
    : in(snapshot),
      settings(s),
      draft(snapshot.object),
      components(componentsInStartOrder(snapshot.ns, snapshot.object.spec, classOf(snapshot.ns))) {}

std::optional<PostgresDriver> FrameworkPass::driver(const api::Store& store) const {
  if (!in.ns.frameworkClass || !store.postgres) return std::nullopt;
  const auto* described = findStoreClass(in.ns.frameworkClass->spec, store.name);
  if (!described) return std::nullopt;
  return PostgresDriver{JobOwner{"Framework", draft.meta.name, draft.meta.uid, draft.meta.namespace_, draft.meta.name},
                        in.ns,
                        in.object.spec,
                        in.ns.frameworkClass->spec,
                        store,
                        *described};
}

std::string FrameworkPass::jobNameOf(const std::string& step, const std::string& store, int attempt) const {
  return jobName("fwk", draft.meta.uid, step, store, attempt);
}

JobRunInput FrameworkPass::jobInput(const std::string& step, const std::string& store, int maxAttempts) const {
  JobRunInput input;
  input.now = in.ns.now;
  input.newToken = in.ns.newToken;
  input.jobs = &in.ns.jobs;
  input.orphans = &in.ns.orphans;
  input.maxAttempts = maxAttempts;
  input.name = [this, step, store](int attempt) { return jobNameOf(step, store, attempt); };
  return input;
}

FrameworkSnapshot::Holder holderOf(const api::FrameworkRollback& rollback) {
  using Holder = FrameworkSnapshot::Holder;
  const auto& status = rollback.status;
  if (!status.phase || !api::isEnding(*status.phase)) return Holder::Present;
  switch (*status.phase) {
    case api::Phase::Planned:
    case api::Phase::Aborted:
    case api::Phase::Skipped:
      return Holder::Over;
    case api::Phase::Failed:
      return status.reason == "NothingTouched" ? Holder::Over : Holder::Ended;
    default:
      return Holder::Ended;
  }
}

FrameworkSnapshot::Holder holderOf(const api::FrameworkBackup& backup) {
  return hasEnded(backup) ? FrameworkSnapshot::Holder::Over : FrameworkSnapshot::Holder::Present;
}

Decision reconcileFramework(const FrameworkSnapshot& snapshot, const Settings& settings) {
  const auto& meta = snapshot.object.meta;
  const auto& status = snapshot.object.status;
  const bool locked = status.activeRollback.has_value();
  const bool held = hasFinalizer(meta, api::kFrameworkFinalizer);
  if (held && (!locked || (meta.deleting() && snapshot.ns.terminating)))
    return act({removeFinalizer(api::kFrameworks, meta, api::kFrameworkFinalizer)});
  if (meta.deleting() && !held) return {};

  FrameworkPass pass(snapshot, settings);
  const auto unlock = meta.annotations.find(api::kAnnotationUnlock);
  // A rollback that is at work is aborted, not robbed of its lock: it alone knows how to return to service.
  if (locked && snapshot.holder != FrameworkSnapshot::Holder::Present && unlock != meta.annotations.end() &&
      unlock->second == status.activeRollback->uid)
    return unlocked(pass);
  if (locked && snapshot.holder == FrameworkSnapshot::Holder::Over) return rollbackOver(pass);
  if (locked && !held) return act({addFinalizer(api::kFrameworks, meta, api::kFrameworkFinalizer)});
  if (status.activeBackup && (snapshot.backupHolder == FrameworkSnapshot::Holder::Gone ||
                              snapshot.backupHolder == FrameworkSnapshot::Holder::Over))
    return backupLost(pass);

  const auto ill = unhealthy(pass);
  const std::string stores = snapshot.ns.frameworkClass ? unsupportedStores(pass) : std::string();
  FrameworkAnswer answer;
  if (locked) {
    pass.draft.status.healthy = !ill;
    if (snapshot.holder == FrameworkSnapshot::Holder::Gone)
      answer = lostLock(pass);
    else if (snapshot.ns.optIn.allowed)
      if (auto deletes = stopOwnJobs(pass); !deletes.empty()) return act(std::move(deletes));
  } else {
    if (snapshot.ns.frameworkClass) observeRunning(pass, !ill);
    const bool able = snapshot.ns.frameworkClass && snapshot.ns.optIn.allowed && stores.empty();
    if (able && !ill) answer = inspectStores(pass);
    if (able && answer.requests.empty() && !answer.again) {
      FrameworkAnswer cleanup = cleanUp(pass);
      if (answer.recheck)
        cleanup.recheck = cleanup.recheck ? std::min(*cleanup.recheck, *answer.recheck) : answer.recheck;
      cleanup.busy = answer.busy;
      answer = std::move(cleanup);
    }
    if (!snapshot.ns.optIn.allowed) answer.recheck = kSlow;
    // The last pods of an old image go without a word of their workload.
    if (ill && ill->reason == "RolloutUnsettled")
      answer.recheck = std::min(answer.recheck.value_or(kUnsettled), kUnsettled);
  }
  if (!answer.requests.empty()) return act(std::move(answer.requests));
  publish(pass, judge(pass, ill, stores, answer), stores);
  return written(pass, answer);
}

}  // namespace rollback::reconcilers
