// Quiesce, Resume and their backward twins: stopping, changing and starting the application. Every write is aimed and
// decided from the workload as it is in this snapshot.
#include <algorithm>

#include "api/resources.h"
#include "rollback/field_writes.h"
#include "rollback/steps.h"
#include "rollback/workload_requests.h"

namespace rollback::reconcilers {
namespace {

// Journal lines of what CronJobs are told.
constexpr const char* kSuspend = "SuspendCronJobs";
constexpr const char* kResume = "ResumeCronJobs";
// How long the way back waits for a CronJob's Job before it says so and begins again.
constexpr std::chrono::seconds kRunsPatience{60};

std::vector<const kube::Pod*> livePods(const ComponentView& component) {
  std::vector<const kube::Pod*> out;
  for (const auto& pod : component.view->pods)
    if (!pod.ended()) out.push_back(&pod);
  return out;
}

// What is to be deleted for a pod to end and stay away.
std::string keeperOf(const kube::Pod& pod) {
  if (pod.meta.ownerReferences.empty()) return "pod " + pod.meta.name;
  const auto& owner = pod.meta.ownerReferences.front();
  return owner.kind + " " + owner.name;
}

int readyPods(const ComponentView& component) {
  return static_cast<int>(std::count_if(component.view->pods.begin(), component.view->pods.end(),
                                        [](const kube::Pod& p) { return p.ready && !p.meta.deleting(); }));
}

struct Start {
  const ComponentView* component;
  const api::ResumeComponent* resume;
};

// What is to serve again, in start order.
std::vector<Start> toStart(const StepContext& context) {
  std::vector<Start> out;
  for (const auto& component : context.components()) {
    const auto* resume = context.resumeOf(component);
    if (resume && resume->replicas > 0 && resume->workloadKind != "CronJob") out.push_back({&component, resume});
  }
  return out;
}

// What the first `count` have to become ready, one after the other.
int startTimeoutSeconds(const std::vector<Start>& starts, std::size_t count) {
  int all = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (!starts[i].component->view->workload) continue;
    int seconds = 0;
    if (const auto* described = starts[i].component->described)
      for (const auto& health : described->health) seconds = std::max(seconds, health.timeoutSeconds);
    all += seconds > 0 ? seconds : 300;
  }
  return all;
}

// The Jobs of a CronJob that run, or what is left of them.
std::string runsOf(const ComponentView& component) {
  const auto& view = *component.view;
  if (view.runs.empty())
    return "waiting for " + std::to_string(livePods(component).size()) + " pod(s) of " + component.key() + " to end";
  const std::string& job = view.runs.front();
  return "waiting for Job " + job + " of " + component.key() + " to end" +
         (view.runs.size() > 1 ? " and " + std::to_string(view.runs.size() - 1) + " more" : "") +
         "; if it must not be waited for: kubectl delete job " + job + " -n " + view.workload->meta.namespace_;
}

bool isCronJob(const ComponentView& component) {
  return component.view->workload && component.view->workload->isCronJob();
}

// Before the application is stopped: no further run begins, and one that is under way ends by itself, which may take
// its time.
StepResult suspendCronJobs(StepContext& context) {
  FieldWrites writes;
  std::string waiting;
  for (const auto& component : context.components()) {
    if (!isCronJob(component)) continue;
    if (component.view->workload->replicas != 0)
      writes.add(component, scaleTo(*component.view->workload, 0));
    else if (!component.view->runs.empty() || !livePods(component).empty())
      waiting = runsOf(component);
  }
  if (!writes.empty())
    return writes.send(context, kSuspend, "suspending:", "ReplicasContested",
                       writes.last() + " is resumed each time it is suspended");
  if (!waiting.empty()) return StepResult::wait(waiting, Millis(1000));
  return StepResult::done();
}

// Why a component will not become ready: an image that cannot be pulled, a container that dies again and again.
std::string hopeless(const ComponentView& component) {
  for (const auto& pod : component.view->pods) {
    if (pod.meta.deleting()) continue;
    for (const auto& status : pod.containers) {
      if (status.waitingReason == "CrashLoopBackOff" && status.restartCount >= 3)
        return "container " + status.name + " of pod " + pod.meta.name + " keeps ending (" +
               std::to_string(status.restartCount) + " restarts)";
      if (status.waitingReason == "ImagePullBackOff" || status.waitingReason == "ErrImageNeverPull" ||
          status.waitingReason == "InvalidImageName")
        return "the image of container " + status.name + " of pod " + pod.meta.name +
               " cannot be used: " + status.waitingReason;
    }
  }
  return {};
}

bool isReady(const ComponentView& component) {
  return component.view->workload && component.view->workload->rolledOut() && readyPods(component) > 0;
}

StepResult notReady(const ComponentView& component, const std::string& why) {
  return StepResult::fail("NotReady", component.key() + " does not become ready: " + why);
}

// Whether Quiesce began. Of a lost rollback its lock tells: Quiesce names the staged copies there before it writes to a
// workload. Where none is switched, nothing tells.
bool mayHaveQuiesced(StepContext& context) {
  if (!context.recovering) return context.started("Quiesce");
  const auto stores = context.switched();
  return stores.empty() ||
         std::any_of(stores.begin(), stores.end(), [&](const auto* store) { return goGiven(context, *store); });
}

// Whether an image that differs may be ours, and data may have been switched. Before that nothing of the target runs.
bool mayHaveSwitched(StepContext& context) {
  return context.recovering ? mayHaveQuiesced(context) : context.started("Switch");
}

// S7: a leader that was deposed may still have a write to a workload on its way, the one that stops it above all. It is
// aimed at the workload's version, so it misses if we have written since; where nothing was left to write, a mark is.
std::vector<kube::Request> fences(StepContext& context) {
  std::vector<kube::Request> requests;
  if (!mayHaveQuiesced(context)) return requests;
  for (const auto& component : context.components()) {
    const auto& workload = component.view->workload;
    const auto* resume = context.resumeOf(component);
    if (!workload || !resume) continue;
    if (workload->replicas == 0 && resume->replicas > 0) continue;  // starting it will be a write
    const auto mark = workload->meta.annotations.find(api::kAnnotationFence);
    if (mark != workload->meta.annotations.end() && mark->second == context.draft.meta.uid) continue;
    const char* line = workload->isCronJob() ? kResume : "RevertResume";
    if (context.record(line).message.find(" " + component.key() + "@") != std::string::npos) continue;
    requests.push_back(fence(*workload, context.draft.meta.uid));
  }
  return requests;
}

}  // namespace

