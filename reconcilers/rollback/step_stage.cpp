// VerifyBackup and Stage: everything that can be done while the application still serves. Stage fills each store beside
// the live data, proves that the target image can be pulled and started, and, once all are filled, arms the switch
// Jobs: started, connected, waiting for go.
#include "rollback/steps.h"

namespace rollback::reconcilers {
namespace {

constexpr int kAttempts = 4;

// The part of the backup that holds one store, read with that store's tools. Of those that stay nothing is read.
StepResult verifyStore(StepContext& context, const std::string& store) {
  std::vector<std::string> stores;
  for (const auto& declared : context.framework().spec.stores) stores.push_back(declared.name);
  return context.runMover(
      "VerifyBackup", store, "verify", kAttempts,
      [&](const PostgresDriver& driver, const api::StepRecord& record) {
        return driver.verify(record, *context.status().plan->backup, stores, false, context.jobDeadlineSeconds());
      },
      [&](const Outcome& outcome) {
        const auto result = decodeVerifyResult(outcome.result);
        if (!result) return StepResult::fail("JobFailed", result.error().message);
        if (result->digest != context.status().plan->backup->digest)
          return StepResult::fail("BackupChanged", "backup " + context.status().plan->backup->path +
                                                       " is not the one the plan was made for: digest " +
                                                       result->digest + ", planned " +
                                                       context.status().plan->backup->digest);
        auto& line = context.record("VerifyBackup", store);
        line.state = "Succeeded";
        line.completedAt = context.nowText();
        return StepResult::record();
      });
}

StepResult stageStore(StepContext& context, const std::string& name) {
  return context.runMover(
      "Stage", name, "stage", kAttempts,
      [&](const PostgresDriver& driver, const api::StepRecord& record) {
        for (const auto* planned : context.restored())
          if (planned->name == name)
            return driver.stage(record, *context.status().plan, *planned, !context.draft.spec.acceptUnknownSpace,
                                context.jobDeadlineSeconds());
        return JobSpec{};
      },
      [&](const Outcome& outcome) {
        const auto result = decodeStageResult(outcome.result);
        if (!result) return StepResult::fail("JobFailed", result.error().message);
        for (auto* planned : context.restored()) {
          if (planned->name != name) continue;
          if (result->liveOid != planned->liveOid || result->systemIdentifier != planned->systemIdentifier)
            return StepResult::fail("DatabaseReplaced",
                                    "database " + planned->database + " was replaced since the plan was made");
          planned->stageOid = result->stageOid;
          planned->stageName =
              context.driver(name)->names(context.draft.meta.uid).stage(context.record("Stage", name).attempt);
        }
        auto& line = context.record("Stage", name);
        line.state = "Succeeded";
        line.message = result->afterStage.empty() ? "" : "afterStage: " + result->afterStage;
        line.completedAt = context.nowText();
        return StepResult::record();
      });
}

StepResult armSwitch(StepContext& context, const std::string& name) {
  auto result = context.runMover(
      "ArmSwitch", name, "switch", kAttempts,
      [&](const PostgresDriver& driver, const api::StepRecord& record) {
        for (const auto* planned : context.switched())
          if (planned->name == name) return driver.switchOver(record, *planned, context.jobDeadlineSeconds());
        return JobSpec{};
      },
      [](const Outcome&) {
        return StepResult::fail("SwitchUnasked", "the switch Job ended before it was given its go token");
      });
  if (result.kind != StepResult::Kind::Wait) return result;
  const auto& line = context.record("ArmSwitch", name);
  const JobView* view = findJob(context.in.ns.jobs, line.jobName);
  if (view && view->runningPod() && view->progress && view->progress->what == "waiting for go") {
    auto& armed = context.record("ArmSwitch", name);
    armed.state = "Succeeded";
    armed.completedAt = context.nowText();
    return StepResult::record();
  }
  if (result.message.empty()) result.message = "starting the switch of store " + name;
  result.recheck = Millis(500);
  return result;
}

// The target image as a Job that starts our no-op in it: pulled, and able to run on a node, before anything is stopped.
StepResult startTarget(StepContext& context, const std::string& component, const std::string& image) {
  const auto spec = [&](const api::StepRecord& record) {
    JobSpec job = componentJob(context, record, "target", component, image);
    job.verb = "noop";
    return job;
  };
  auto& line = context.record("StartTarget", component);
  // A no-op has nothing to report: its Job's own end is the answer.
  const JobView* view = line.jobUid.empty() ? nullptr : findJob(context.in.ns.jobs, line.jobName);
  if (view && view->job.meta.uid == line.jobUid && view->job.complete) {
    line.state = "Succeeded";
    line.completedAt = context.nowText();
    return StepResult::record();
  }
  auto result = context.runMoverJob("StartTarget", component, "target", 2, spec,
                                    [](const Outcome&) { return StepResult::done(); });
  if (result.kind == StepResult::Kind::Fail)
    return StepResult::fail("TargetImageUnusable", "image " + image + " of component " + component +
                                                       " could not be started: " + result.message);
  if (result.kind == StepResult::Kind::Wait && !result.message.empty()) {
    WallTime since{};
    parseTime(context.record("StartTarget", component).startedAt, since);
    if (context.now() - since > std::chrono::seconds(120))
      return StepResult::fail("TargetImageUnusable",
                              "image " + image + " of component " + component + " cannot be used: " + result.message);
  }
  return result;
}

}  // namespace

JobSpec componentJob(const StepContext& context, const api::StepRecord& record, const std::string& step,
                     const std::string& component, const std::string& image) {
  JobSpec job;
  job.name = record.jobName;
  job.owner = context.owner;
  job.step = step;
  job.store = component;
  job.image = image;
  job.deadlineSeconds = context.jobDeadlineSeconds();
  job.ttlSecondsAfterFinished = 300;
  job.jobTemplate = &context.framework().spec.jobTemplate;
  for (const auto& view : context.components())
    if (view.component->name == component && view.view->workload)
      job.imagePullSecrets = view.view->workload->imagePullSecrets;
  return job;
}

StepResult together(std::vector<StepResult> parts) {
  using Kind = StepResult::Kind;
  StepResult out = StepResult::done();
  for (const Kind kind : {Kind::Fail, Kind::End})
    for (auto& part : parts)
      if (part.kind == kind) return std::move(part);
  for (const auto& part : parts)
    if (part.kind == Kind::Record) return StepResult::record();
  for (auto& part : parts) {
    if (part.kind == Kind::Act) {
      out.kind = Kind::Act;
      for (auto& request : part.requests) out.requests.push_back(std::move(request));
    } else if (part.kind == Kind::Wait && out.kind != Kind::Act) {
      out.kind = Kind::Wait;
      if (out.message.empty()) out.message = part.message;
      if (part.recheck && (!out.recheck || *part.recheck < *out.recheck)) out.recheck = part.recheck;
    }
  }
  return out;
}

StepResult verifyBackupStep(StepContext& context) {
  // The undo of a held rollback goes back from its restored stores, and restores none.
  if (!context.status().plan->backup) return StepResult::done();
  std::vector<std::string> stores;
  for (const auto* planned : context.restored()) stores.push_back(planned->name);
  std::vector<StepResult> parts;
  for (const auto& store : stores)
    if (!context.succeeded("VerifyBackup", store)) parts.push_back(verifyStore(context, store));
  return together(std::move(parts));
}

StepResult startTargetsStep(StepContext& context) {
  std::vector<StepResult> parts;
  for (const auto& [component, image] : context.status().plan->images) {
    if (context.succeeded("StartTarget", component)) continue;
    parts.push_back(startTarget(context, component, image));
  }
  return together(std::move(parts));
}

StepResult stageStep(StepContext& context) {
  std::vector<StepResult> parts{startTargetsStep(context)};
  std::vector<std::string> unfilled, unarmed;
  for (const auto* planned : context.switched()) {
    if (planned->action == "Restore" && !context.succeeded("Stage", planned->name)) unfilled.push_back(planned->name);
    if (!context.succeeded("ArmSwitch", planned->name)) unarmed.push_back(planned->name);
  }
  for (const auto& store : unfilled) parts.push_back(stageStore(context, store));
  // Another store may take hours to be filled: until then no switch waits, with a session and a deadline of its own.
  if (unfilled.empty())
    for (const auto& store : unarmed) parts.push_back(armSwitch(context, store));
  return together(std::move(parts));
}

}  // namespace rollback::reconcilers
