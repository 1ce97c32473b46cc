#include "rollback/step.h"

#include <algorithm>
#include <set>

#include "api/resources.h"

namespace rollback::reconcilers {
namespace {

const WorkloadView& noWorkload() {
  static const WorkloadView none;
  return none;
}

// Class order, each component after those it depends on; what the class does not know comes last.
std::vector<ComponentView> inStartOrder(const NamespaceSnapshot& ns, const api::FrameworkClassSpec& frameworkClass) {
  std::vector<ComponentView> views;
  for (const auto& component : ns.framework->spec.components) {
    ComponentView view;
    view.component = &component;
    for (const auto& described : frameworkClass.components)
      if (described.name == component.name) view.described = &described;
    view.view = ns.workload(component.workloadKind, component.workloadName);
    if (!view.view) view.view = &noWorkload();
    views.push_back(view);
  }
  const auto position = [&](const ComponentView& view) {
    return view.described ? view.described - frameworkClass.components.data() : static_cast<std::ptrdiff_t>(frameworkClass.components.size());
  };
  std::stable_sort(views.begin(), views.end(), [&](const auto& a, const auto& b) { return position(a) < position(b); });
  std::vector<ComponentView> ordered;
  std::set<std::string> placed;
  std::set<std::string> present;
  for (const auto& view : views) present.insert(view.component->name);
  while (ordered.size() < views.size()) {
    const std::size_t before = ordered.size();
    for (const auto& view : views) {
      if (placed.count(view.component->name)) continue;
      const bool ready = !view.described || std::all_of(view.described->dependsOn.begin(), view.described->dependsOn.end(),
                                                        [&](const std::string& d) { return placed.count(d) || !present.count(d); });
      if (!ready) continue;
      ordered.push_back(view);
      placed.insert(view.component->name);
    }
    if (ordered.size() == before) {  // a cycle: the class's order decides for the rest
      for (const auto& view : views)
        if (placed.insert(view.component->name).second) ordered.push_back(view);
    }
  }
  return ordered;
}

}  // namespace

const kube::Container* ComponentView::container() const {
  if (!view->workload) return nullptr;
  if (!component->container.empty()) return view->workload->container(component->container);
  return view->workload->containers.size() == 1 ? &view->workload->containers.front() : nullptr;
}

StepContext::StepContext(const RollbackSnapshot& snapshot, const Settings& s) : in(snapshot), settings(s), draft(snapshot.rollback) {
  if (draft.status.plan && !draft.status.plan->frozenClass.empty()) {
    if (auto frozen = api::decodeFrameworkClassSpec(draft.status.plan->frozenClass)) classSpec_ = *frozen;
  } else if (in.ns.frameworkClass) {
    classSpec_ = in.ns.frameworkClass->spec;
  }
  if (in.ns.framework) components_ = inStartOrder(in.ns, classSpec_);
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

std::vector<api::PlannedStore*> StepContext::restored() {
  std::vector<api::PlannedStore*> out;
  if (draft.status.plan)
    for (auto& store : draft.status.plan->stores)
      if (store.action == "Restore") out.push_back(&store);
  return out;
}

std::optional<PostgresDriver> StepContext::driver(const std::string& name) const {
  for (const auto& store : framework().spec.stores) {
    if (store.name != name || !store.postgres) continue;
    const api::StoreClass* described = findStoreClass(classSpec_, name);
    if (!described) return std::nullopt;
    return PostgresDriver{JobOwner{"FrameworkRollback", draft.meta.name, draft.meta.uid, draft.meta.namespace_, draft.spec.frameworkName}, in.ns,
                          framework().spec, classSpec_, store, *described};
  }
  return std::nullopt;
}

const api::ActiveRollback* StepContext::lock() const {
  if (!in.ns.framework || !in.ns.framework->status.activeRollback) return nullptr;
  const auto& active = *in.ns.framework->status.activeRollback;
  return active.uid == draft.meta.uid ? &active : nullptr;
}

std::int64_t StepContext::jobDeadlineSeconds() const { return std::max(60, draft.spec.timeoutSeconds); }

StepResult StepContext::runMoverJob(const std::string& recordName, const std::string& store, const std::string& step, int maxAttempts,
                                    const std::function<JobSpec(const api::StepRecord&)>& spec,
                                    const std::function<StepResult(const Outcome&)>& finished) {
  api::StepRecord& line = record(recordName, store);
  JobRunInput input;
  input.now = now();
  input.newToken = in.ns.newToken;
  input.jobs = &in.ns.jobs;
  input.orphans = &in.ns.orphans;
  input.maxAttempts = maxAttempts;
  input.spec = spec;
  input.name = [&](int attempt) { return jobName("frb", draft.meta.uid, step, store, attempt); };
  JobRun run = runJob(line, input, settings);
  switch (run.state) {
    case JobRun::State::Record: return StepResult::record();
    case JobRun::State::Act: return StepResult::act(std::move(run.requests));
    case JobRun::State::Wait: return StepResult::wait(run.message, run.recheck);
    case JobRun::State::GaveUp: return StepResult::fail("JobFailed", run.message);
    case JobRun::State::Done: break;
  }
  const Outcome& outcome = *run.outcome;
  if (isTransient(outcome)) {
    // The server was away: wait a little longer each time, by the end of the last attempt as its pod tells it.
    const Millis pause = std::min(Millis(1000) * (1 << std::min(line.attempt - 1, 5)), Millis(30000));
    WallTime ended = now();
    for (const auto& pod : run.view->pods)
      for (const auto& container : pod.containers)
        if (container.terminated) parseTime(container.finishedAt, ended);
    if (now() < ended + pause) return StepResult::wait(outcome.message, std::chrono::duration_cast<Millis>(ended + pause - now()));
    if (nextAttempt(line, input, outcome.message)) return StepResult::record();
    return StepResult::fail(outcome.code, outcome.message);
  }
  if (outcome.kind != Outcome::Kind::Succeeded) return StepResult::fail(outcome.code.empty() ? "JobFailed" : outcome.code, outcome.message);
  return finished(outcome);
}

}  // namespace rollback::reconcilers