StepResult stopApplication(StepContext& context, const std::string& recordName) {
  const auto& components = context.components();
  FieldWrites writes;
  std::string waiting;
  for (auto it = components.rbegin(); it != components.rend(); ++it) {
    const auto pods = livePods(*it);
    if (!it->view->workload) {
      if (!pods.empty())
        waiting = "waiting for pod " + pods.front()->meta.name + " of " + it->key() +
                  ", which is gone, to end; if nobody ends it: kubectl delete " + keeperOf(*pods.front()) + " -n " +
                  context.draft.meta.namespace_;
      continue;
    }
    if (it->view->workload->replicas != 0)
      writes.add(*it, scaleTo(*it->view->workload, 0));
    else if (!it->view->runs.empty())
      waiting = runsOf(*it);
    else if (!pods.empty() || it->view->workload->statusReplicas > 0)
      waiting = "waiting for " + std::to_string(pods.size()) + " pod(s) of " + it->key() + " to end";
  }
  if (!writes.empty())
    return writes.send(context, recordName, "scaling to 0:", "ReplicasContested",
                       writes.last() + " is scaled up again each time it is scaled to 0");
  if (!waiting.empty()) return StepResult::wait(waiting, Millis(1000));
  return StepResult::done();
}

StepResult quiesceStep(StepContext& context) {
  auto& status = context.status();
  if (!status.downtime) {
    for (const auto& component : context.components())
      if (!component.container())
        return StepResult::fail("WorkloadMissing", component.key() + " of component " + component.component->name +
                                                       " is gone, or its container; nothing was stopped");
    // Replicas as they are now, not as they were at Lock: somebody may have scaled meanwhile. A CronJob that we have
    // begun to suspend is not as it was any more.
    const bool suspending = context.started(kSuspend);
    api::Framework framework = context.framework();
    bool moved = false;
    for (auto& resume : framework.status.activeRollback->components)
      for (const auto& component : context.components())
        if (component.component->name == resume.name && component.view->workload &&
            !(suspending && component.view->workload->isCronJob()) &&
            component.view->workload->replicas != resume.replicas) {
          resume.replicas = component.view->workload->replicas;
          moved = true;
        }
    // What is about to be switched in: who comes after us, should we be lost, must know it by its OID.
    for (auto& resume : framework.status.activeRollback->stores)
      for (const auto* planned : context.switched())
        if (planned->name == resume.store && resume.stageOid != planned->stageOid) {
          resume.stageOid = planned->stageOid;
          resume.stageName = planned->stageName;
          moved = true;
        }
    if (moved)
      return StepResult::act({kube::updateStatus(api::kFrameworks, framework.meta.namespace_, framework.meta.name,
                                                 api::encodeFrameworkStatus(framework))});
    if (auto suspended = suspendCronJobs(context); suspended.kind != StepResult::Kind::Done) {
      if (suspended.kind == StepResult::Kind::Wait) suspended.message += "; the application serves meanwhile";
      return suspended;
    }
    status.downtime = api::Downtime{formatMicroTime(context.now()), "", 0};
    return StepResult::record();
  }
  return stopApplication(context, "Quiesce");
}

