// A lock whose rollback is gone (its finalizer was taken off by hand, or it is missing after etcd was restored). What
// its journal said is lost; what is needed to go back is in the lock: images, replicas, and the databases by their
// OIDs. So it is taken back with the engine's own backward steps, journaled here in Framework.status.steps. They ask
// the server which database is live: the one from before the rollback means not switched, the other one means switch
// back, anything else is held, with the lock and every copy, until it is put right or the lock is given up by hand.
#include <algorithm>
#include <array>

#include "api/resources.h"
#include "common/journal.h"
#include "framework/pass.h"
#include "rollback/steps.h"

namespace rollback::reconcilers {
namespace {

using Kind = StepResult::Kind;

struct Step {
  const char* name;
  StepResult (*decide)(StepContext&);
};

constexpr std::array kSteps{Step{"StopJobs", stopJobsStep}, Step{"RevertQuiesce", revertQuiesceStep},
                            Step{"SwitchBack", switchBackStep}, Step{"RevertResume", revertResumeStep},
                            Step{"Discard", discardStep}};
constexpr std::array kLines{"StopJobs",     "RevertQuiesce", "SwitchBack",      "RestoreImage",
                            "RevertResume", "Discard",       "SuspendCronJobs", "ResumeCronJobs"};
// Before a step that failed is tried again: a quarter of the time that the taking back has gone on, within these. What
// disturbs it is mostly over in moments, and the application may be stopped; what is not, a person has to see to.
constexpr Millis kLeastPause{15 * 1000}, kLongestPause{5 * 60 * 1000};

// The rollback as its lock remembers it, with our journal: what the engine's steps work on.
RollbackSnapshot remembered(const FrameworkPass& pass) {
  const auto& lock = *pass.in.object.status.activeRollback;
  RollbackSnapshot out;
  out.ns = pass.in.ns;
  out.ns.framework = pass.in.object;
  out.ns.jobs.insert(out.ns.jobs.end(), pass.in.lostJobs.begin(), pass.in.lostJobs.end());
  out.ns.orphans.insert(out.ns.orphans.end(), pass.in.lostOrphans.begin(), pass.in.lostOrphans.end());
  auto& rollback = out.rollback;
  rollback.meta.name = lock.name;
  rollback.meta.uid = lock.uid;
  rollback.meta.namespace_ = pass.in.object.meta.namespace_;
  rollback.spec.frameworkName = pass.in.object.meta.name;
  rollback.spec.keepPreviousFor = lock.keepPreviousFor;
  rollback.status.steps = pass.in.object.status.steps;
  api::RollbackPlan plan;
  plan.stores = plannedStores(lock);
  rollback.status.plan = std::move(plan);
  return out;
}

// The first step that is not done yet; nullptr: all are.
const Step* nextStep(StepContext& context) {
  for (const auto& step : kSteps)
    if (context.record(step.name).state != "Succeeded") return &step;
  return nullptr;
}

// A step that failed, some time ago: another try. False: not yet.
bool tryAgain(StepContext& context, const Step& step) {
  WallTime began{}, failed{};
  if (parseTime(context.record(kSteps.front().name).startedAt, began) &&
      parseTime(context.record(step.name).completedAt, failed) &&
      context.now() - failed < std::clamp<Millis>((failed - began) / 4, kLeastPause, kLongestPause))
    return false;
  context.beginAgain(step.name);
  return true;
}

FrameworkAnswer finish(FrameworkPass& pass, StepContext& context) {
  FrameworkAnswer answer;
  if (const auto jobs = allJobsEnded(context); jobs.kind != Kind::Done) {
    answer.busy = jobs.message;
    answer.recheck = jobs.recheck;
    return answer;
  }
  const auto keep = keptAfterRevert(context);
  const std::string notReady = notReadyAsBefore(context);
  std::string note = "rollback " + context.draft.meta.name +
                     ", which held the lock, is gone; the application is back as it was before it" +
                     imagesSetMeanwhile(context, imagesAtLock(context));
  if (!notReady.empty()) note += ", but not ready: " + notReady;
  if (const auto why = cronJobsNotResumed(context); !why.empty()) note += "; " + why;
  for (const auto& copy : keep)
    note += "; what was written meanwhile is kept, closed, in database " + copy.name + " until " + copy.until;
  keepCopies(pass.draft.status, keep);
  pass.draft.status.activeRollback.reset();
  forgetLost(pass);
  answer.events.push_back({"Warning", "RollbackRecovered", "Unlock", note});
  answer.again = true;
  return answer;
}

}  // namespace

std::string unlockCommand(const FrameworkPass& pass) {
  const auto& meta = pass.draft.meta;
  return "kubectl annotate framework " + meta.name + " -n " + meta.namespace_ + " --overwrite " +
         api::kAnnotationUnlock + "=" + pass.in.object.status.activeRollback->uid;
}

void forgetLost(FrameworkPass& pass) {
  auto& steps = pass.draft.status.steps;
  steps.erase(std::remove_if(steps.begin(), steps.end(),
                             [](const auto& record) {
                               return std::find(kLines.begin(), kLines.end(), record.name) != kLines.end();
                             }),
              steps.end());
}

FrameworkAnswer lostLock(FrameworkPass& pass) {
  FrameworkAnswer answer;
  const auto& lock = *pass.in.object.status.activeRollback;
  const std::string gone = "rollback " + lock.name + ", which holds the lock, is gone; ";
  answer.recheck = Millis(30000);
  if (!pass.in.ns.optIn.allowed) {
    answer.busy = gone + "it cannot be taken back: " + pass.in.ns.optIn.reason;
    answer.stuck = true;
    return answer;
  }
  const RollbackSnapshot lost = remembered(pass);
  StepContext context(lost, pass.settings);
  context.recovering = true;
  context.owner = {"Framework", pass.draft.meta.name, pass.draft.meta.uid, pass.draft.meta.namespace_,
                   pass.draft.meta.name};
  context.jobPrefix = "fwk";

  const auto record = [&] {
    pass.draft.status.steps = context.draft.status.steps;
    answer.again = true;
    return answer;
  };
  while (const Step* step = nextStep(context)) {
    answer.busy = gone + "it is taken back: " + step->name;
    auto& line = context.record(step->name);
    if (line.state == "Running" && !line.completedAt.empty()) {
      answer.busy += ", which failed and is tried again";
      answer.stuck = true;
    }
    if (line.state.empty()) {
      if (step == &kSteps.front())
        answer.events.push_back(
            {"Warning", "RollbackGone", "Revert", gone + "it is taken back from the lock's record"});
      line.state = "Running";
      line.startedAt = pass.nowText();
      return record();
    }
    if (line.state == "Failed") {
      answer.busy = gone + step->name + " failed (" + line.token + "): " + line.message +
                    "; the application may be stopped, every copy of the data is kept and the lock too. It is tried "
                    "again, after " +
                    std::to_string(kLongestPause.count() / 60000) +
                    " minutes at the latest. To give up the lock and see to it by hand: " + unlockCommand(pass);
      answer.stuck = true;
      answer.recheck = kLeastPause;
      if (tryAgain(context, *step)) return record();
      return answer;
    }
    StepResult result = step->decide(context);
    auto& after = context.record(step->name);
    switch (result.kind) {
      case Kind::Record:
        return record();
      case Kind::Act:
        answer.requests = std::move(result.requests);
        return answer;
      case Kind::Wait:
        if (!result.message.empty()) answer.busy += ": " + result.message;
        answer.recheck = result.recheck.value_or(Millis(5000));
        return answer;
      case Kind::Fail:
      case Kind::End:
        after.state = "Failed";
        after.token = result.code;
        after.message = result.message;
        after.completedAt = pass.nowText();
        answer.events.push_back({"Warning", "RecoveryFailed", "Revert",
                                 std::string(step->name) + " of lost rollback " + lock.name + ": " + result.message});
        return record();
      case Kind::Done:
        after.state = "Succeeded";
        after.completedAt = pass.nowText();
        return record();
    }
  }
  return finish(pass, context);
}

}  // namespace rollback::reconcilers
