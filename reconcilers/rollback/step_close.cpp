// Verify and Close, and the ends of abandoning and reverting.
#include <algorithm>
#include <sstream>

#include "api/duration.h"
#include "rollback/steps.h"

namespace rollback::reconcilers {
namespace {

// How a line of what Verify has to tell begins.
const std::string kAsItWas = "as it was before: ";
const std::string kSinceSwitch = "since the switch: ";

std::string told(const api::StepRecord& record, const std::string& mark) {
  std::istringstream lines(record.message);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(mark, 0) == 0) return line.substr(mark.size());
  return {};
}

std::string keptUntil(const StepContext& context) {
  const auto keep = api::parseDuration(context.draft.spec.keepPreviousFor);
  return formatTime(context.now() + (keep ? *keep : std::chrono::hours(24)));
}

api::KeptCopy keptCopy(const StepContext& context, const std::string& store, const char* kind, const std::string& name,
                       std::uint32_t oid) {
  api::KeptCopy copy;
  copy.store = store;
  copy.name = name;
  copy.oid = oid;
  copy.kind = kind;
  copy.of = context.draft.meta.uid;
  copy.ofName = context.draft.meta.name;
  copy.until = keptUntil(context);
  return copy;
}

// Says in the rollback's own status what is kept (so that "until" is decided once), then hands it to the Framework with
// the lock.
StepResult keepAndRelease(StepContext& context, std::vector<api::KeptCopy> keep, const std::string& version,
                          bool succeeded) {
  auto& previous = context.status().previous;
  if (previous.empty() && !keep.empty()) {
    for (const auto& copy : keep) previous.push_back({copy.store, copy.name, copy.until, version});
    return StepResult::record();
  }
  for (auto& copy : keep)
    for (const auto& said : previous)
      if (said.store == copy.store && said.name == copy.name) copy.until = said.until;
  return releaseLock(context, keep, succeeded);
}

StepResult judge(const api::PlannedStore& planned, const CheckResult& result) {
  for (const auto& health : result.health)
    if (!health.ok) return StepResult::fail("Unhealthy", "health check " + health.name + " failed: " + health.message);
  for (const auto& invariant : result.invariants)
    if (!invariant.ok)
      return StepResult::fail("InvariantBroken",
                              "check " + invariant.name + " of store " + planned.name + " answered " + invariant.value);
  const api::SchemaLevel& wanted = planned.targetSchema;
  if (wanted.known() && result.schema.known() && wanted.digest != result.schema.digest)
    return StepResult::fail("SchemaChanged", "the schema of store " + planned.name + " is not the target's any more: " +
                                                 std::to_string(result.schema.count) + " entries, expected " +
                                                 std::to_string(wanted.count));
  return StepResult::done();
}

const DatabaseSeen* named(const CheckResult& result, const std::string& name) {
  for (const auto& database : result.databases)
    if (database.name == name) return &database;
  return nullptr;
}

// Names are probed once more before Close: what somebody did to the two databases since the switch. It is told and no
// reason to go back, for the application is served, and stopping it would help nobody.
std::string changedSince(const api::PlannedStore& planned, const CheckResult& result) {
  if (planned.stageOid == 0) return {};
  std::string out;
  const auto* live = named(result, planned.database);
  if (!live || live->oid != planned.stageOid)
    out = "database " + planned.database + " is not the one that was switched in, somebody put another in its place; ";
  const auto* previous = named(result, planned.prevName);
  const std::string was = "the previous database, " + planned.prevName + ", is ";
  if (!previous || previous->oid != planned.liveOid)
    return out + was + "not there any more: somebody dropped or renamed it";
  if (previous->open)
    return out + was + "open, somebody opened it; to close it: psql -c 'alter database \"" + planned.prevName +
           "\" with allow_connections false'";
  return out.empty() ? out : out + was + "kept, closed";
}

constexpr std::int64_t kCheckSeconds = 900;

StepResult checked(StepContext& context, const std::string& store, const api::PlannedStore& planned,
                   const Outcome& outcome) {
  const auto result = decodeCheckResult(outcome.result);
  if (!result) return StepResult::fail("JobFailed", result.error().message);
  auto verdict = judge(planned, *result);
  const bool good = verdict.kind == StepResult::Kind::Done;
  // An undo brings back what was, and that may be why somebody rolled back: it is told, not taken back.
  if (!good && context.draft.spec.to.undo.empty()) return verdict;
  auto& done = context.record("Verify", store);
  done.state = "Succeeded";
  if (!good) done.message = kAsItWas + verdict.message;
  if (const auto what = changedSince(planned, *result); !what.empty())
    done.message += (done.message.empty() ? "" : "\n") + kSinceSwitch + what;
  done.completedAt = context.nowText();
  return StepResult::record();
}

constexpr std::chrono::seconds kPatience{300};

// Done: every component that is to serve does. One at 0 replicas is somebody's wish; a CronJob does not serve, and is
// told of at the end.
StepResult waitForAll(StepContext& context) {
  for (const auto& component : context.components()) {
    const auto& workload = component.view->workload;
    const auto* before = context.resumeOf(component);
    // One that is gone may be on its way back: kubectl replace --force deletes and creates.
    const bool gone = !workload && before && before->replicas > 0 && before->workloadKind != "CronJob";
    if (!gone && (!workload || workload->replicas == 0 || workload->rolledOut())) continue;
    std::string& since = context.record("Verify").token;
    if (since.empty()) since = context.nowText();
    WallTime seen{};
    const bool patient = parseTime(since, seen) && context.now() - seen <= kPatience;
    if (!gone)
      return patient ? StepResult::wait("waiting for " + component.key() + " to be ready", Millis(1000))
                     : StepResult::fail("NotReady", component.key() + " did not stay ready");
    const std::string how = recreateWith(context.status().plan->images, component.component->name);
    if (patient) return StepResult::wait("waiting for " + component.key() + ", which is gone" + how, Millis(1000));
    const bool stays = context.draft.spec.onFailure == "Hold";  // else with the image of before
    return StepResult::fail("WorkloadMissing", component.key() + " is gone" + (stays ? how : ""));
  }
  context.record("Verify").token.clear();
  return StepResult::done();
}

// An application without stores is asked how it is from its own image: to do that the mover needs nothing there.
StepResult checkHealthAlone(StepContext& context) {
  const auto urls = healthUrls(context.framework().spec, context.classSpec(), context.draft.meta.namespace_);
  if (urls.empty() || context.components().empty()) return StepResult::done();
  const ComponentView& component = context.components().front();
  const std::string& name = component.component->name;
  if (context.succeeded("Verify", name) || !component.container()) return StepResult::done();
  return context.runMoverJob(
      "Verify", name, "check", 4,
      [&](const api::StepRecord& record) {
        JobSpec job = componentJob(context, record, "check", name, component.container()->image);
        job.task = healthTask(context.owner, record, urls, kCheckSeconds);
        job.deadlineSeconds = kCheckSeconds;
        return job;
      },
      [&](const Outcome& outcome) { return checked(context, name, {}, outcome); });
}

}  // namespace

