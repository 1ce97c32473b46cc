#include "rollback/publish.h"

#include <algorithm>

namespace rollback::reconcilers {
namespace {

using api::Phase;

void condition(StepContext& context, const std::string& type, const std::string& status, const std::string& reason,
               const std::string& message) {
  kube::Condition next;
  next.type = type;
  next.status = status;
  next.reason = reason.empty() ? "Unknown" : reason;
  next.message = message;
  next.lastTransitionTime = context.nowText();
  next.observedGeneration = context.draft.meta.generation;
  kube::setCondition(context.status().conditions, next);
}

std::string progressText(StepContext& context, const std::string& step) {
  const auto& status = context.status();
  if (!status.plan) return {};
  const auto& steps = status.plan->steps;
  const auto at = std::find(steps.begin(), steps.end(), step);
  if (at == steps.end()) return {};
  std::string text = std::to_string(at - steps.begin()) + "/" + std::to_string(steps.size());
  for (const auto& record : status.steps)
    if (record.name == step && record.state == "Running" && record.progress && record.progress->total > 0)
      text += " (" + std::to_string(std::min<std::int64_t>(100, record.progress->done * 100 / record.progress->total)) +
              "%)";
  return text;
}

}  // namespace

void publishCondition(StepContext& context, const std::string& type, const std::string& status,
                      const std::string& reason, const std::string& message) {
  condition(context, type, status, reason, message);
}

void publishProgress(StepContext& context, Phase phase, const std::string& step, const std::string& waiting,
                     const std::string& reason) {
  auto& status = context.status();
  status.phase = phase;
  status.reason = reason.empty() ? step : reason;
  status.step = step;
  status.progress = progressText(context, step);
  status.observedGeneration = context.draft.meta.generation;
  if (status.startedAt.empty()) status.startedAt = context.nowText();
  if (phase != Phase::Reverting)
    status.message = waiting;
  else if (status.message.find(" · ") == std::string::npos)
    status.message = waiting;
  const std::string why = waiting.empty() ? "step " + step : waiting;
  condition(context, "Ready", "Unknown", status.reason, why);
  condition(context, "Reconciling", "True", status.reason, why);
  condition(context, "Stalled", "False", "Working", "");
  condition(context, "Succeeded", "Unknown", step, "");
  condition(context, "Completed", "False", step, "");
  const auto done = [&](const char* type, const char* recordName) {
    const auto* record = context.findRecord(recordName);
    if (record && record->state == "Succeeded")
      condition(context, type, "True", recordName, "");
    else if (record && record->state == "Failed")
      condition(context, type, "False", record->token.empty() ? "Failed" : record->token, record->message);
  };
  done("Planned", "Plan");
  done("BackupVerified", "VerifyBackup");
  done("Staged", "Stage");
  done("Switched", "Switch");
  done("Verified", "Verify");
}

void publishEnding(StepContext& context, Phase phase, const std::string& reason, const std::string& message) {
  auto& status = context.status();
  status.phase = phase;
  status.reason = reason;
  status.message = message;
  status.observedGeneration = context.draft.meta.generation;
  if (status.startedAt.empty()) status.startedAt = context.nowText();
  status.completedAt = context.nowText();
  if (phase == Phase::Succeeded && status.plan)
    status.progress = std::to_string(status.plan->steps.size()) + "/" + std::to_string(status.plan->steps.size());
  const bool good = phase == Phase::Succeeded || phase == Phase::Skipped || phase == Phase::Planned;
  condition(context, "Ready", good ? "True" : "False", reason, message);
  condition(context, "Reconciling", "False", "Ended", "");
  condition(context, "Stalled", good ? "False" : "True", good ? "Ended" : reason, good ? "" : message);
  condition(context, "Succeeded",
            phase == Phase::Succeeded ? "True"
            : phase == Phase::Planned ? "Unknown"
                                      : "False",
            reason, message);
  condition(context, "Completed", "True", reason, "");
}

}  // namespace rollback::reconcilers
