// The engine: its lists of steps, and the one walk along them. Long for one file: forward, dry run, abandon, revert,
// hold and take-over share that walk, and are read together.
#include "rollback/rollback.h"

#include <algorithm>
#include <array>

#include "api/resources.h"
#include "common/finalizer.h"
#include "common/opt_in.h"
#include "common/status.h"
#include "common/version.h"
#include "rollback/events.h"
#include "rollback/messages.h"
#include "rollback/publish.h"
#include "rollback/refusals.h"
#include "rollback/steps.h"
#include "rollback/undo.h"

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
// mode: Plan. Everything that can be known without touching anything: the backup read to its end, the target image
// started.
constexpr std::array kDryRun{
    Step{"Plan", Phase::Planning, planStep, true},
    Step{"VerifyBackup", Phase::Planning, verifyBackupStep, true},
    Step{"StartTarget", Phase::Planning, startTargetsStep, true},
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

// The undo of a rollback that is held: what a revert would have done, under the lock taken over.
constexpr std::array kTakeOver{
    Step{"Plan", Phase::Planning, planStep, true},
    Step{"Lock", Phase::Preparing, lockStep, true},
    Step{"StopJobs", Phase::Preparing, stopJobsStep, false},
    Step{"RevertQuiesce", Phase::Switching, revertQuiesceStep, false},
    Step{"SwitchBack", Phase::Switching, switchBackStep, false},
    Step{"RevertResume", Phase::Switching, revertResumeStep, false},
    Step{"Discard", Phase::Verifying, discardStep, false},
    Step{"Unlock", Phase::Verifying, unlockStep, false},
};

constexpr Millis kSlow{10000};
constexpr Millis kRetry{15000};  // before a backward step that failed is tried again

bool holdsFinalizer(const api::FrameworkRollback& rollback) {
  return hasFinalizer(rollback.meta, api::kRollbackFinalizer);
}

Decision dropFinalizer(const api::FrameworkRollback& rollback) {
  Decision decision;
  decision.requests.push_back(removeFinalizer(api::kFrameworkRollbacks, rollback.meta, api::kRollbackFinalizer));
  return decision;
}

// The first forward step that failed; its record carries the code in `token` and the sentence in `message`.
const api::StepRecord* failure(const StepContext& context) {
  for (const auto& step : kForward) {
    const auto* record = context.findRecord(step.name);
    if (record && record->state == "Failed") return record;
  }
  const auto* target = context.findRecord("StartTarget");
  return target && target->state == "Failed" ? target : nullptr;
}

// The status write, if the draft says anything new, with its Events.
Decision written(StepContext& context) {
  Decision decision;
  auto write =
      statusWrite(api::kFrameworkRollbacks, context.in.rollback, context.draft, api::encodeFrameworkRollbackStatus);
  if (!write) return decision;
  decision.requests.push_back(std::move(*write));
  decision.events = eventsOf(context.in.rollback, context.draft);
  decision.again = !api::isEnding(*context.draft.status.phase);
  return decision;
}

Decision ended(StepContext& context, Phase phase, const std::string& reason, const std::string& message) {
  publishEnding(context, phase, reason, message);
  return written(context);
}

Decision waiting(StepContext& context, Phase phase, const std::string& step, const std::string& why, Millis recheck,
                 const std::string& reason = "") {
  publishProgress(context, phase, step, why, reason);
  Decision decision = written(context);
  decision.again = false;
  decision.requeueAfter = recheck;
  return decision;
}

// Reasons from outside that end the forward way: each becomes the failure of the step it meets.
std::optional<std::pair<std::string, std::string>> interruption(StepContext& context, const Step& step) {
  // It is the way back; there is none but to its end.
  if (context.recovering && (context.lock() || context.started("StopJobs"))) return std::nullopt;
  if (std::string(step.name) == "Close") return std::nullopt;  // it is decided; closing takes moments
  if (std::string(step.name) == "Switch")
    for (const auto* store : context.switched())
      if (goGiven(context, *store)) return std::nullopt;  // no deadline, no wish cuts a switch
  const auto& spec = context.draft.spec;
  if (context.draft.meta.deleting()) return std::pair("Deleted", "the FrameworkRollback was deleted");
  if (spec.abort) return std::pair("Aborted", "spec.abort was set");
  WallTime deadline{};
  if (parseTime(context.draft.status.deadline, deadline) && context.now() > deadline) {
    const std::string& last = context.draft.status.message;  // what it waited for, if for anything
    return std::pair("DeadlineExceeded", "spec.timeoutSeconds (" + std::to_string(spec.timeoutSeconds) +
                                             " s) have passed" + (last.empty() ? "" : ", " + last));
  }
  if (step.phase != Phase::Planning && std::string(step.name) != "Lock" && !context.lock())
    return std::pair("LockLost", "the framework's lock was given to another");
  return std::nullopt;
}

Decision endOfAbandon(StepContext& context) {
  const auto* failed = failure(context);
  std::string leftover;
  for (const auto& record : context.draft.status.steps)
    if (record.name == "Discard" && !record.message.empty()) leftover = " · " + record.message;
  const std::string code = failed->token;
  const std::string message = failed->name + " failed: " + failed->message +
                              " · the application was not touched and serves as before · nothing more is done" +
                              leftover + " · " + nextCommand(context, code);
  if (code == "Aborted" || code == "Deleted") return ended(context, Phase::Aborted, code, message);
  return ended(context, Phase::Failed, "NothingTouched", message);
}

Decision endOfRevert(StepContext& context) {
  const auto* failed = failure(context);
  const std::string notReady = notReadyAsBefore(context);
  std::string message = failed->name + " failed: " + failed->message + " · the application is back as it was before" +
                        imagesSetMeanwhile(context, context.status().fromImages) +
                        (notReady.empty() ? "" : ", but not ready: " + notReady);
  if (const auto why = cronJobsNotResumed(context); !why.empty()) message += " · " + why;
  for (const auto& previous : context.draft.status.previous)
    message +=
        " · what was written meanwhile is kept, closed, in database " + previous.name + " until " + previous.until;
  message += " · nothing more is done · " + kubectlDescribe(context);
  context.status().applicationVersion = context.status().fromVersion;
  return ended(context, Phase::Reverted, failed->token.empty() ? "Failed" : failed->token, message);
}

// What the journal now announces follows the write that says so, in one decision: a pass less for each act.
void append(Decision& decision, const std::vector<kube::Request>& acts) {
  decision.requests.insert(decision.requests.end(), acts.begin(), acts.end());
}

// Walks a list of steps from the first that has not succeeded; every one's beginning is journaled before it acts.
template <std::size_t N>
std::optional<Decision> walk(StepContext& context, const std::array<Step, N>& steps, bool forward) {
  for (const auto& step : steps) {
    bool begins = false;
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
      begins = line.state.empty();
      if (begins) {
        line.state = "Running";
        line.startedAt = context.nowText();
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
      if (result.phase == Phase::Skipped)
        return ended(context, Phase::Skipped, result.code, skippedMessage(context, result));
      publishCondition(context, "Planned", "False", result.code, result.message);
      return ended(context, Phase::Failed, "NothingTouched", refusalMessage(context, step.name, result));
    }
    switch (result.kind) {
      case Kind::Record: {
        publishProgress(context, step.phase, step.name, result.message);
        Decision decision = written(context);
        const auto* line = context.findRecord(step.name);
        if (!line || line->state != "Running") return decision;  // what it recorded is that all begins anew
        const StepResult next = step.decide(context);
        if (next.kind == Kind::Act) append(decision, next.requests);
        return decision;
      }
      case Kind::Act: {
        Decision decision;
        if (begins) {
          publishProgress(context, step.phase, step.name, "");
          decision = written(context);
        }
        append(decision, result.requests);
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
  }
  return std::nullopt;
}

// A backward step that failed is tried again until `until`; then the lock stays, with both copies.
template <std::size_t N>
std::optional<Decision> retry(StepContext& context, const std::array<Step, N>& steps, const std::string& until) {
  WallTime deadline{};
  const bool late = parseTime(until, deadline) && context.now() > deadline;
  for (const auto& step : steps) {
    const auto* known = context.findRecord(step.name);
    if (!known || known->state != "Failed") continue;
    const api::StepRecord record = *known;
    if (late)
      return ended(context, Phase::Failed, "RevertFailed",
                   std::string(step.name) + " failed: " + record.message +
                       " · the application may be stopped; both copies of the data are kept and the framework stays "
                       "locked · nothing more is done by itself · to have it tried once more: " +
                       undoCommand(context.draft, false) +
                       " · after putting it right by hand: " + unlockCommand(context));
    WallTime since{};
    if (parseTime(record.completedAt, since) && context.now() - since < kRetry)
      return waiting(context, step.phase, step.name, record.message, kRetry);
    context.beginAgain(step.name);
    publishProgress(context, step.phase, step.name, "trying again");
    return written(context);
  }
  return std::nullopt;
}

// Left as it is, to be looked at: no Job of ours acts any more, the lock and every copy stay.
Decision hold(StepContext& context) {
  const std::array steps{Step{"StopJobs", context.status().phase.value_or(Phase::Switching), stopJobsStep, false}};
  if (auto decision = walk(context, steps, false)) return *decision;
  const auto* failed = failure(context);
  if (!context.components().empty())
    if (const auto* container = context.components().front().container())
      context.status().applicationVersion = versionOf(container->image);
  return ended(context, Phase::Failed, "Held",
               failed->name + " failed: " + failed->message + " · held, as spec.onFailure asks: " + heldState(context) +
                   "; the framework stays locked · nothing more is done by itself · to go back: " +
                   undoCommand(context.draft, false) + " · to go on from here by hand: " + unlockCommand(context));
}

Decision dryRun(StepContext& context) {
  if (auto decision = walk(context, kDryRun, true)) return *decision;
  return ended(context, Phase::Planned, "Planned", plannedMessage(context));
}

Decision goBack(StepContext& context) {
  if (!context.started("Quiesce")) {
    if (auto decision = walk(context, kAbandon, false)) return *decision;
    return endOfAbandon(context);
  }
  const std::string& why = failure(context)->token;
  if (context.draft.spec.onFailure == "Hold" && why != "Aborted" && why != "Deleted") return hold(context);
  auto& status = context.status();
  if (status.revertDeadline.empty()) {
    status.revertDeadline = formatTime(context.now() + std::chrono::seconds(context.draft.spec.timeoutSeconds));
    publishProgress(context, Phase::Reverting, "StopJobs",
                    failure(context)->name + std::string(" failed: ") + failure(context)->message);
    return written(context);
  }
  if (auto decision = retry(context, kRevert, status.revertDeadline)) return *decision;
  if (auto decision = walk(context, kRevert, false)) return *decision;
  return endOfRevert(context);
}

// The namespace goes, and nothing can be created in it any more: the object is let go, with a word of what stays.
Decision letGo(StepContext& context) {
  const auto& rollback = context.in.rollback;
  if (!holdsFinalizer(rollback)) return {};
  Decision decision = dropFinalizer(rollback);
  const auto& phase = rollback.status.phase;
  if (!context.lock() || (phase && api::isEnding(*phase))) return decision;
  decision.events.push_back({"Warning", "NamespaceTerminating", "Rollback", letGoMessage(context)});
  return decision;
}

Decision takeOver(StepContext& context) {
  if (context.lock())
    if (auto decision = retry(context, kTakeOver, context.status().deadline)) return *decision;
  if (failure(context)) return goBack(context);  // before the lock was taken over
  if (auto decision = walk(context, kTakeOver, true)) return *decision;
  context.status().applicationVersion = context.status().toVersion;
  std::string message = "rollback " + context.draft.spec.to.undo + " is undone: " + successMessage(context);
  if (const auto why = notReadyAsBefore(context); !why.empty()) message += " · but it is not ready: " + why;
  return ended(context, Phase::Succeeded, "Succeeded", message);
}

}  // namespace

Decision reconcileRollback(const RollbackSnapshot& snapshot, const Settings& settings) {
  StepContext context(snapshot, settings);
  context.recovering = takesOver(context);
  const auto& rollback = snapshot.rollback;
  const auto& phase = rollback.status.phase;
  const bool locked = context.lock() != nullptr;

  if (snapshot.ns.terminating && rollback.meta.deleting()) return letGo(context);
  if (phase && api::isEnding(*phase)) {
    // RevertFailed and Held keep the lock, and the finalizer with it. Deleted, it goes, and its Framework takes it back
    // from the record in the lock (framework/lost_lock.cpp).
    if (holdsFinalizer(rollback) && (!locked || rollback.meta.deleting())) return dropFinalizer(rollback);
    // What is changed of an ended wish changes nothing; but tools wait until it was seen.
    if (rollback.meta.deleting() || rollback.status.observedGeneration == rollback.meta.generation) return {};
    context.status().observedGeneration = rollback.meta.generation;
    return written(context);
  }
  if (rollback.meta.deleting() && !locked) {
    if (!holdsFinalizer(rollback)) return {};
    bool busy = false;
    for (const auto& view : snapshot.ns.jobs) busy = busy || !view.podsGone();
    if (!busy) return dropFinalizer(rollback);
  }
  if (!phase) {
    publishProgress(context, Phase::Pending, "Pending", "");
    return written(context);
  }
  if (!snapshot.ns.optIn.allowed)
    return waiting(context, *phase, context.draft.status.step, snapshot.ns.optIn.reason, kSlow, kNotOptedIn);
  if (!snapshot.ns.framework) {
    WallTime created{};
    if (!locked && parseTime(rollback.meta.creationTimestamp, created) &&
        context.now() - created < std::chrono::seconds(30))
      return waiting(context, *phase, "Pending", "Framework " + rollback.spec.frameworkName + " does not exist yet",
                     Millis(2000));
    const auto refusal =
        refuse("FrameworkNotFound", "Framework " + rollback.spec.frameworkName + " does not exist in this namespace");
    publishCondition(context, "Planned", "False", refusal.code, refusal.message);
    return ended(context, Phase::Failed, "NothingTouched", refusalMessage(context, "Plan", refusal));
  }
  if (!holdsFinalizer(rollback) && !rollback.meta.deleting()) {
    Decision decision;
    decision.requests.push_back(addFinalizer(api::kFrameworkRollbacks, rollback.meta, api::kRollbackFinalizer));
    decision.again = true;
    return decision;
  }
  if (rollback.spec.mode == "Plan") return failure(context) ? goBack(context) : dryRun(context);
  if (context.recovering) return takeOver(context);
  if (failure(context)) return goBack(context);
  if (auto decision = walk(context, kForward, true)) return *decision;
  context.status().applicationVersion = context.status().toVersion;
  return ended(context, Phase::Succeeded, "Succeeded", successMessage(context));
}

}  // namespace rollback::reconcilers
