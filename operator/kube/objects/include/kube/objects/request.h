// Requests to the API server as values (sans I/O): reconcilers return them, the client sends them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rollback::kube {

// Group, version, plural name and kind of a resource. Static tables: nothing is discovered at run time.
struct Resource {
  std::string group;    // "" is the core group
  std::string version;  // "v1"
  std::string plural;   // "deployments"
  std::string kind;     // "Deployment"
  bool namespaced = true;

  std::string apiVersion() const { return group.empty() ? version : group + "/" + version; }
};

// The built-in ones this operator uses, at the versions every supported server (1.31 and later) has. Inline, so that
// they are there before whatever constant of another file is made of them.
namespace resources {
inline const Resource kPods{"", "v1", "pods", "Pod"};
inline const Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
inline const Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
inline const Resource kServices{"", "v1", "services", "Service"};
inline const Resource kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount"};
inline const Resource kPersistentVolumeClaims{"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"};
inline const Resource kEvents{"events.k8s.io", "v1", "events", "Event"};
inline const Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease"};
inline const Resource kJobs{"batch", "v1", "jobs", "Job"};
inline const Resource kCronJobs{"batch", "v1", "cronjobs", "CronJob"};
inline const Resource kDeployments{"apps", "v1", "deployments", "Deployment"};
inline const Resource kStatefulSets{"apps", "v1", "statefulsets", "StatefulSet"};
inline const Resource kHorizontalPodAutoscalers{"autoscaling", "v2", "horizontalpodautoscalers",
                                                "HorizontalPodAutoscaler"};
inline const Resource kSelfSubjectAccessReviews{"authorization.k8s.io", "v1", "selfsubjectaccessreviews",
                                                "SelfSubjectAccessReview", false};
// Of a workload's kind: Deployment, StatefulSet, CronJob.
inline const Resource& ofWorkload(std::string_view kind) {
  return kind == kCronJobs.kind ? kCronJobs : kind == kStatefulSets.kind ? kStatefulSets : kDeployments;
}
}  // namespace resources

enum class Verb { Get, List, Watch, Create, Update, Patch, Delete };
enum class PatchType { Json, Merge, StrategicMerge, Apply };

struct Request {
  Verb verb = Verb::Get;
  Resource resource;
  std::string namespace_;
  std::string name;
  std::string subresource;                                 // "status", "scale", "log"
  std::vector<std::pair<std::string, std::string>> query;  // unencoded
  std::string body;                                        // JSON
  PatchType patchType = PatchType::Merge;
  // The ServiceAccount of `namespace_` this is sent as (Impersonate-User), empty: as ourselves.
  std::string asServiceAccount;

  bool mutates() const { return verb != Verb::Get && verb != Verb::List && verb != Verb::Watch; }
  // "/apis/apps/v1/namespaces/demo/deployments/shop/scale?dryRun=All", percent-encoded.
  std::string target() const;
  // GET, POST, PUT, PATCH, DELETE.
  const char* method() const;
  // "PATCH deployments/scale demo/shop", "LIST pods demo", "CREATE jobs demo as ServiceAccount demo/rollback-runner":
  // for messages and logs; holds no body and no query.
  std::string describe() const;
  // Why it must not be sent, empty if it may: a delete without a name is a delete of everything, a get without one a
  // list.
  std::string fault() const;
};

Request get(const Resource& resource, std::string namespace_, std::string name);
Request list(const Resource& resource, std::string namespace_, std::string labelSelector = "");
Request create(const Resource& resource, std::string namespace_, std::string body);
// Replaces the status subresource; `body` carries metadata.resourceVersion, so that a stale write is a Conflict.
Request updateStatus(const Resource& resource, std::string namespace_, std::string name, std::string body);
Request patch(const Resource& resource, std::string namespace_, std::string name, PatchType type, std::string body);
// Aimed: only the object with that uid (and resourceVersion, unless empty); propagation Background.
Request remove(const Resource& resource, std::string namespace_, std::string name, const std::string& uid,
               const std::string& resourceVersion);

}  // namespace rollback::kube