StepResult verifyStep(StepContext& context) {
  if (auto serving = waitForAll(context); serving.kind != StepResult::Kind::Done) return serving;
  WallTime since{};
  parseTime(context.record("Verify").startedAt, since);
  const auto soaked = context.now() - since;
  if (soaked < std::chrono::seconds(context.draft.spec.soakSeconds))
    return StepResult::wait(
        "soaking until " + formatTime(since + std::chrono::seconds(context.draft.spec.soakSeconds)),
        std::chrono::duration_cast<Millis>(std::chrono::seconds(context.draft.spec.soakSeconds) - soaked));
  std::vector<StepResult> parts;
  const auto& stores = context.status().plan->stores;
  for (const auto& planned : stores) {
    const std::string store = planned.name;
    if (context.succeeded("Verify", store)) continue;
    const bool health = &planned == &stores.front();  // the application's: asked for once
    parts.push_back(context.runMover(
        "Verify", store, "check", 4,
        [&](const PostgresDriver& driver, const api::StepRecord& record) {
          return driver.check(record, planned, health, kCheckSeconds);
        },
        [&](const Outcome& outcome) { return checked(context, store, planned, outcome); }));
  }
  if (stores.empty()) parts.push_back(checkHealthAlone(context));
  auto result = together(std::move(parts));
  if (result.kind == StepResult::Kind::Done) context.status().applicationHealthy = unhealthyAsItWas(context).empty();
  return result;
}

