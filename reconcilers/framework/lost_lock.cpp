// A lock whose rollback is gone (its finalizer was taken off by hand, or etcd was restored). Nobody knows any more what
// the rollback had done to the data, so the lock stays until a person gives it up. One case is sure: while every
// workload still has the image it had before, no data was switched, for the image is set first; then what was stopped
// is started again.
#include "api/resources.h"
#include "common/journal.h"
#include "framework/pass.h"
#include "rollback/workload_requests.h"

namespace rollback::reconcilers {
namespace {

constexpr std::chrono::seconds kStart{300};  // for one component, before the next is started all the same
constexpr const char* kStep = "ReturnToService";

const ComponentView* viewOf(const FrameworkPass& pass, const std::string& component) {
  for (const auto& view : pass.components)
    if (view.component->name == component) return &view;
  return nullptr;
}

// Why it cannot be known that nothing was switched; empty: it is known.
std::string maybeSwitched(const FrameworkPass& pass, const api::ActiveRollback& lock) {
  for (const auto& resume : lock.components) {
    const auto* view = viewOf(pass, resume.name);
    const std::string what = resume.workloadKind + "/" + resume.workloadName;
    if (!view || !view->view->workload || !view->container()) return what + " does not exist any more";
    if (!resume.workloadUid.empty() && view->view->workload->meta.uid != resume.workloadUid)
      return what + " was re-created since";
    if (view->container()->image != resume.image)
      return what + " has image " + view->container()->image + ", before the rollback it was " + resume.image;
  }
  return {};
}

}  // namespace

FrameworkAnswer lostLock(FrameworkPass& pass) {
  FrameworkAnswer answer;
  const auto& lock = *pass.in.object.status.activeRollback;
  const auto& meta = pass.draft.meta;
  const std::string unlock = "kubectl annotate framework " + meta.name + " -n " + meta.namespace_ + " --overwrite " +
                             api::kAnnotationUnlock + "=" + lock.uid;
  answer.busy = "rollback " + lock.name + ", which holds the lock, is gone";
  answer.recheck = Millis(30000);
  const std::string why = maybeSwitched(pass, lock);
  if (!why.empty()) {
    answer.busy +=
        "; its data may have been switched (" + why +
        "), so nothing is started by itself. Look at the workloads and databases, then give up the lock with: " +
        unlock;
    return answer;
  }
  answer.busy +=
      "; it had not switched any data, and what it stopped is started again. Then give up the lock with: " + unlock;
  if (!pass.in.ns.optIn.allowed) return answer;
  // In start order: the components' own; those of the lock that are at 0 and had replicas.
  for (const auto& view : pass.components) {
    const api::ResumeComponent* resume = nullptr;
    for (const auto& each : lock.components)
      if (each.name == view.component->name) resume = &each;
    if (!resume || resume->replicas == 0) continue;
    const auto& workload = *view.view->workload;
    const auto* known = findRecord(pass.draft.status.steps, kStep, resume->name);
    if (workload.replicas == 0) {
      if (known && known->state == "Succeeded") continue;  // stopped again by somebody else, who has a reason
      if (known) {
        answer.requests.push_back(scaleTo(workload, resume->replicas));
        return answer;
      }
      auto& record = recordOf(pass.draft.status.steps, kStep, resume->name);
      record.state = "Running";
      record.attempt = 1;
      record.startedAt = pass.nowText();
      record.message = "scaling to " + std::to_string(resume->replicas);
      answer.again = true;
      answer.events.push_back({"Warning", "ReturningToService", "Resume",
                               "rollback " + lock.name + " is gone; " + view.key() + " is scaled back to " +
                                   std::to_string(resume->replicas)});
      return answer;
    }
    if (!known) continue;  // was never stopped
    auto& record = recordOf(pass.draft.status.steps, kStep, resume->name);
    if (record.state != "Succeeded") {
      record.state = "Succeeded";
      record.completedAt = pass.nowText();
      answer.again = true;
      return answer;
    }
    WallTime since{};
    if (!workload.rolledOut() && parseTime(record.completedAt, since) && pass.in.ns.now - since < kStart) {
      answer.recheck = Millis(5000);
      return answer;
    }
  }
  return answer;
}

}  // namespace rollback::reconcilers
