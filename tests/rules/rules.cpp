// S4 to S16 as far as the API server's writes tell. Each function gets the state before the write.
#include <algorithm>
#include <array>

#include "api/resources.h"
#include "checker.h"

namespace rollback::rules {
namespace {

// A mark in the metadata alone stops and changes nothing.
bool writesSpec(const Record& r) { return r.request && r.request->contains("spec"); }
bool isStatusOf(const Record& r, const char* resource) {
  return r.group == api::kGroup && r.resource == resource && r.subresource == "status";
}

const JobSeen* jobBefore(const Checker& c, const Record& r) {
  const auto found = c.state().jobs.find(r.namespace_ + "/" + r.name);
  return found == c.state().jobs.end() ? nullptr : &found->second;
}

bool suspendedIn(const json* job) {
  const json* suspend = memberAt(job, {"spec", "suspend"});
  return suspend && suspend->is_boolean() && suspend->get<bool>();
}

std::string label(const json* object, const char* name) { return textAt(object, {"metadata", "labels", name}); }

bool startsJob(const Checker& c, const Record& r) {
  if (r.resource != "jobs" || !c.byRunner(r) || !r.subresource.empty() || r.verb == "delete") return false;
  const auto* before = jobBefore(c, r);
  return r.response && !suspendedIn(r.response) &&
         (!before || before->uid != textAt(r.response, {"metadata", "uid"}) || before->suspended);
}

bool isWriteJob(const Record& r) { return label(r.response, api::kLabelEffect) == "write"; }

bool givesGo(const Checker& c, const Record& r) {
  return r.resource == "pods" && r.verb == "patch" && c.byRunner(r) &&
         !textAt(r.request, {"metadata", "annotations", api::kAnnotationGo}).empty();
}

const RollbackSeen* rollbackOf(const Checker& c, const std::string& uid) {
  const auto found = c.state().rollbacks.find(uid);
  return found == c.state().rollbacks.end() ? nullptr : &found->second;
}

// The rollback a mutation is of; null: none of a rollback's.
const RollbackSeen* mutationOf(const Checker& c, const Record& r) {
  if (startsJob(c, r) && isWriteJob(r)) return rollbackOf(c, label(r.response, api::kLabelOwnerUid));
  if (isWorkload(r) && c.byRunner(r))
    if (const auto* framework = c.state().lockerOf(r.namespace_, workloadKey(r)))
      return rollbackOf(c, framework->lock.uid);
  if (givesGo(c, r)) return rollbackOf(c, label(r.response, api::kLabelOwnerUid));
  return nullptr;
}

// The framework that a rollback has locked. Of a rollback that is gone the framework itself goes on, from its lock.
const FrameworkSeen* lockedBy(const Checker& c, const std::string& owner) {
  for (const auto& [key, framework] : c.state().frameworks)
    if (framework.lock.uid == owner || (framework.uid == owner && c.state().gone.count(framework.lock.uid)))
      return &framework;
  return nullptr;
}

// Ended with the application as it was left, until somebody decides: the lock stays.
bool keepsLock(const std::string& reason) { return reason == "Held" || reason == "RevertFailed"; }

// --- the rules ------------------------------------------------------------------------------------------------------

// Kept copies are dropped by name, when their time is over.
void s2(Checker& c, const Record& r) {
  if (isStatusOf(r, "frameworks") && r.response) {
    const auto before = c.state().frameworks.find(r.namespace_ + "/" + r.name);
    const json* kept = memberAt(r.response, {"status", "kept"});
    if (before != c.state().frameworks.end() && kept)
      for (const auto& copy : *kept) {
        WallTime until{};
        parseTime(textAt(&copy, {"until"}), until);
        for (const auto& known : before->second.kept)
          if (known.name == textAt(&copy, {"name"}) && until < known.until)
            c.report("S2", known.name + " was to be kept until " + formatTime(known.until) + ", and now until " +
                               formatTime(until));
      }
    return;
  }
  if (!startsJob(c, r) || label(r.response, api::kLabelStep).rfind("clean", 0) != 0) return;
  const auto* job = jobBefore(c, r);
  if (!job) return;
  for (const auto& [key, framework] : c.state().frameworks) {
    if (framework.uid != job->ownerUid) continue;
    for (const auto& drop : job->drops) {
      const auto kept = std::find_if(framework.kept.begin(), framework.kept.end(),
                                     [&](const KeptSeen& copy) { return copy.name == drop; });
      if (kept == framework.kept.end())
        c.report("S2", r.what() + " drops " + drop + ", which status.kept does not list");
      else if (r.at < kept->until)
        c.report("S2", r.what() + " drops " + drop + ", which is to be kept until " + formatTime(kept->until));
    }
  }
}

// No two Jobs restore into one shadow.
void s3(Checker& c, const Record& r) {
  if (!startsJob(c, r) || label(r.response, api::kLabelStep) != "stage") return;
  const auto* job = jobBefore(c, r);
  if (!job || job->stageName.empty()) return;
  for (const auto& [key, other] : c.state().jobs)
    if (other.uid != job->uid && other.started && other.stageName == job->stageName &&
        other.namespace_ == job->namespace_ && other.ownerUid == job->ownerUid && other.store == job->store)
      c.report("S3", r.what() + " restores into " + job->stageName + ", as Job " + other.name + " did");
}

void s4(Checker& c, const Record& r) {
  const auto* rollback = mutationOf(c, r);
  if (!rollback) return;
  if (rollback->ended() && !keepsLock(rollback->reason))
    c.report("S4", r.what() + " for rollback " + rollback->name + ", which has ended " + rollback->phase);
  const auto done = c.state().wishDone.find(rollback->wish);
  if (done != c.state().wishDone.end() && done->second != rollback->uid)
    c.report("S4", r.what() + " for rollback " + rollback->name + ", a wish that was executed before, as uid " +
                       done->second);
}

int order(const std::string& phase) {
  static const std::array<const char*, 7> all{"Pending",   "Planning",  "AwaitingApproval", "Preparing",
                                              "Switching", "Verifying", "Reverting"};
  for (std::size_t i = 0; i < all.size(); ++i)
    if (phase == all[i]) return static_cast<int>(i);
  return -1;
}

bool legal(const std::string& from, const std::string& to, const std::string& reason) {
  if (from == to) return true;
  if (isEndingPhase(from)) return false;
  const int a = from.empty() ? 0 : order(from);
  if (!isEndingPhase(to)) {
    if (order(to) < 0) return false;
    if (to == "Reverting") return a >= order("Preparing");
    if (from == "Reverting") return false;
    return order(to) >= a || (from == "Preparing" && (to == "Planning" || to == "AwaitingApproval")) ||
           (from == "AwaitingApproval" && to == "Planning");
  }
  if (to == "Succeeded") return from == "Verifying";
  if (to == "Reverted") return from == "Reverting";
  if (to == "Planned" || to == "Skipped" || to == "Aborted") return a <= order("Preparing");
  if (to == "Failed") return reason == "Held" || a <= order("Preparing") || from == "Reverting";
  return false;
}

void s5(Checker& c, const Record& r) {
  if (!isStatusOf(r, "frameworkrollbacks") || !r.response) return;
  const std::string uid = textAt(r.response, {"metadata", "uid"});
  const std::string to = textAt(r.response, {"status", "phase"}), reason = textAt(r.response, {"status", "reason"});
  const auto* before = rollbackOf(c, uid);
  const std::string from = before ? before->phase : "";
  if (!legal(from, to, reason))
    c.report("S5", "rollback " + r.name + " went from " + (from.empty() ? "nothing" : from) + " to " + to);
  else if (before && before->ended() && before->reason != reason)
    c.report("S5", "rollback " + r.name + " had ended " + before->reason + " and was ended again as " + reason);
}

// An undo takes the lock of the rollback that is held: of that one, and of no other.
bool takesOver(const Checker& c, const std::string& uid, const LockSeen& lock) {
  const auto* next = rollbackOf(c, uid);
  const auto* holder = rollbackOf(c, lock.uid);
  return next && holder && keepsLock(holder->reason) && next->undoes == holder->name &&
         next->namespace_ == holder->namespace_ && next->framework == holder->framework;
}

void s6(Checker& c, const Record& r) {
  if (isStatusOf(r, "frameworks") && r.response) {
    const auto before = c.state().frameworks.find(r.namespace_ + "/" + r.name);
    const LockSeen next = lockOf(r.response, r.namespace_);
    if (before != c.state().frameworks.end() && !before->second.lock.uid.empty() && !next.uid.empty() &&
        next.uid != before->second.lock.uid && !takesOver(c, next.uid, before->second.lock))
      c.report("S6", "the lock of rollback " + before->second.lock.name + " was given to " + next.name);
    if (!next.uid.empty() && !textAt(r.response, {"status", "activeBackup", "uid"}).empty())
      c.report("S6", "framework " + r.name + " is held by a rollback and by a backup");
    return;
  }
  if (startsJob(c, r) && isWriteJob(r)) {
    const std::string owner = label(r.response, api::kLabelOwnerUid), kind = label(r.response, api::kLabelOwnerKind);
    if (kind == "FrameworkRollback" && !lockedBy(c, owner))
      c.report("S6", r.what() + " starts without the framework's lock");
    if (kind == "FrameworkBackup") {
      const auto& all = c.state().frameworks;
      if (std::none_of(all.begin(), all.end(), [&](const auto& f) { return f.second.backup == owner; }))
        c.report("S6", r.what() + " starts without holding the framework");
    }
    if (kind == "Framework")
      for (const auto& [key, framework] : c.state().frameworks)
        if (framework.uid == owner && !framework.lock.uid.empty() && !c.state().gone.count(framework.lock.uid))
          c.report("S6", r.what() + " starts while rollback " + framework.lock.name + " holds the framework");
  }
  if (isWorkload(r) && c.byRunner(r) && !c.state().lockerOf(r.namespace_, workloadKey(r)))
    c.report("S6", r.what() + " without the lock of a framework that names it");
}

// What a process that is not the leader any more may still send has no effect: it is aimed at a version, or inert.
void s7(Checker& c, const Record& r) {
  if (!c.byOperator(r)) return;
  if (r.group == api::kGroup && r.subresource == "status" && r.verb == "update" &&
      textAt(r.request, {"metadata", "resourceVersion"}).empty())
    c.report("S7", r.what() + " names no resourceVersion");
  if (r.resource == "jobs" && r.verb == "create" && r.response && !suspendedIn(r.response))
    c.report("S7", r.what() + " is created running");
}

void s8(Checker& c, const Record& r) {
  const bool back = startsJob(c, r) && label(r.response, api::kLabelStep) == "switchback";
  const bool image = isWorkload(r) && r.subresource.empty() && !scales(r) && c.byRunner(r) && writesSpec(r);
  if (!givesGo(c, r) && !back && !image) return;
  const FrameworkSeen* framework =
      image ? c.state().lockerOf(r.namespace_, workloadKey(r)) : lockedBy(c, label(r.response, api::kLabelOwnerUid));
  if (!framework) {
    if (!image) c.report("S8", r.what() + " without the lock");
    return;
  }
  for (const auto& component : framework->lock.components) {
    if (image && component.workload != workloadKey(r)) continue;
    const auto known = c.state().workloads.find(component.workload);
    // A look and the act that follows are two requests: what was started between them nobody saw, and the mover looks
    // again, for sessions.
    if (known != c.state().workloads.end() && r.at >= known->second.raisedAt &&
        r.at - known->second.raisedAt < c.options().lookLag)
      continue;
    if (known != c.state().workloads.end() &&
        (known->second.replicas.value_or(0) != 0 || known->second.statusReplicas.value_or(0) != 0))
      c.report("S8", r.what() + " while " + component.workload + " has " +
                         std::to_string(known->second.replicas.value_or(0)) + " replicas, " +
                         std::to_string(known->second.statusReplicas.value_or(0)) + " by its status");
    if (c.observer())
      if (const int alive = c.observer()->processesOf(component.workload); alive > 0)
        c.report("S8", r.what() + " while " + std::to_string(alive) + " pod(s) of " + component.workload + " run");
  }
}

// The value a JSON patch tests a path for.
std::string tested(const json* patch, const std::string& path) {
  if (patch && patch->is_array())
    for (const auto& operation : *patch)
      if (textAt(&operation, {"op"}) == "test" && textAt(&operation, {"path"}) == path)
        return textAt(&operation, {"value"});
  return {};
}

void s9(Checker& c, const Record& r) {
  if (!c.byOperator(r) || r.resource == "leases" || r.resource == "events") return;
  if (r.verb == "deletecollection") return c.report("S9", r.what() + " deletes whatever is there");
  if (r.verb == "delete" && textAt(r.request, {"preconditions", "uid"}).empty())
    c.report("S9", r.what() + " without a uid");
  if (r.verb != "patch" && !(r.verb == "update" && r.subresource.empty())) return;
  const bool array = r.request && r.request->is_array();
  const std::string uid = array ? tested(r.request, "/metadata/uid") : textAt(r.request, {"metadata", "uid"});
  const std::string version =
      array ? tested(r.request, "/metadata/resourceVersion") : textAt(r.request, {"metadata", "resourceVersion"});
  if (uid.empty()) c.report("S9", r.what() + " without a uid");
  if (version.empty()) c.report("S9", r.what() + " without a resourceVersion");
}

void s10(Checker& c, const Record& r) {
  if (!isStatusOf(r, "frameworkrollbacks") || !r.response) return;
  const std::string uid = textAt(r.response, {"metadata", "uid"}), phase = textAt(r.response, {"status", "phase"});
  const auto* before = rollbackOf(c, uid);
  if (!isEndingPhase(phase) || (before && before->ended())) return;
  const std::string reason = textAt(r.response, {"status", "reason"});
  if (keepsLock(reason)) return;
  if (c.observer()) {
    for (const auto& writer : c.observer()->writersOf(uid))
      c.report("S10", "rollback " + r.name + " ended " + phase + " while mover " + writer + " may write");
    return;
  }
  for (const auto& [key, job] : c.state().jobs)
    if (job.ownerUid == uid && job.effect == "write" && job.started && !job.ended && !job.gone)
      c.unfinished().push_back({key, job.uid, r.name, r.at});
}

void s11(Checker& c, const Record& r) {
  if (isStatusOf(r, "frameworkrollbacks") && r.response) {
    const std::string uid = textAt(r.response, {"metadata", "uid"}), phase = textAt(r.response, {"status", "phase"}),
                      reason = textAt(r.response, {"status", "reason"});
    const auto* before = rollbackOf(c, uid);
    if (!before || before->ended() || !isEndingPhase(phase)) return;
    const bool untouched = phase == "Aborted" || phase == "Skipped" || phase == "Planned" || reason == "NothingTouched";
    if (untouched && (before->goGiven || before->applicationWritten))
      c.report("S11", "rollback " + r.name + " says that nothing was touched, and it " +
                          (before->goGiven ? "had given a go token" : "had written a workload"));
    const auto* locked = lockedBy(c, uid);
    if (keepsLock(reason)) {
      if (!locked) c.report("S11", "rollback " + r.name + " ended " + reason + " without keeping the lock");
    } else if (locked) {
      c.report("S11", "rollback " + r.name + " ended " + phase + " and kept the lock of framework " + locked->name);
    }
    return;
  }
  if (isStatusOf(r, "frameworks") && r.response) {
    const auto before = c.state().frameworks.find(r.namespace_ + "/" + r.name);
    if (before == c.state().frameworks.end() || before->second.lock.uid.empty()) return;
    const std::string held = before->second.lock.uid, next = lockOf(r.response, r.namespace_).uid;
    if (next == held) return;
    const auto* holder = rollbackOf(c, held);
    if (!holder || !keepsLock(holder->reason) || takesOver(c, next, before->second.lock)) return;
    // Who deletes it asks for it to be taken back: the Framework does, and lets go.
    if (next.empty() && c.state().gone.count(held)) return;
    if (textAt(r.response, {"metadata", "annotations", api::kAnnotationUnlock}) != held)
      c.report("S11", "the lock of rollback " + holder->name + ", which ended " + holder->reason +
                          ", was released though nobody asked for it");
  }
}

void s12(Checker& c, const Record& r) {
  if (!c.byOperator(r)) return;
  if (!r.impersonated.empty()) {
    if (r.resource == "selfsubjectaccessreviews") return;  // a question: it has no namespace, and no effect
    if (r.impersonated != "system:serviceaccount:" + r.namespace_ + ":" + api::kRunner)
      c.report("S12", r.what() + " as " + r.impersonated);
    return;
  }
  static const std::array<const char*, 4> own{"leases", "events", "selfsubjectaccessreviews", "tokenreviews"};
  if (r.group != api::kGroup && std::none_of(own.begin(), own.end(), [&](const char* o) { return r.resource == o; }))
    c.report("S12", r.what() + " is written as the operator itself");
}

void s13(Checker& c, const Record& r) {
  const auto* rollback = mutationOf(c, r);
  if (!rollback || !rollback->restores || !rollback->undoes.empty()) return;
  for (const auto& step : rollback->steps)
    if (step.name == "VerifyBackup" && step.store.empty() && step.state == "Succeeded" && rollback->backupRead) return;
  // Dropping what never came to be, and returning to service, need no backup.
  const std::string what = label(r.response, api::kLabelStep);
  if (what == "discard") return;
  c.report("S13", r.what() + " for rollback " + rollback->name + " before its backup was verified");
}

bool holds(const json& value, const std::string& secret) {
  if (value.is_string()) return value.get_ref<const std::string&>().find(secret) != std::string::npos;
  if (value.is_object())
    for (const auto& [name, member] : value.items())
      if (name.find(secret) != std::string::npos || holds(member, secret)) return true;
  if (value.is_array())
    for (const auto& item : value)
      if (holds(item, secret)) return true;
  return false;
}

void s14(Checker& c, const Record& r) {
  if (!c.byOperator(r)) return;
  for (const json* body : {r.request, r.response})
    for (const auto& secret : c.options().secrets)
      if (body && holds(*body, secret)) c.report("S14", r.what() + " holds a secret");
}

void s15(Checker& c, const Record& r) {
  if (!isWorkload(r) || !c.byRunner(r)) return;
  const auto* rollback = mutationOf(c, r);
  if (!rollback) return;
  const auto& writes = scales(r) ? rollback->replicaWrites : rollback->imageWrites;
  const auto known = writes.find(workloadKey(r));
  if (known != writes.end() && known->second == c.options().contested)
    c.report("S15", r.what() + ": more than " + std::to_string(known->second) + " writes of " +
                        (scales(r) ? "spec.replicas" : "the image") + " by rollback " + rollback->name);
}

void s16(Checker& c, const Record& r) {
  if (r.group != api::kGroup || r.resource != "frameworkrollbacks" || r.verb != "patch" || !c.byOperator(r)) return;
  const std::string uid = textAt(r.response, {"metadata", "uid"});
  if (!uid.empty() && hasFinalizerIn(r.response, api::kRollbackFinalizer)) return;
  for (const auto& [id, rollback] : c.state().rollbacks) {
    if (rollback.namespace_ != r.namespace_ || rollback.name != r.name || !rollback.hasFinalizer) continue;
    if (!uid.empty() && uid != id) continue;
    if (c.state().terminating.count(r.namespace_)) continue;
    // Deleted when it had ended and kept the lock: its Framework takes it back.
    if (keepsLock(rollback.reason) && memberAt(r.response, {"metadata", "deletionTimestamp"})) continue;
    if (lockedBy(c, id))
      c.report("S16",
               "rollback " + r.name + " let go of its object while it held the lock: the application may be down");
  }
}

// Write-ahead: what a Job is for stands in its owner's journal before it exists, and which one it is before it runs.
void wa(Checker& c, const Record& r) {
  if (r.resource != "jobs" || !c.byRunner(r)) return;
  const bool creates = r.verb == "create", starts = startsJob(c, r);
  if (!creates && !starts) return;
  const std::string owner = label(r.response, api::kLabelOwnerUid), uid = textAt(r.response, {"metadata", "uid"});
  const std::vector<StepSeen>* journal = nullptr;
  if (const auto* rollback = rollbackOf(c, owner)) journal = &rollback->steps;
  if (const auto backup = c.state().backups.find(owner); backup != c.state().backups.end())
    journal = &backup->second.steps;
  for (const auto& [key, framework] : c.state().frameworks)
    if (framework.uid == owner) journal = &framework.steps;
  if (!journal) return;
  const auto line =
      std::find_if(journal->begin(), journal->end(), [&](const StepSeen& step) { return step.jobName == r.name; });
  // A create that arrives when its journal has gone on makes a Job that is never started.
  if (line == journal->end() && creates && !starts && c.state().named.count(owner + "/" + r.name)) return;
  if (line == journal->end())
    c.report("WA", r.what() + ": no journal names this Job");
  else if (starts && line->jobUid != uid)
    c.report("WA", r.what() + " is started before its uid is in the journal");
}

}  // namespace

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all{{"S2", s2},   {"S3", s3},   {"S4", s4},   {"S5", s5},   {"S6", s6},   {"S7", s7},
                                     {"S8", s8},   {"S9", s9},   {"S10", s10}, {"S11", s11}, {"S12", s12}, {"S13", s13},
                                     {"S14", s14}, {"S15", s15}, {"S16", s16}, {"WA", wa}};
  return all;
}

}  // namespace rollback::rules