StepResult startApplication(StepContext& context, const std::string& recordName, bool whole) {
  const auto starts = toStart(context);
  if (!whole)
    for (const auto& [component, resume] : starts)
      if (const auto why = hopeless(*component); !why.empty() && !isReady(*component)) return notReady(*component, why);
  // One that a later one was started after has been ready: that it is not at this moment is no start that failed.
  const std::string announced = context.record(recordName).message;
  const auto hasBeenReady = [&](std::size_t i) {
    return !whole && std::any_of(starts.begin() + i + 1, starts.end(), [&](const Start& later) {
      return announced.find(" " + later.component->key() + "@") != std::string::npos;
    });
  };
  std::optional<StepResult> broken;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const auto& component = *starts[i].component;
    const auto& resume = *starts[i].resume;
    const auto& workload = component.view->workload;
    if (!workload) {
      if (!broken)
        broken = StepResult::fail(
            "WorkloadMissing", component.key() + " is gone" + recreateWith({{resume.name, resume.image}}, resume.name));
      if (!whole) return *broken;
      continue;
    }
    if (workload->replicas == 0) {
      FieldWrites writes;
      writes.add(component, scaleTo(*workload, resume.replicas));
      return writes.send(context, recordName, "scaling up:", "ReplicasContested",
                         component.key() + " is scaled to 0 again each time it is started");
    }
    if (isReady(component)) continue;
    std::string why = hopeless(component);
    WallTime since{};
    const int limit = startTimeoutSeconds(starts, hasBeenReady(i) ? starts.size() : i + 1);
    if (why.empty() && parseTime(context.record(recordName).startedAt, since) &&
        context.now() - since > std::chrono::seconds(limit))
      why = "not within " + std::to_string(limit) + " s";
    if (!why.empty()) {
      if (!broken) broken = notReady(component, why);
      if (!whole) return *broken;
      continue;
    }
    return StepResult::wait("waiting for " + component.key() + " to become ready", Millis(1000));
  }
  if (broken) return *broken;
  auto& status = context.status();
  if (status.downtime && status.downtime->endedAt.empty()) {
    WallTime from{};
    parseTime(status.downtime->startedAt, from);
    status.downtime->endedAt = formatMicroTime(context.now());
    status.downtime->milliseconds = (context.now() - from).count();
    return StepResult::record();
  }
  return StepResult::done();
}

