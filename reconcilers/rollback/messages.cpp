#include "rollback/messages.h"

#include "api/resources.h"
#include "rollback/steps.h"
#include "rollback/undo.h"

namespace rollback::reconcilers {

std::string kubectlDescribe(const StepContext& context) {
  return "kubectl describe frameworkrollback " + context.draft.meta.name + " -n " + context.draft.meta.namespace_;
}

std::string unlockCommand(const StepContext& context) {
  return "kubectl annotate framework " + context.draft.spec.frameworkName + " -n " + context.draft.meta.namespace_ +
         " --overwrite " + api::kAnnotationUnlock + "=" + context.draft.meta.uid;
}

std::string successMessage(const StepContext& context) {
  const auto& status = context.draft.status;
  std::string text = "framework " + context.draft.spec.frameworkName + " runs " + status.toVersion +
                     imagesSetMeanwhile(context, status.plan->images);
  if (status.downtime) text += " after " + std::to_string(status.downtime->milliseconds) + " ms of downtime";
  if (const auto wrong = unhealthyAsItWas(context); !wrong.empty()) text += " · as before, it is not healthy: " + wrong;
  for (const auto& previous : status.previous) {
    const auto changed = changedSinceSwitch(context, previous.store);
    text += " · " + (changed.empty()
                         ? "the previous database is kept, closed, as " + previous.name + " until " + previous.until
                         : changed);
  }
  for (const auto& store : status.plan->stores)
    if (store.action == "Keep") text += " · store " + store.name + " was left alone: " + store.reason;
  if (const auto why = cronJobsNotResumed(context); !why.empty()) text += " · " + why;
  if (!takesOver(context)) text += " · to undo: " + undoCommand(context.draft, true);
  return text;
}

std::string plannedMessage(const StepContext& context) {
  const auto& plan = *context.draft.status.plan;
  return "the plan is in status.plan" + std::string(plan.backup ? ", its backup was read to the end" : "") +
         ", the target's images start · the application was not touched and serves as before · data that would leave "
         "service: " +
         plan.dataLoss + " · nothing more is done; to do it, apply the same under another name with mode: Execute · " +
         "kubectl get frameworkrollback " + context.draft.meta.name + " -n " + context.draft.meta.namespace_ +
         " -o yaml";
}

std::string heldState(StepContext& context) {
  std::string text;
  for (const auto& component : context.components()) {
    if (!component.view->workload) continue;
    const int replicas = component.view->workload->replicas;
    const bool cron = component.view->workload->isCronJob();
    text += (text.empty() ? "" : ", ") + component.key() +
            (replicas == 0 ? (cron ? " is suspended" : " is stopped")
                           : (cron ? " is not suspended" : " runs at " + std::to_string(replicas) + " replicas")) +
            " with image " + (component.container() ? component.container()->image : "unknown");
  }
  for (const auto* store : context.switched()) {
    const auto* go = context.findRecord("Go", store->name);
    if (go && go->state == "Succeeded")
      text += "; database " + store->database +
              " is what was switched in, and what was live before is kept, closed, as " + store->prevName;
    else if (go)
      text += "; database " + store->database +
              " may have been switched, or not: what was live before is then kept as " + store->prevName;
    else
      text += "; database " + store->database + " was not switched, " + store->stageName + " waits beside it, closed";
  }
  return text;
}

std::string letGoMessage(StepContext& context) {
  std::string stays;
  for (const auto* store : context.switched())
    for (const auto& name : {store->database, store->stageName, store->prevName, store->revertedName})
      if (!name.empty()) stays += (stays.empty() ? "" : ", ") + name;
  return "rollback " + context.draft.meta.name + " is let go in step " + context.draft.status.step +
         ", because its namespace is being deleted; the application is not returned to service" +
         (stays.empty() ? "" : "; databases that may be there: " + stays);
}

}  // namespace rollback::reconcilers
