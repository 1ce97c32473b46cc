#include "sim/mutants.h"

#include <functional>
#include <nlohmann/json.hpp>

#include "api/resources.h"
#include "rollback/ledger.h"

namespace rollback::sim {
namespace {

using nlohmann::json;
using reconcilers::Decision;

bool isStatus(const kube::Request& request, const char* plural) {
  return request.resource.plural == plural && request.subresource == "status";
}

void change(kube::Request& request, const std::function<void(json&)>& how) {
  if (request.body.empty()) return;
  json body = json::parse(request.body);
  how(body);
  request.body = body.dump();
}

std::string phaseIn(const kube::Request& request) {
  return json::parse(request.body).value("/status/phase"_json_pointer, std::string());
}

// Of `only` that workload, else of all.
void noPods(reconcilers::NamespaceSnapshot& ns, const std::string& only = "") {
  for (auto& [key, view] : ns.workloads) {
    if (!only.empty() && key != only) continue;
    view.pods.clear();
    if (view.workload) view.workload->statusReplicas = 0;
  }
}

// The workload of that component looks as if it had the target's image already.
void seemsSwitched(reconcilers::RollbackSnapshot& in, const std::string& component, const std::string& workload) {
  for (const auto& [name, image] : in.rollback.status.plan->images)
    if (name == component) in.ns.workloads[workload].workload->containers[0].image = image;
}

kube::Request statusOf(const api::FrameworkRollback& rollback, const std::function<void(json&)>& how) {
  json body = json::parse(api::encodeFrameworkRollbackStatus(rollback));
  how(body);
  return kube::updateStatus(api::kFrameworkRollbacks, rollback.meta.namespace_, rollback.meta.name, body.dump());
}

const api::StepRecord* running(const api::FrameworkRollback& rollback, const char* step) {
  for (const auto& record : rollback.status.steps)
    if (record.name == step && record.store.empty() && record.state == "Running") return &record;
  return nullptr;
}

}  // namespace

const std::vector<MutantInfo>& mutants() {
  static const std::vector<MutantInfo> all{
      {Mutant::SkipLedger, "SkipLedger", "S4", "again"},
      {Mutant::GoBeforePodsGone, "GoBeforePodsGone", "S8", "success"},
      {Mutant::RunsUnseen, "RunsUnseen", "S8", "cron-job"},
      {Mutant::WorkersUnseen, "WorkersUnseen", "S8", "workers"},
      {Mutant::WorkersForgotten, "WorkersForgotten", "U1", "workers"},
      {Mutant::ScaleUnaimed, "ScaleUnaimed", "S9", "success"},
      {Mutant::DeleteUnaimed, "DeleteUnaimed", "S9", "aborted"},
      {Mutant::StatusUnaimed, "StatusUnaimed", "S7", "success"},
      {Mutant::JobsRunAtOnce, "JobsRunAtOnce", "S7", "success"},
      {Mutant::RestoreTwice, "RestoreTwice", "S3", "stage-killed"},
      {Mutant::PrevLeftOpen, "PrevLeftOpen", "S2", "success"},
      {Mutant::LockReleasedEarly, "LockReleasedEarly", "S6", "success"},
      {Mutant::LockOverwritten, "LockOverwritten", "S6", "two"},
      {Mutant::WriteAfterEnd, "WriteAfterEnd", "S5", "success"},
      {Mutant::ActUnrecorded, "ActUnrecorded", "WA", "success"},
      {Mutant::StartUnrecorded, "StartUnrecorded", "WA", "success"},
      {Mutant::LeaseIgnored, "LeaseIgnored", "S7", "two-replicas"},
      {Mutant::BackupUnverified, "BackupUnverified", "S13", "success"},
      {Mutant::FinalizerFirst, "FinalizerFirst", "S16", "deleted"},
      {Mutant::ActAsOperator, "ActAsOperator", "S12", "success"},
      {Mutant::EndBeforeJobs, "EndBeforeJobs", "S10", "aborted-stuck"},
      {Mutant::SaysUntouched, "SaysUntouched", "S11", "revert"},
      {Mutant::CleanUpEarly, "CleanUpEarly", "S2", "success"},
      {Mutant::KeptForgotten, "KeptForgotten", "S2", "success"},
      {Mutant::SecretInStatus, "SecretInStatus", "S14", "success"},
      {Mutant::HotLoop, "HotLoop", "L3", "success"},
      {Mutant::ImageAfterSwitch, "ImageAfterSwitch", "U1", "success"},
      {Mutant::NeverGivesUp, "NeverGivesUp", "L1", "stuck"},
      {Mutant::NoRevert, "NoRevert", "L2", "revert"},
      {Mutant::DropsPrevious, "DropsPrevious", "S2", "success"},
      {Mutant::ForgetsToRequeue, "ForgetsToRequeue", "L1", "soak"},
  };
  return all;
}

void mutateSnapshot(Mutant mutant, reconcilers::RollbackSnapshot& in) {
  auto& rollback = in.rollback;
  switch (mutant) {
    case Mutant::SkipLedger:
      in.ledger.emplace();
      in.ledger->meta.name = reconcilers::ledgerName(rollback);
      in.ledger->data["uid"] = rollback.meta.uid;
      break;
    case Mutant::GoBeforePodsGone:
      if (running(rollback, "Quiesce") || running(rollback, "Switch")) noPods(in.ns);
      break;
    case Mutant::WorkersUnseen:
      if (running(rollback, "Quiesce") || running(rollback, "Switch")) noPods(in.ns, "Deployment/worker");
      break;
    case Mutant::RunsUnseen:
      for (auto& [key, view] : in.ns.workloads)
        if (view.workload && view.workload->isCronJob()) view.runs.clear(), view.pods.clear();
      break;
    case Mutant::LockOverwritten:
      if (in.ns.framework && in.ns.framework->status.activeRollback &&
          in.ns.framework->status.activeRollback->uid != rollback.meta.uid)
        in.ns.framework->status.activeRollback.reset();
      break;
    case Mutant::StartUnrecorded:
      for (auto& record : rollback.status.steps)
        for (const auto& view : in.ns.jobs)
          if (record.jobUid.empty() && view.job.meta.name == record.jobName) record.jobUid = view.job.meta.uid;
      break;
    case Mutant::BackupUnverified:
      for (auto& record : rollback.status.steps)
        if (record.name == "VerifyBackup") record.state = "Succeeded";
      break;
    case Mutant::EndBeforeJobs:
      for (auto& view : in.ns.jobs) view.pods.clear();
      in.ns.orphans.clear();
      for (auto& view : in.ns.jobs)
        if (rollback.meta.deleting() || rollback.spec.abort) view.job.complete = true;
      break;
    case Mutant::ImageAfterSwitch:
      if (rollback.status.phase == api::Phase::Switching) seemsSwitched(in, "main", "Deployment/shop");
      break;
    case Mutant::WorkersForgotten:
      if (rollback.status.phase == api::Phase::Switching) seemsSwitched(in, "worker", "Deployment/worker");
      break;
    case Mutant::KeptForgotten:
      if (running(rollback, "Close"))
        for (auto& store : rollback.status.plan->stores) store.action = "Keep";
      break;
    case Mutant::NeverGivesUp:
      if (!rollback.status.deadline.empty()) rollback.status.deadline = "2099-01-01T00:00:00Z";
      break;
    default:
      break;
  }
}

void mutateSnapshot(Mutant mutant, reconcilers::FrameworkSnapshot& in) {
  if (mutant == Mutant::CleanUpEarly)
    for (auto& copy : in.object.status.kept) copy.until = "2020-01-01T00:00:00Z";
}

void mutateDecision(Mutant mutant, const reconcilers::RollbackSnapshot& in, Decision& out) {
  const auto& rollback = in.rollback;
  const auto& phase = rollback.status.phase;
  const bool over = phase && api::isEnding(*phase);
  switch (mutant) {
    case Mutant::ScaleUnaimed:
      for (auto& request : out.requests)
        if (request.subresource == "scale") change(request, [](json& body) { body.erase("metadata"); });
      break;
    case Mutant::DeleteUnaimed:
      for (auto& request : out.requests)
        if (request.verb == kube::Verb::Delete) request.body.clear();
      break;
    case Mutant::StatusUnaimed:
      for (auto& request : out.requests)
        if (request.subresource == "status")
          change(request, [](json& body) { body["metadata"].erase("resourceVersion"); });
      break;
    case Mutant::JobsRunAtOnce:
      for (auto& request : out.requests)
        if (request.resource.plural == "jobs" && request.verb == kube::Verb::Create)
          change(request, [](json& body) { body["spec"]["suspend"] = false; });
      break;
    case Mutant::LockReleasedEarly:
      if (in.ns.framework && in.ns.framework->status.activeRollback && !out.requests.empty() &&
          out.requests.back().resource.plural == "deployments") {
        api::Framework free = *in.ns.framework;
        free.status.activeRollback.reset();
        out.requests.insert(out.requests.end() - 1,
                            kube::updateStatus(api::kFrameworks, free.meta.namespace_, free.meta.name,
                                               api::encodeFrameworkStatus(free)));
      }
      break;
    case Mutant::WriteAfterEnd:
      if (phase == api::Phase::Succeeded && rollback.status.reason != "Reconsidered")
        out.requests = {statusOf(rollback, [](json& body) {
          body["status"]["phase"] = "Failed";
          body["status"]["reason"] = "Reconsidered";
        })};
      break;
    case Mutant::ActUnrecorded:
      for (auto& request : out.requests)
        if (request.resource.plural == "jobs" && request.verb == kube::Verb::Create)
          change(request,
                 [](json& body) { body["metadata"]["name"] = body["metadata"]["name"].get<std::string>() + "x"; });
      break;
    case Mutant::FinalizerFirst:
      if (rollback.meta.deleting() && !rollback.meta.finalizers.empty()) {
        const json body = {{"metadata",
                            {{"uid", rollback.meta.uid},
                             {"resourceVersion", rollback.meta.resourceVersion},
                             {"finalizers", json::array()}}}};
        out.requests = {kube::patch(api::kFrameworkRollbacks, rollback.meta.namespace_, rollback.meta.name,
                                    kube::PatchType::Merge, body.dump())};
        out.again = false;
      }
      break;
    case Mutant::ActAsOperator:
      for (auto& request : out.requests)
        if (request.resource.plural == "deployments") request.asServiceAccount.clear();
      break;
    case Mutant::SaysUntouched:
      for (auto& request : out.requests)
        if (isStatus(request, "frameworkrollbacks") && phaseIn(request) == "Reverted")
          change(request, [](json& body) {
            body["status"]["phase"] = "Failed";
            body["status"]["reason"] = "NothingTouched";
          });
      break;
    case Mutant::SecretInStatus:
      for (auto& request : out.requests)
        if (isStatus(request, "frameworkrollbacks"))
          change(request, [](json& body) { body["status"]["message"] = "logged in with hunter2-secret"; });
      break;
    case Mutant::HotLoop:
      if (over && out.requests.empty()) {
        out.requests = {statusOf(rollback, [&](json& body) { body["status"]["message"] = formatTime(in.ns.now); })};
        out.requeueAfter = Millis(10000);
      }
      break;
    case Mutant::NoRevert:
      if (phase == api::Phase::Reverting) {
        out.requests.clear();
        if (in.ns.framework && in.ns.framework->status.activeRollback) {
          api::Framework free = *in.ns.framework;
          free.status.activeRollback.reset();
          out.requests.push_back(kube::updateStatus(api::kFrameworks, free.meta.namespace_, free.meta.name,
                                                    api::encodeFrameworkStatus(free)));
        } else {
          out.requests.push_back(statusOf(rollback, [](json& body) {
            body["status"]["phase"] = "Reverted";
            body["status"]["reason"] = "Failed";
          }));
        }
        out.again = true;
      }
      break;
    case Mutant::ForgetsToRequeue:
      out.requeueAfter.reset();
      break;
    default:
      break;
  }
}

void mutateDecision(Mutant mutant, const reconcilers::FrameworkSnapshot&, Decision& out) {
  if (mutant == Mutant::DeleteUnaimed)
    for (auto& request : out.requests)
      if (request.verb == kube::Verb::Delete) request.body.clear();
}

}  // namespace rollback::sim
