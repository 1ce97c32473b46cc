#include "rollback/rollback.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "api/resources.h"
#include "rollback/publish.h"
#include "rollback/steps.h"

namespace rollback::reconcilers {
namespace {

using api::Phase;
using Kind = StepResult::Kind;

struct Step {
  const char* name;
  Phase phase;
  StepResult (*decide)(StepContext&);
  bool mayPause;  // suspend is honoured here: the application serves
};

constexpr std::array kForward{
    Step{"Plan", Phase::Planning, planStep, true},
    Step{"Lock", Phase::Preparing, lockStep, true},
    Step{"VerifyBackup", Phase::Preparing, verifyBackupStep, true},
    Step{"Stage", Phase::Preparing, stageStep, true},
    Step{"Quiesce", Phase::Switching, quiesceStep, false},
    Step{"Switch", Phase::Switching, switchStep, false},
    Step{"Resume", Phase::Switching, resumeStep, false},
    Step{"Verify", Phase::Verifying, verifyStep, true},
    Step{"Close", Phase::Verifying, closeStep, false},
};
constexpr std::array kAbandon{
    Step{"StopJobs", Phase::Preparing, stopJobsStep, false},
    Step{"Discard", Phase::Preparing, discardStep, false},
    Step{"Unlock", Phase::Preparing, unlockStep, false},
};
constexpr std::array kRevert{
    Step{"StopJobs", Phase::Reverting, stopJobsStep, false},
    Step{"RevertQuiesce", Phase::Reverting, revertQuiesceStep, false},
    Step{"SwitchBack", Phase::Reverting, switchBackStep, false},
    Step{"RevertResume", Phase::Reverting, revertResumeStep, false},
    Step{"Discard", Phase::Reverting, discardStep, false},
    Step{"Unlock", Phase::Reverting, unlockStep, false},
};

constexpr Millis kSlow{10000};

std::string kubectlDescribe(const StepContext& context) {
  return "kubectl describe frameworkrollback " + context.draft.meta.name + " -n " + context.draft.meta.namespace_;
}

kube::Request writeStatus(StepContext& context) {
  return kube::updateStatus(api::kFrameworkRollbacks, context.draft.meta.namespace_, context.draft.meta.name,
                            api::encodeFrameworkRollbackStatus(context.draft));
}

kube::Request patchFinalizers(const api::FrameworkRollback& rollback, const std::vector<std::string>& finalizers) {
  const nlohmann::json body = {
      {"metadata",
       {{"uid", rollback.meta.uid}, {"resourceVersion", rollback.meta.resourceVersion}, {"finalizers", finalizers}}}};
  return kube::patch(api::kFrameworkRollbacks, rollback.meta.namespace_, rollback.meta.name, kube::PatchType::Merge,
                     body.dump());
}

bool hasFinalizer(const api::FrameworkRollback& rollback) {
  const auto& all = rollback.meta.finalizers;
  return std::find(all.begin(), all.end(), api::kRollbackFinalizer) != all.end();
}

Decision removeFinalizer(const api::FrameworkRollback& rollback) {
  Decision decision;
  auto finalizers = rollback.meta.finalizers;
  finalizers.erase(std::remove(finalizers.begin(), finalizers.end(), api::kRollbackFinalizer), finalizers.end());
  decision.requests.push_back(patchFinalizers(rollback, finalizers));
  return decision;
}

// The first forward step that failed; its record carries the code in `token` and the sentence in `message`.
const api::StepRecord* failure(const StepContext& context) {
  for (const auto& step : kForward) {
    const auto* record = context.findRecord(step.name);
    if (record && record->state == "Failed") return record;
  }
  return nullptr;
}

Event eventOf(Phase phase, const StepContext& context) {
  Event event;
  event.action = "Rollback";
  event.reason = std::string("Rollback") + api::toString(phase);
  event.note = context.draft.status.message.empty()
                   ? "framework " + context.draft.spec.frameworkName + ": " + context.draft.status.step
                   : context.draft.status.message;
  if (phase == Phase::Failed || phase == Phase::Reverting || phase == Phase::Reverted || phase == Phase::Aborted)
    event.type = "Warning";
  return event;
}

// The status write, if the draft says anything new; its Event if the phase moved.
Decision written(StepContext& context) {
  Decision decision;
  if (api::encodeFrameworkRollbackStatus(context.draft) == api::encodeFrameworkRollbackStatus(context.in.rollback))
    return decision;
  decision.requests.push_back(writeStatus(context));
  if (context.draft.status.phase && context.draft.status.phase != context.in.rollback.status.phase)
    decision.events.push_back(eventOf(*context.draft.status.phase, context));
  decision.again = !api::isEnding(*context.draft.status.phase);
  return decision;
}

Decision ended(StepContext& context, Phase phase, const std::string& reason, const std::string& message) {
  publishEnding(context, phase, reason, message);
  return written(context);
}

Decision waiting(StepContext& context, Phase phase, const std::string& step, const std::string& why, Millis recheck) {
  publishProgress(context, phase, step, why);
  Decision decision = written(context);
  decision.again = false;
  decision.requeueAfter = recheck;
  return decision;
}

// Reasons from outside that end the forward way: each becomes the failure of the step it meets.
std::optional<std::pair<std::string, std::string>> interruption(StepContext& context, const Step& step) {
  if (std::string(step.name) == "Close") return std::nullopt;  // it is decided; closing takes moments
  if (std::string(step.name) == "Switch")
    for (const auto* store : context.restored())
      if (goGiven(context, store->name)) return std::nullopt;  // no deadline, no wish cuts a switch
  const auto& spec = context.draft.spec;
  if (context.draft.meta.deleting()) return std::pair("Deleted", "the FrameworkRollback was deleted");
  if (spec.abort) return std::pair("Aborted", "spec.abort was set");
  WallTime deadline{};
  if (parseTime(context.draft.status.deadline, deadline) && context.now() > deadline)
    return std::pair("DeadlineExceeded",
                     "spec.timeoutSeconds (" + std::to_string(spec.timeoutSeconds) + " s) have passed");
  if (step.phase != Phase::Planning && std::string(step.name) != "Lock" && !context.lock())
    return std::pair("LockLost", "the framework's lock was given to another");
  return std::nullopt;
}

std::string success(const StepContext& context) {
  const auto& status = context.draft.status;
  std::string text = "framework " + context.draft.spec.frameworkName + " runs " + status.toVersion;
  if (status.downtime) text += " after " + std::to_string(status.downtime->milliseconds) + " ms of downtime";
  for (const auto& previous : status.previous)
    text += " · the previous database is kept, closed, as " + previous.name + " until " + previous.until;
  for (const auto& store : status.plan->stores)
    if (store.action == "Keep") text += " · store " + store.name + " was left alone: " + store.reason;
  return text;
}

Decision endOfAbandon(StepContext& context) {
  const auto* failed = failure(context);
  std::string leftover;
  for (const auto& record : context.draft.status.steps)
    if (record.name == "Discard" && !record.message.empty()) leftover = " · " + record.message;
  const std::string code = failed->token;
  const std::string message = failed->name + " failed: " + failed->message +
                              " · the application was not touched and serves as before · nothing more is done" +
                              leftover + " · " + kubectlDescribe(context);
  if (code == "Aborted" || code == "Deleted") return ended(context, Phase::Aborted, code, message);
  return ended(context, Phase::Failed, "NothingTouched", message);
}

Decision endOfRevert(StepContext& context) {
  const auto* failed = failure(context);
  const auto* resumed = context.findRecord("RevertResume");
  const bool healthy = !resumed || resumed->message.empty() || resumed->message == "setting the image";
  std::string message = failed->name + " failed: " + failed->message + " · the application is back as it was before" +
                        (healthy ? "" : ", but not ready: " + resumed->message);
  for (const auto& previous : context.draft.status.previous)
    message +=
        " · what was written meanwhile is kept, closed, in database " + previous.name + " until " + previous.until;
  message += " · nothing more is done · " + kubectlDescribe(context);
  context.status().applicationVersion = context.status().fromVersion;
  return ended(context, Phase::Reverted, failed->token.empty() ? "Failed" : failed->token, message);
}

// Walks a list of steps from the first that has not succeeded; every one's beginning is journaled before it acts.
template <std::size_t N>
std::optional<Decision> walk(StepContext& context, const std::array<Step, N>& steps, bool forward) {
  for (const auto& step : steps) {
    {
      auto& record = context.record(step.name);
      if (record.state == "Succeeded") continue;
      if (forward) {
        if (const auto stop = interruption(context, step)) {
          auto& failed = context.record(step.name);
          if (failed.startedAt.empty()) failed.startedAt = context.nowText();
          failed.state = "Failed";
          failed.token = stop->first;
          failed.message = stop->second;
          publishProgress(context, step.phase, step.name, stop->second);
          return written(context);
        }
        if (context.draft.spec.suspend && step.mayPause) {
          publishCondition(context, "Suspended", "True", "Suspended", "spec.suspend is true");
          return waiting(context, context.draft.status.phase.value_or(Phase::Pending), step.name,
                         "suspended before step " + std::string(step.name), kSlow);
        }
        if (kube::findCondition(context.status().conditions, "Suspended"))
          publishCondition(context, "Suspended", "False", "Resumed", "");
      }
      auto& line = context.record(step.name);
      if (line.state.empty()) {
        line.state = "Running";
        line.startedAt = context.nowText();
        publishProgress(context, step.phase, step.name, "");
        return written(context);
      }
    }
    StepResult result = step.decide(context);
    if (result.kind == Kind::End) {
      // Only Plan and Lock end this way. Under the lock (a plan made again) it must be given back first.
      if (context.lock()) {
        auto& failed = context.record(step.name);
        failed.state = "Failed";
        failed.token = result.code;
        failed.message = result.message;
        publishProgress(context, step.phase, step.name, result.message);
        return written(context);
      }
      auto& record = context.record(step.name);
      record.state = result.phase == Phase::Skipped ? "Succeeded" : "Failed";
      record.token = result.code;
      record.message = result.message;
      record.completedAt = context.nowText();
      if (result.phase == Phase::Skipped) return ended(context, Phase::Skipped, result.code, result.message);
      publishCondition(context, "Planned", "False", result.code, result.message);
      return ended(context, Phase::Failed, "NothingTouched",
                   std::string(step.name) + " refused (" + result.code + "): " + result.message +
                       " · the application was not touched and serves as before");
    }
    switch (result.kind) {
      case Kind::Record:
        publishProgress(context, step.phase, step.name, result.message);
        return written(context);
      case Kind::Act: {
        Decision decision;
        decision.requests = std::move(result.requests);
        decision.again = true;
        decision.requeueAfter = Millis(1000);
        return decision;
      }
      case Kind::Wait:
        return waiting(context, step.phase, step.name, result.message, result.recheck.value_or(Millis(5000)));
      case Kind::Fail: {
        auto& record = context.record(step.name);
        record.state = "Failed";
        record.token = result.code;
        record.message = result.message;
        record.completedAt = context.nowText();
        publishProgress(context, step.phase, step.name, result.message);
        return written(context);
      }
      case Kind::End:
      case Kind::Done:
        break;
    }
    auto& record = context.record(step.name);
    record.state = "Succeeded";
    record.completedAt = context.nowText();
    if (forward && std::string(step.name) == "Plan" && context.draft.spec.mode == "Plan") {
      publishCondition(context, "Planned", "True", "Planned", "");
      return ended(context, Phase::Planned, "Planned",
                   "the plan is in status.plan; nothing was touched · " + context.draft.status.plan->dataLoss);
    }
  }
  return std::nullopt;
}

Decision goBack(StepContext& context) {
  const bool stopped = context.started("Quiesce");
  if (!stopped) {
    if (auto decision = walk(context, kAbandon, false)) return *decision;
    return endOfAbandon(context);
  }
  auto& status = context.status();
  if (status.revertDeadline.empty()) {
    status.revertDeadline = formatTime(context.now() + std::chrono::seconds(context.draft.spec.timeoutSeconds));
    publishProgress(context, Phase::Reverting, "StopJobs",
                    failure(context)->name + std::string(" failed: ") + failure(context)->message);
    return written(context);
  }
  // A backward step that failed is tried again until the revert has run out of time; then the lock stays, with both
  // copies.
  WallTime deadline{};
  const bool late = parseTime(status.revertDeadline, deadline) && context.now() > deadline;
  for (const auto& step : kRevert) {
    auto& record = context.record(step.name);
    if (record.state != "Failed") continue;
    if (late)
      return ended(context, Phase::Failed, "RevertFailed",
                   std::string(step.name) + " failed: " + record.message +
                       " · the application may be stopped; both copies of the data are kept and the framework stays "
                       "locked · nothing more is done by itself · "
                       "after putting it right: kubectl annotate framework " +
                       context.draft.spec.frameworkName + " -n " + context.draft.meta.namespace_ + " " +
                       api::kAnnotationUnlock + "=" + context.draft.meta.uid);
    WallTime since{};
    if (parseTime(record.completedAt, since) && context.now() - since < std::chrono::seconds(5))
      return waiting(context, Phase::Reverting, step.name, record.message, Millis(5000));
    record.state = "Running";
    record.attempt = 0;
    record.message.clear();
    publishProgress(context, Phase::Reverting, step.name, "trying again");
    return written(context);
  }
  if (auto decision = walk(context, kRevert, false)) return *decision;
  return endOfRevert(context);
}

}  // namespace

Decision reconcileRollback(const RollbackSnapshot& snapshot, const Settings& settings) {
  StepContext context(snapshot, settings);
  const auto& rollback = snapshot.rollback;
  const auto& phase = rollback.status.phase;
  const bool locked = context.lock() != nullptr;

  if (snapshot.ns.terminating && rollback.meta.deleting())
    return hasFinalizer(rollback) ? removeFinalizer(rollback) : Decision{};
  if (phase && api::isEnding(*phase)) {
    // RevertFailed keeps the lock, and the finalizer with it, until it is unlocked by hand.
    if (hasFinalizer(rollback) && !locked) return removeFinalizer(rollback);
    return {};
  }
  if (rollback.meta.deleting() && !locked) {
    if (!hasFinalizer(rollback)) return {};
    bool busy = false;
    for (const auto& view : snapshot.ns.jobs) busy = busy || !view.podsGone();
    if (!busy) return removeFinalizer(rollback);
  }
  if (!phase) {
    publishProgress(context, Phase::Pending, "Pending", "");
    return written(context);
  }
  if (!snapshot.ns.optIn.allowed)
    return waiting(context, *phase, context.draft.status.step, snapshot.ns.optIn.reason, kSlow);
  if (!snapshot.ns.framework) {
    WallTime created{};
    if (!locked && parseTime(rollback.meta.creationTimestamp, created) &&
        context.now() - created < std::chrono::seconds(30))
      return waiting(context, *phase, "Pending", "Framework " + rollback.spec.frameworkName + " does not exist yet",
                     Millis(2000));
    return ended(context, Phase::Failed, "NothingTouched",
                 "Framework " + rollback.spec.frameworkName +
                     " does not exist · nothing was touched · kubectl get frameworks -n " + rollback.meta.namespace_);
  }
  if (!hasFinalizer(rollback) && !rollback.meta.deleting()) {
    Decision decision;
    auto finalizers = rollback.meta.finalizers;
    finalizers.push_back(api::kRollbackFinalizer);
    decision.requests.push_back(patchFinalizers(rollback, finalizers));
    decision.again = true;
    return decision;
  }
  if (failure(context)) return goBack(context);
  if (auto decision = walk(context, kForward, true)) return *decision;
  context.status().applicationVersion = context.status().toVersion;
  return ended(context, Phase::Succeeded, "Succeeded", success(context));
}

}  // namespace rollback::reconcilers
