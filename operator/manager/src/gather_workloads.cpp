// The workloads of a framework and what runs of them, by live reads: what S8 is decided from.
#include <algorithm>

#include "manager/gather.h"

namespace rollback::manager {
namespace {

using reconcilers::NamespaceSnapshot;

constexpr const char* kJobName = "batch.kubernetes.io/job-name";

std::string selectorText(const std::map<std::string, std::string>& labels) {
  std::string out;
  for (const auto& [key, value] : labels) out += (out.empty() ? "" : ",") + key + "=" + value;
  return out;
}

bool isNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

// Of a workload that is gone, told by names: a Deployment's ReplicaSet is called after it and the hash of its template,
// a StatefulSet's pod after it and a number, whose owner may be gone too, a CronJob's Job after it and a time.
bool isPodOf(const kube::Pod& pod, const std::string& kind, const std::string& name) {
  const kube::OwnerReference owner =
      pod.meta.ownerReferences.empty() ? kube::OwnerReference{} : pod.meta.ownerReferences.front();
  const auto numbered = [&](const std::string& its) {
    return its.rfind(name + "-", 0) == 0 && isNumber(its.substr(name.size() + 1));
  };
  if (kind == "StatefulSet")
    return owner.kind == kind ? owner.name == name
                              : owner.kind.empty() && numbered(pod.meta.name) &&
                                    pod.meta.labels.count("statefulset.kubernetes.io/pod-name") > 0;
  if (kind == "CronJob") return owner.kind == "Job" && numbered(owner.name);
  const auto hash = pod.meta.labels.find("pod-template-hash");
  return owner.kind == "ReplicaSet" && hash != pod.meta.labels.end() && owner.name == name + "-" + hash->second;
}

bool hasContainerOf(const kube::Pod& pod, const kube::Workload& workload) {
  return std::any_of(pod.containers.begin(), pod.containers.end(),
                     [&](const auto& status) { return workload.container(status.name) != nullptr; });
}

}  // namespace

// The Jobs of CronJobs that have not ended, those made by hand with --from among them, and their pods. A CronJob's own
// status learns of them late. A pod whose Job was deleted tells no more whose it was: it is taken for that of each
// CronJob with a container of that name.
Result<void> Gatherer::runs(NamespaceSnapshot& out, const std::string& namespace_,
                            const std::vector<std::string>& cronJobs, const Call& call) {
  std::map<std::string, std::string> owners;  // Job → who owns it
  const auto keepJob = [&](const kube::Job& job) {
    auto& owner = owners[job.meta.uid];
    if (!job.meta.ownerReferences.empty()) owner = job.meta.ownerReferences.front().uid;
    if ((job.ended() || job.suspended) && job.active == 0 && job.terminating == 0) return;
    for (const auto& key : cronJobs)
      if (auto& view = out.workloads[key]; view.workload->meta.uid == owner) view.runs.push_back(job.meta.name);
  };
  const auto keepPod = [&](const kube::Pod& pod) {
    if (pod.ended() || pod.meta.ownerReferences.empty()) return;
    const auto job = owners.find(pod.meta.ownerReferences.front().uid);
    for (const auto& key : cronJobs) {
      auto& view = out.workloads[key];
      if (job == owners.end() ? hasContainerOf(pod, *view.workload) : job->second == view.workload->meta.uid)
        view.pods.push_back(pod);
    }
  };
  if (auto done = each(kube::list(kube::resources::kJobs, namespace_), 0, kube::decodeJob, call, keepJob); !done)
    return done;
  return each(kube::list(kube::resources::kPods, namespace_, kJobName), 0, kube::decodePod, call, keepPod);
}

Result<void> Gatherer::workloads(NamespaceSnapshot& out, const Call& call) {
  std::map<std::pair<std::string, std::string>, bool> wanted;  // and whether its pods are
  for (const auto& store : out.framework->spec.stores)
    if (store.postgres && !store.postgres->tools.workloadName.empty())
      wanted[{store.postgres->tools.workloadKind, store.postgres->tools.workloadName}] = false;
  for (const auto& component : out.framework->spec.components)
    wanted[{component.workloadKind, component.workloadName}] = true;
  const std::string& namespace_ = out.framework->meta.namespace_;
  std::vector<std::string> cronJobs;
  std::vector<std::pair<std::string, std::string>> gone;
  for (const auto& [key, withPods] : wanted) {
    const auto& [kind, name] = key;
    auto workload = object(kube::get(kube::resources::ofWorkload(kind), namespace_, name), kube::decodeWorkload, call);
    if (!workload) return workload.error();
    auto& view = out.workloads[kind + "/" + name];
    view.workload = std::move(*workload);
    if (!withPods) continue;
    if (!view.workload) {
      gone.push_back(key);
      continue;
    }
    if (view.workload->isCronJob()) cronJobs.push_back(kind + "/" + name);
    const auto selector = selectorText(view.workload->selector);
    if (selector.empty()) continue;
    if (auto done = each(kube::list(kube::resources::kPods, namespace_, selector), 0, kube::decodePod, call,
                         [&](kube::Pod pod) { view.pods.push_back(std::move(pod)); });
        !done)
      return done;
  }
  // With a workload went its selector; what runs of it ends in its own time, which matters while data may be switched.
  if (!gone.empty() && out.framework->status.activeRollback) {
    const auto keep = [&](const kube::Pod& pod) {
      for (const auto& key : gone)
        if (isPodOf(pod, key.first, key.second)) out.workloads[key.first + "/" + key.second].pods.push_back(pod);
    };
    if (auto done = each(kube::list(kube::resources::kPods, namespace_), 500, kube::decodePod, call, keep); !done)
      return done;
  }
  return cronJobs.empty() ? Result<void>() : runs(out, namespace_, cronJobs, call);
}

}  // namespace rollback::manager
