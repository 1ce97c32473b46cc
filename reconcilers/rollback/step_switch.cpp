// Switch and SwitchBack. The target image is set and observed at zero replicas before any go token is given, so nobody
// can start the version that is left on the data that comes back; then each store is swapped and opened by its waiting
// Job.
#include <algorithm>

#include "rollback/steps.h"

namespace rollback::reconcilers {
namespace {

bool quiesced(const StepContext& context) {
  for (const auto& component : context.components()) {
    const auto& workload = component.view->workload;  // of one that was deleted, pods may still run
    if (workload && (workload->replicas != 0 || !component.view->runs.empty())) return false;
    for (const auto& pod : component.view->pods)
      if (!pod.ended()) return false;
  }
  return true;
}

bool runs(const StepContext& context, const api::StepRecord* line) {
  return line && std::any_of(context.in.ns.jobs.begin(), context.in.ns.jobs.end(), [&](const JobView& view) {
           return view.job.meta.name == line->jobName && !view.job.suspended;
         });
}

// A kubelet shows a changed annotation in the pod at once, as a rule; one that missed the change does so when it syncs
// the pod anyway, more than a minute later (seen). The application waits, so the token is said again, which is a
// change.
constexpr std::int64_t kSayAgainSeconds = 4, kMostSaid = 12;
// A swap takes some ten milliseconds, and its end is heard from the mover's log, which nobody announces.
constexpr Millis kListen{100}, kListenLater{500};
constexpr std::chrono::seconds kListensFor{3};

std::chrono::seconds sinceGo(StepContext& context, const std::string& store) {
  WallTime since{};
  if (!parseTime(context.record("Go", store).startedAt, since)) return {};
  return std::chrono::duration_cast<std::chrono::seconds>(context.now() - since);
}

// What the pod's go annotation is to become; empty: it stays.
std::string nextGo(StepContext& context, const std::string& store, const std::string& now) {
  const std::string token = context.record("ArmSwitch", store).token;
  if (now.empty()) return token;
  const std::int64_t times = std::min(sinceGo(context, store).count() / kSayAgainSeconds, kMostSaid);
  const std::string next = token + " " + std::to_string(times);
  return times > 0 && next != now ? next : std::string();
}

std::string goAnnotation(const kube::Pod& pod) {
  const auto found = pod.meta.annotations.find("rollback.pa-ecosystem.io/go");
  return found == pod.meta.annotations.end() ? std::string() : found->second;
}

StepResult switchStore(StepContext& context, const std::string& store) {
  auto& go = context.record("Go", store);
  if (go.state == "Succeeded") return StepResult::done();
  if (go.state.empty()) {
    // Announced before it is given: from here on the data may be switched.
    go.state = "Running";
    go.attempt = 1;
    go.startedAt = context.nowText();
    return StepResult::record();
  }
  const int armedAttempt = context.record("ArmSwitch", store).attempt;
  auto result = context.runMover(
      "ArmSwitch", store, "switch", 6,
      [&](const PostgresDriver& driver, const api::StepRecord& record) {
        for (const auto* planned : context.switched())
          if (planned->name == store) return driver.switchOver(record, *planned, context.jobDeadlineSeconds());
        return JobSpec{};
      },
      [&](const Outcome&) {
        auto& done = context.record("Go", store);
        done.state = "Succeeded";
        done.completedAt = context.nowText();
        return StepResult::record();
      });
  if (result.kind == StepResult::Kind::Record && context.record("ArmSwitch", store).attempt != armedAttempt)
    context.record("Go", store).attempt = context.record("ArmSwitch", store).attempt;
  if (result.kind != StepResult::Kind::Wait) return result;
  const JobView* view = findJob(context.in.ns.jobs, context.record("ArmSwitch", store).jobName);
  const kube::Pod* pod = view ? view->runningPod() : nullptr;
  if (pod)
    if (const std::string next = nextGo(context, store, goAnnotation(*pod)); !next.empty())
      return StepResult::act({giveGo(*pod, next)});
  if (result.message.empty()) result.message = "switching store " + store;
  result.recheck = sinceGo(context, store) < kListensFor ? kListen : kListenLater;
  return result;
}

}  // namespace

bool goGiven(const StepContext& context, const api::PlannedStore& store) {
  return context.recovering ? store.stageOid != 0 : context.started("Go", store.name);
}

StepResult switchStep(StepContext& context) {
  // S8: looked at in the same pass that would act.
  if (!quiesced(context)) {
    for (const auto* store : context.switched())
      if (goGiven(context, *store))
        return StepResult::fail("NotQuiesced", "the application was started while its data was being switched");
    return StepResult::fail("NotQuiesced", "the application was started again before its data could be switched");
  }
  auto images = setImages(context, "SetImage", context.status().plan->images, false);
  if (images.kind != StepResult::Kind::Done) return images;
  std::vector<std::string> stores;
  for (const auto* planned : context.switched()) stores.push_back(planned->name);
  std::vector<StepResult> parts;
  for (const auto& store : stores) parts.push_back(switchStore(context, store));
  return together(std::move(parts));
}

StepResult switchBackStep(StepContext& context) {
  std::vector<std::string> stores;
  for (const auto* planned : context.switched())
    if (goGiven(context, *planned)) stores.push_back(planned->name);
  std::vector<StepResult> parts;
  for (const auto& store : stores) {
    if (context.succeeded("SwitchBack", store)) continue;
    const auto* line = context.findRecord("SwitchBack", store);
    // S8, backward: what was started meanwhile is stopped first.
    if (!quiesced(context) && !runs(context, line))
      return StepResult::fail("NotQuiesced", "the application was started before its data was switched back");
    parts.push_back(context.runMover(
        "SwitchBack", store, "switchback", 1000,
        [&](const PostgresDriver& driver, const api::StepRecord& record) {
          for (const auto* planned : context.switched())
            if (planned->name == store) return driver.switchBack(record, *planned, context.jobDeadlineSeconds());
          return JobSpec{};
        },
        [&](const Outcome& outcome) {
          const auto result = decodeSwitchBackResult(outcome.result);
          if (!result) return StepResult::fail("JobFailed", result.error().message);
          auto& done = context.record("SwitchBack", store);
          done.state = "Succeeded";
          done.completedAt = context.nowText();
          done.message = result->revertedOid ? "reverted oid " + std::to_string(result->revertedOid) : "";
          return StepResult::record();
        }));
  }
  return together(std::move(parts));
}

StepResult stopJobsStep(StepContext& context) {
  // No Job of ours may act after this step (S10). One whose go token was given is left to its end: a swap is never cut.
  std::vector<kube::Request> requests;
  std::string waiting;
  for (const auto& view : context.in.ns.jobs) {
    if (view.job.ended() && view.podsGone()) continue;
    const bool mayBeSwapping = std::any_of(view.pods.begin(), view.pods.end(), [](const kube::Pod& pod) {
      return !pod.ended() && !goAnnotation(pod).empty();
    });
    if (!mayBeSwapping && !view.job.meta.deleting()) requests.push_back(deleteJob(view.job));
    waiting = "waiting for Job " + view.job.meta.name + " to end";
  }
  for (const auto& pod : context.in.ns.orphans)
    if (!pod.ended()) waiting = "waiting for pod " + pod.meta.name + " to end";
  if (!requests.empty()) return StepResult::act(std::move(requests));
  if (!waiting.empty()) return StepResult::wait(waiting, Millis(1000));
  return StepResult::done();
}

StepResult discardStep(StepContext& context) {
  if (context.recovering && !context.lock()) return StepResult::done();  // none of it is ours yet
  std::vector<std::string> stores;
  for (const auto* planned : context.restored()) {
    // Once it was live it is no staged copy any more, but kept. (A go token may have come to nothing.)
    const auto* back = context.findRecord("SwitchBack", planned->name);
    const bool wasLive = back && back->message.rfind("reverted oid ", 0) == 0;
    if (!wasLive && (context.recovering || context.started("Stage", planned->name))) stores.push_back(planned->name);
  }
  std::vector<StepResult> parts;
  for (const auto& store : stores) {
    if (context.succeeded("Discard", store)) continue;
    auto result = context.runMover(
        "Discard", store, "discard", 5,
        [&](const PostgresDriver& driver, const api::StepRecord& record) {
          for (const auto* planned : context.switched())
            if (planned->name == store) {
              api::PlannedStore last = *planned;
              last.stageName =
                  context.recovering
                      ? ""
                      : driver.names(context.draft.meta.uid).stage(std::max(1, context.record("Stage", store).attempt));
              return driver.discard(record, last, 600);
            }
          return JobSpec{};
        },
        [&](const Outcome&) {
          auto& done = context.record("Discard", store);
          done.state = "Succeeded";
          done.completedAt = context.nowText();
          return StepResult::record();
        });
    if (result.kind == StepResult::Kind::Fail) {
      // A copy that cannot be dropped is no reason to keep the application locked: it is closed, and its name is told.
      auto& done = context.record("Discard", store);
      done.state = "Succeeded";
      done.completedAt = context.nowText();
      done.message = "the staged copy could not be dropped and is still there, closed: " + result.message;
      result = StepResult::record();
    }
    parts.push_back(std::move(result));
  }
  return together(std::move(parts));
}

}  // namespace rollback::reconcilers