StepResult resumeStep(StepContext& context) { return startApplication(context, "Resume", false); }

StepResult resumeCronJobs(StepContext& context, const std::vector<std::pair<std::string, std::string>>& images) {
  FieldWrites writes;
  std::string gone;
  for (const auto& component : context.components()) {
    const auto* resume = context.resumeOf(component);
    if (!resume || resume->replicas == 0 || resume->workloadKind != "CronJob") continue;
    if (!component.view->workload) {
      gone = component.key() + " is gone" + recreateWith(images, component.component->name);
    } else if (component.view->workload->replicas == 0) {
      writes.add(component, scaleTo(*component.view->workload, resume->replicas));
    }
  }
  if (writes.empty()) {
    if (!gone.empty()) context.record(kResume).token = gone;
    return StepResult::done();
  }
  auto result = writes.send(context, kResume, "resuming:", "ReplicasContested",
                            writes.last() + " is suspended again each time it is resumed");
  if (result.kind != StepResult::Kind::Fail) return result;
  context.record(kResume).token = result.message;  // somebody wants it so: told, and no reason to go back
  return StepResult::done();
}

std::string cronJobsNotResumed(const StepContext& context) {
  const auto* record = context.findRecord(kResume);
  return record ? record->token : std::string();
}

StepResult revertQuiesceStep(StepContext& context) {
  // Only what may run the target, or on switched data, has to stop; before that the application is simply started
  // again.
  if (!mayHaveSwitched(context)) return StepResult::done();
  bool untouched = true;
  for (const auto& component : context.components()) {
    const auto* resume = context.resumeOf(component);
    if (resume && component.container() && component.container()->image != resume->image) untouched = false;
  }
  for (const auto* store : context.switched())
    if (goGiven(context, *store)) untouched = false;
  if (untouched) return StepResult::done();
  // Whatever serves goes on until no Job of a CronJob is left, which nobody can promise.
  auto suspended = suspendCronJobs(context);
  WallTime since{};
  if (suspended.kind == StepResult::Kind::Wait && parseTime(context.record("RevertQuiesce").startedAt, since) &&
      context.now() - since > kRunsPatience)
    return StepResult::fail("RunsUnended", suspended.message);
  if (suspended.kind != StepResult::Kind::Done) return suspended;
  auto& status = context.status();
  if (status.downtime && !status.downtime->endedAt.empty()) {
    status.downtime->endedAt.clear();  // it goes down once more: the gap is counted from its first beginning
    return StepResult::record();
  }
  return stopApplication(context, "RevertQuiesce");
}

StepResult revertResumeStep(StepContext& context) {
  const auto images = imagesAtLock(context);
  if (mayHaveSwitched(context) && !imagesSetMeanwhile(context, images).empty()) {
    auto result = setImages(context, "RestoreImage", images, true);
    if (result.kind != StepResult::Kind::Done) return result;
  }
  if (auto requests = fences(context); !requests.empty()) return StepResult::act(std::move(requests));
  auto result = startApplication(context, "RevertResume", true);
  const bool notReady =
      result.kind == StepResult::Kind::Fail && (result.code == "NotReady" || result.code == "WorkloadMissing");
  if (result.kind != StepResult::Kind::Done && !notReady) return result;
  if (auto resumed = resumeCronJobs(context, images); resumed.kind != StepResult::Kind::Done) return resumed;
  if (notReady) {
    // It is as it was, which may be why somebody wanted to go back. Say so and end; waiting longer helps nobody.
    context.status().applicationHealthy = false;
    context.record("RevertResume").token = "NotReady";
    context.record("RevertResume").message = result.message;
    return StepResult::done();
  }
  return result;
}

std::string notReadyAsBefore(const StepContext& context) {
  const auto* resumed = context.findRecord("RevertResume");
  return resumed && resumed->token == "NotReady" ? resumed->message : std::string();
}

}  // namespace rollback::reconcilers
