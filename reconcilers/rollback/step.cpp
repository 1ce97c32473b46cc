#include "rollback/step.h"

#include <algorithm>

#include "api/resources.h"

namespace rollback::reconcilers {

StepContext::StepContext(const RollbackSnapshot& snapshot, const Settings& s)
    : in(snapshot),
      settings(s),
      draft(snapshot.rollback),
      owner{"FrameworkRollback", draft.meta.name, draft.meta.uid, draft.meta.namespace_, draft.spec.frameworkName} {
  if (draft.status.plan && !draft.status.plan->frozenClass.empty()) {
    if (auto frozen = api::decodeFrameworkClassSpec(draft.status.plan->frozenClass)) classSpec_ = *frozen;
  } else if (in.ns.frameworkClass) {
    classSpec_ = in.ns.frameworkClass->spec;
  }
  if (in.ns.framework) components_ = componentsInStartOrder(in.ns, in.ns.framework->spec, classSpec_);
}

api::StepRecord& StepContext::record(const std::string& name, const std::string& store) {
  for (auto& record : draft.status.steps)
    if (record.name == name && record.store == store) return record;
  draft.status.steps.emplace_back();
  draft.status.steps.back().name = name;
  draft.status.steps.back().store = store;
  return draft.status.steps.back();
}

const api::StepRecord* StepContext::findRecord(const std::string& name, const std::string& store) const {
  for (const auto& record : draft.status.steps)
    if (record.name == name && record.store == store) return &record;
  return nullptr;
}

bool StepContext::started(const std::string& name, const std::string& store) const {
  const auto* record = findRecord(name, store);
  return record && !record->state.empty();
}

bool StepContext::succeeded(const std::string& name, const std::string& store) const {
  const auto* record = findRecord(name, store);
  return record && record->state == "Succeeded";
}

void StepContext::beginAgain(const std::string& step) {
  const bool disturbed = record(step).token == "NotQuiesced";
  for (auto& line : draft.status.steps) {
    const bool failed = line.name == step || (disturbed && line.name == "RevertQuiesce");
    const bool part = line.name == "RestoreImage" || line.name == "SuspendCronJobs" || line.name == "ResumeCronJobs";
    if (!line.store.empty() || (!failed && !part)) continue;
    line.attempt = 0;
    line.message.clear();
    line.token.clear();
    if (!failed) continue;
    line.state = "Running";
    line.startedAt = nowText();  // what it may take counts anew
  }
}

std::vector<api::PlannedStore*> StepContext::restored() {
  std::vector<api::PlannedStore*> out;
  if (draft.status.plan)
    for (auto& store : draft.status.plan->stores)
      if (store.action == "Restore") out.push_back(&store);
  return out;
}

std::vector<api::PlannedStore*> StepContext::switched() {
  std::vector<api::PlannedStore*> out;
  if (draft.status.plan)
    for (auto& store : draft.status.plan->stores)
      if (store.action == "Restore" || store.action == "Undo") out.push_back(&store);
  return out;
}

std::optional<PostgresDriver> StepContext::driver(const std::string& name) const {
  for (const auto& store : framework().spec.stores) {
    if (store.name != name || !store.postgres) continue;
    const api::StoreClass* described = findStoreClass(classSpec_, name);
    if (!described) return std::nullopt;
    return PostgresDriver{owner, in.ns, framework().spec, classSpec_, store, *described};
  }
  return std::nullopt;
}

const api::ActiveRollback* StepContext::lock() const {
  if (!in.ns.framework || !in.ns.framework->status.activeRollback) return nullptr;
  const auto& active = *in.ns.framework->status.activeRollback;
  return active.uid == draft.meta.uid ? &active : nullptr;
}

const api::ResumeComponent* StepContext::resumeOf(const ComponentView& component) const {
  const auto* active = lock();
  if (!active) return nullptr;
  for (const auto& resume : active->components)
    if (resume.name == component.component->name) return &resume;
  return nullptr;
}

std::int64_t StepContext::jobDeadlineSeconds() const { return std::max(60, draft.spec.timeoutSeconds); }

StepResult StepContext::runMoverJob(const std::string& recordName, const std::string& store, const std::string& step,
                                    int maxAttempts, const std::function<JobSpec(const api::StepRecord&)>& spec,
                                    const std::function<StepResult(const Outcome&)>& finished) {
  api::StepRecord& line = record(recordName, store);
  JobRunInput input;
  input.now = now();
  input.newToken = in.ns.newToken;
  input.jobs = &in.ns.jobs;
  input.orphans = &in.ns.orphans;
  input.maxAttempts = maxAttempts;
  input.spec = spec;
  input.name = [&](int attempt) { return jobName(jobPrefix, draft.meta.uid, step, store, attempt); };
  if (line.state == "Failed") {  // it is tried again: with a Job of its own, or its old answer would be read once more
    const std::string why = line.message;
    if (!nextAttempt(line, input, why)) return StepResult::fail("JobFailed", why);
    return StepResult::record();
  }
  JobRun run = runJobToVerdict(line, input, settings);
  switch (run.state) {
    case JobRun::State::Record:
      return StepResult::record();
    case JobRun::State::Act:
      return StepResult::act(std::move(run.requests));
    case JobRun::State::Wait:
      return StepResult::wait(run.message, run.recheck);
    case JobRun::State::GaveUp:
      line.state = "Failed";
      return StepResult::fail("JobFailed", run.message);
    case JobRun::State::Done:
      break;
  }
  const Outcome& outcome = *run.outcome;
  if (outcome.kind == Outcome::Kind::Succeeded) return finished(outcome);
  line.state = "Failed";
  line.message = outcome.message;
  return StepResult::fail(outcome.code.empty() ? "JobFailed" : outcome.code, outcome.message);
}

}  // namespace rollback::reconcilers
