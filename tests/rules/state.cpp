#include "state.h"

#include "api/resources.h"

namespace rollback::rules {

const json* memberAt(const json* from, std::initializer_list<const char*> path) {
  for (const char* member : path) {
    if (!from || !from->is_object()) return nullptr;
    const auto found = from->find(member);
    if (found == from->end() || found->is_null()) return nullptr;
    from = &*found;
  }
  return from;
}

std::string textAt(const json* from, std::initializer_list<const char*> path) {
  const json* found = memberAt(from, path);
  return found && found->is_string() ? found->get<std::string>() : std::string();
}

std::vector<StepSeen> stepsOf(const json* status) {
  std::vector<StepSeen> out;
  const json* steps = memberAt(status, {"steps"});
  if (steps && steps->is_array())
    for (const auto& step : *steps)
      out.push_back({textAt(&step, {"name"}), textAt(&step, {"store"}), textAt(&step, {"state"}),
                     textAt(&step, {"job", "name"}), textAt(&step, {"job", "uid"})});
  return out;
}

LockSeen lockOf(const json* framework, const std::string& namespace_) {
  LockSeen out;
  const json* lock = memberAt(framework, {"status", "activeRollback"});
  out.uid = textAt(lock, {"uid"});
  out.name = textAt(lock, {"name"});
  if (const json* components = memberAt(lock, {"resume", "components"}))
    for (const auto& component : *components) {
      const std::string kind = textAt(&component, {"workloadKind"}), name = textAt(&component, {"workloadName"});
      const json* replicas = memberAt(&component, {"replicas"});
      const std::string plural = kind == "StatefulSet" ? "statefulsets "
                                 : kind == "CronJob"   ? "cronjobs "
                                                       : "deployments ";
      out.components.push_back(
          {plural + namespace_ + "/" + name, replicas && replicas->is_number() ? replicas->get<int>() : 0});
    }
  return out;
}

bool isEndingPhase(const std::string& phase) {
  static const std::set<std::string> endings{"Planned", "Succeeded", "Reverted", "Failed", "Aborted", "Skipped"};
  return endings.count(phase) > 0;
}

bool RollbackSeen::ended() const { return isEndingPhase(phase); }

std::string workloadKey(const Record& record) { return record.resource + " " + record.namespace_ + "/" + record.name; }

bool isWorkload(const Record& record) {
  return record.resource == "deployments" || record.resource == "statefulsets" || record.resource == "cronjobs";
}

bool scales(const Record& record) {
  const json* spec = memberAt(record.request, {"spec"});
  return record.subresource == "scale" || (record.resource == "cronjobs" && spec && spec->contains("suspend"));
}

bool takenAway(const json* object) {
  const json* finalizers = memberAt(object, {"metadata", "finalizers"});
  return memberAt(object, {"metadata", "deletionTimestamp"}) && (!finalizers || finalizers->empty());
}

bool hasFinalizerIn(const json* object, const std::string& finalizer) {
  const json* all = memberAt(object, {"metadata", "finalizers"});
  if (all && all->is_array())
    for (const auto& each : *all)
      if (each == finalizer) return true;
  return false;
}

const FrameworkSeen* State::lockerOf(const std::string& namespace_, const std::string& workload) const {
  for (const auto& [key, framework] : frameworks)
    if (framework.namespace_ == namespace_ && !framework.lock.uid.empty())
      for (const auto& component : framework.lock.components)
        if (component.workload == workload) return &framework;
  return nullptr;
}

const FrameworkSeen* State::frameworkOf(const RollbackSeen& rollback) const {
  const auto found = frameworks.find(rollback.namespace_ + "/" + rollback.framework);
  return found == frameworks.end() ? nullptr : &found->second;
}

namespace {

void name(State& state, const std::string& owner, const std::vector<StepSeen>& steps) {
  for (const auto& step : steps)
    if (!step.jobName.empty()) state.named.insert(owner + "/" + step.jobName);
}

void seeRollback(State& state, const Record& record) {
  const json* object = record.response;
  const std::string uid = textAt(object, {"metadata", "uid"});
  const json* spec = memberAt(object, {"spec"});
  if (uid.empty() || !spec) return;
  auto& seen = state.rollbacks[uid];
  const bool wasEnded = seen.ended();
  if (seen.uid.empty()) {
    seen.uid = uid;
    seen.namespace_ = record.namespace_;
    seen.name = textAt(object, {"metadata", "name"});
    seen.framework = textAt(spec, {"frameworkRef", "name"});
    seen.undoes = textAt(spec, {"to", "undo"});
    json wish = *spec;
    for (const char* changing : {"suspend", "abort", "approval"}) wish.erase(changing);
    seen.wish = seen.namespace_ + "/" + seen.name + " " + wish.dump();
  }
  const json* status = memberAt(object, {"status"});
  seen.phase = textAt(status, {"phase"});
  seen.reason = textAt(status, {"reason"});
  seen.steps = stepsOf(status);
  name(state, uid, seen.steps);
  seen.restores = false;
  if (const json* stores = memberAt(status, {"plan", "stores"}))
    for (const auto& store : *stores) seen.restores = seen.restores || textAt(&store, {"action"}) == "Restore";
  seen.hasFinalizer = hasFinalizerIn(object, api::kRollbackFinalizer);
  if (!wasEnded && seen.ended()) seen.endedAt = record.at;
}

void seeFramework(State& state, const Record& record) {
  const json* object = record.response;
  if (!memberAt(object, {"spec"})) return;
  auto& seen = state.frameworks[record.namespace_ + "/" + textAt(object, {"metadata", "name"})];
  seen.uid = textAt(object, {"metadata", "uid"});
  seen.namespace_ = record.namespace_;
  seen.name = textAt(object, {"metadata", "name"});
  seen.unlock = textAt(object, {"metadata", "annotations", api::kAnnotationUnlock});
  seen.lock = lockOf(object, record.namespace_);
  seen.backup = textAt(object, {"status", "activeBackup", "uid"});
  seen.steps = stepsOf(memberAt(object, {"status"}));
  name(state, seen.uid, seen.steps);
  seen.kept.clear();
  if (const json* kept = memberAt(object, {"status", "kept"}))
    for (const auto& copy : *kept) {
      seen.kept.push_back({textAt(&copy, {"name"}), {}});
      parseTime(textAt(&copy, {"until"}), seen.kept.back().until);
    }
}

void seeWorkload(State& state, const Record& record) {
  if (record.verb == "delete") {
    state.workloads.erase(workloadKey(record));
    return;
  }
  auto& seen = state.workloads[record.resource + " " + record.namespace_ + "/" + record.name];
  const bool stopped = seen.replicas == 0;
  if (const json* replicas = memberAt(record.response, {"spec", "replicas"}); replicas && replicas->is_number())
    seen.replicas = replicas->get<int>();
  else if (record.resource == "cronjobs" && memberAt(record.response, {"spec"}))
    seen.replicas = memberAt(record.response, {"spec"})->value("suspend", false) ? 0 : 1;
  else if (memberAt(record.response, {"spec"}))  // a Scale leaves a zero out
    seen.replicas = record.subresource == "scale" ? 0 : 1;
  if (stopped && seen.replicas != 0) seen.raisedAt = record.at;
  if (const json* status = memberAt(record.response, {"status"})) {
    const json* replicas = memberAt(status, {"replicas"});
    seen.statusReplicas = replicas && replicas->is_number() ? replicas->get<int>() : 0;
  }
}

std::string labelOf(const json* object, const char* label) { return textAt(object, {"metadata", "labels", label}); }

void seeJob(State& state, const Record& record) {
  const std::string key = record.namespace_ + "/" + record.name;
  if (record.verb == "delete" || record.verb == "deletecollection") {
    const auto found = state.jobs.find(key);
    if (found != state.jobs.end()) found->second.gone = true;
    return;
  }
  const json* object = record.response;
  if (!memberAt(object, {"spec"})) return;
  const std::string uid = textAt(object, {"metadata", "uid"});
  auto& seen = state.jobs[key];
  if (seen.uid != uid) {
    seen = JobSeen{};
    seen.uid = uid;
    seen.namespace_ = record.namespace_;
    seen.name = record.name;
    seen.ownerUid = labelOf(object, api::kLabelOwnerUid);
    seen.ownerKind = labelOf(object, api::kLabelOwnerKind);
    seen.step = labelOf(object, api::kLabelStep);
    seen.store = labelOf(object, api::kLabelStore);
    seen.effect = labelOf(object, api::kLabelEffect);
    const std::string task = textAt(object, {"spec", "template", "metadata", "annotations", api::kAnnotationTask});
    if (!task.empty() && (seen.step == "stage" || seen.step.rfind("clean", 0) == 0)) {
      const json parsed = json::parse(task, nullptr, false);
      seen.stageName = textAt(&parsed, {"names", "stage"});
      if (const json* drops = memberAt(&parsed, {"drop"}))
        for (const auto& drop : *drops) seen.drops.push_back(textAt(&drop, {"name"}));
    }
  }
  const json* suspend = memberAt(object, {"spec", "suspend"});
  seen.suspended = suspend && suspend->is_boolean() && suspend->get<bool>();
  seen.started = seen.started || !seen.suspended;
  if (const json* conditions = memberAt(object, {"status", "conditions"}))
    for (const auto& condition : *conditions) {
      const std::string type = textAt(&condition, {"type"});
      if ((type == "Complete" || type == "Failed") && textAt(&condition, {"status"}) == "True") seen.ended = true;
    }
}

void noteMutation(State& state, const std::string& uid) {
  const auto found = state.rollbacks.find(uid);
  if (found == state.rollbacks.end()) return;
  found->second.mutated = true;
  state.wishDone.emplace(found->second.wish, uid);
}

bool ofRunner(const Record& record) {
  const std::string suffix = std::string(":") + api::kRunner;
  return record.impersonated.size() > suffix.size() &&
         record.impersonated.compare(record.impersonated.size() - suffix.size(), suffix.size(), suffix) == 0;
}

}  // namespace

void State::apply(const Record& record) {
  if (!record.accepted()) return;
  if (record.group == api::kGroup) {
    if (record.verb == "delete" && !memberAt(record.response, {"spec"})) {
      if (record.resource == "frameworks") frameworks.erase(record.namespace_ + "/" + record.name);
      if (record.resource == "frameworkrollbacks")
        for (const auto& [uid, rollback] : rollbacks)
          if (rollback.namespace_ == record.namespace_ && rollback.name == record.name) gone.insert(uid);
      return;
    }
    if (record.resource == "frameworkrollbacks") {
      seeRollback(*this, record);
      if (takenAway(record.response)) gone.insert(textAt(record.response, {"metadata", "uid"}));
    }
    if (record.resource == "frameworks") seeFramework(*this, record);
    if (record.resource == "frameworkbackups" && record.response) {
      const std::string uid = textAt(record.response, {"metadata", "uid"});
      if (!uid.empty()) {
        backups[uid] = {uid, stepsOf(memberAt(record.response, {"status"}))};
        name(*this, uid, backups[uid].steps);
      }
    }
    return;
  }
  if (isWorkload(record)) {
    if (ofRunner(record)) {
      const std::string key = workloadKey(record);
      if (const auto* framework = lockerOf(record.namespace_, key)) {
        noteMutation(*this, framework->lock.uid);
        if (const auto found = rollbacks.find(framework->lock.uid); found != rollbacks.end()) {
          found->second.applicationWritten = true;
          ++(scales(record) ? found->second.replicaWrites : found->second.imageWrites)[key];
        }
      }
    }
    seeWorkload(*this, record);
    return;
  }
  if (record.resource == "jobs") {
    const auto before = jobs.find(record.namespace_ + "/" + record.name);
    const bool wasStarted = before != jobs.end() && before->second.started;
    seeJob(*this, record);
    const auto after = jobs.find(record.namespace_ + "/" + record.name);
    if (after != jobs.end() && after->second.started && !wasStarted && after->second.effect == "write")
      noteMutation(*this, after->second.ownerUid);
    if (after != jobs.end() && after->second.started && after->second.step == "verify")
      if (const auto found = rollbacks.find(after->second.ownerUid); found != rollbacks.end())
        found->second.backupRead = true;
    return;
  }
  if (record.resource == "pods" && record.verb == "patch" && ofRunner(record)) {
    const std::string uid = labelOf(record.response, api::kLabelOwnerUid);
    if (!textAt(record.request, {"metadata", "annotations", api::kAnnotationGo}).empty())
      if (const auto found = rollbacks.find(uid); found != rollbacks.end()) found->second.goGiven = true;
    return;
  }
  if (record.resource == "configmaps" && record.verb == "create") ledgers.insert(record.namespace_ + "/" + record.name);
  if (record.resource == "namespaces" && record.verb == "delete") terminating.insert(record.name);
}

}  // namespace rollback::rules