std::string unhealthyAsItWas(const StepContext& context) {
  std::string out;
  for (const auto& record : context.draft.status.steps)
    if (const auto wrong = told(record, kAsItWas); record.name == "Verify" && !wrong.empty())
      out += (out.empty() ? "" : "; ") + wrong;
  return out;
}

std::string changedSinceSwitch(const StepContext& context, const std::string& store) {
  const auto* record = context.findRecord("Verify", store);
  return record ? told(*record, kSinceSwitch) : std::string();
}

StepResult closeStep(StepContext& context) {
  if (auto jobs = allJobsEnded(context); jobs.kind != StepResult::Kind::Done) return jobs;
  // Not before the target is proven: a run that is due begins at once, and would be in the way of going back.
  if (auto resumed = resumeCronJobs(context, context.status().plan->images); resumed.kind != StepResult::Kind::Done)
    return resumed;
  const auto& downtime = context.status().downtime;
  std::vector<api::KeptCopy> keep;
  for (const auto* store : context.switched()) {
    keep.push_back(
        keptCopy(context, store->name, store->action == "Undo" ? "reverted" : "prev", store->prevName, store->liveOid));
    keep.back().writtenFrom = store->writtenFrom;
    keep.back().writtenTo = downtime ? downtime->startedAt : "";
  }
  return keepAndRelease(context, std::move(keep), context.status().fromVersion, true);
}

StepResult allJobsEnded(const StepContext& context) {
  for (const auto& view : context.in.ns.jobs)
    if (!view.podsGone())
      return StepResult::wait("waiting for the pods of Job " + view.job.meta.name + " to end", Millis(1000));
  for (const auto& pod : context.in.ns.orphans)
    if (!pod.ended()) return StepResult::wait("waiting for pod " + pod.meta.name + " to end", Millis(1000));
  return StepResult::done();
}

std::vector<api::KeptCopy> keptAfterRevert(StepContext& context) {
  std::vector<api::KeptCopy> keep;
  for (const auto* store : context.switched()) {
    const auto* back = context.findRecord("SwitchBack", store->name);
    if (!back || back->message.rfind("reverted oid ", 0) != 0) continue;  // nothing had been switched
    const auto& kept = context.framework().status.kept;
    const auto known = std::find_if(kept.begin(), kept.end(), [&](const api::KeptCopy& copy) {
      return copy.store == store->name && copy.oid == store->stageOid;
    });
    if (store->action == "Undo" && known != kept.end()) {
      // It was somebody's previous data before, and is again: for as long as it was promised.
      keep.push_back(*known);
      keep.back().name = store->revertedName;
      continue;
    }
    keep.push_back(keptCopy(context, store->name, "reverted", store->revertedName, store->stageOid));
    if (const auto* go = context.findRecord("Go", store->name)) keep.back().writtenFrom = go->completedAt;
    keep.back().writtenTo = back->startedAt;
  }
  return keep;
}

StepResult unlockStep(StepContext& context) {
  if (auto jobs = allJobsEnded(context); jobs.kind != StepResult::Kind::Done) return jobs;
  return keepAndRelease(context, keptAfterRevert(context), context.status().toVersion, false);
}

}  // namespace rollback::reconcilers
