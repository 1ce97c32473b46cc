// The workloads of a framework and what runs of them, by live reads: what S8 is decided from.
#include <algorithm>

#include "manager/gather.h"

namespace rollback::manager {
namespace {

std::string selectorText(const std::map<std::string, std::string>& labels) {
  std::string out;
  for (const auto& [key, value] : labels) out += (out.empty() ? "" : ",") + key + "=" + value;
  return out;
}

}  // namespace

Result<void> Gatherer::pods(const std::string& namespace_, const std::string& selector, reconcilers::WorkloadView& view,
                            const Call& call) {
  const auto listed = client_->list(kube::list(kube::resources::kPods, namespace_, selector), 0, call.deadline,
                                    call.cancel, [&](std::string_view item) -> Result<void> {
                                      auto pod = kube::decodePod(item);
                                      if (!pod) return pod.error();
                                      view.pods.push_back(std::move(*pod));
                                      return {};
                                    });
  return listed ? Result<void>() : listed.error();
}

// The Jobs of a CronJob that have not ended, those made by hand with --from among them, and their pods. The CronJob's
// own status learns of them late.
Result<void> Gatherer::runsOf(reconcilers::WorkloadView& cronJob, const Call& call) {
  auto& workload = *cronJob.workload;
  std::vector<std::string> running;
  const auto see = [&](std::string_view item) -> Result<void> {
    auto job = kube::decodeJob(item);
    if (!job) return job.error();
    const bool atRest = (job->ended() || job->suspended) && job->active == 0 && job->terminating == 0;
    for (const auto& owner : job->meta.ownerReferences)
      if (owner.uid == workload.meta.uid && !atRest) running.push_back(job->meta.name);
    return {};
  };
  const auto listed =
      client_->list(kube::list(kube::resources::kJobs, workload.meta.namespace_), 0, call.deadline, call.cancel, see);
  if (!listed) return listed.error();
  workload.statusReplicas = static_cast<int>(running.size());
  for (const auto& name : running)
    if (auto done = pods(workload.meta.namespace_, "batch.kubernetes.io/job-name=" + name, cronJob, call); !done)
      return done;
  return {};
}

Result<void> Gatherer::workloads(reconcilers::NamespaceSnapshot& out, const Call& call) {
  std::map<std::pair<std::string, std::string>, bool> wanted;  // and whether its pods are
  for (const auto& store : out.framework->spec.stores)
    if (store.postgres && !store.postgres->tools.workloadName.empty())
      wanted[{store.postgres->tools.workloadKind, store.postgres->tools.workloadName}] = false;
  for (const auto& component : out.framework->spec.components)
    wanted[{component.workloadKind, component.workloadName}] = true;
  const std::string& namespace_ = out.framework->meta.namespace_;
  for (const auto& [key, withPods] : wanted) {
    const auto& [kind, name] = key;
    const auto& resource = kind == "StatefulSet" ? kube::resources::kStatefulSets
                           : kind == "CronJob"   ? kube::resources::kCronJobs
                                                 : kube::resources::kDeployments;
    auto workload = object(kube::get(resource, namespace_, name), kube::decodeWorkload, call);
    if (!workload) return workload.error();
    reconcilers::WorkloadView view;
    view.workload = std::move(*workload);
    if (view.workload && withPods) {
      Result<void> listed;
      if (view.workload->isCronJob())
        listed = runsOf(view, call);
      else if (const auto selector = selectorText(view.workload->selector); !selector.empty())
        listed = pods(namespace_, selector, view, call);
      if (!listed) return listed.error();
    }
    out.workloads[kind + "/" + name] = std::move(view);
  }
  return {};
}

}  // namespace rollback::manager
