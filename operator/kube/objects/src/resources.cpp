#include "kube/objects/request.h"

// The built-in resources this operator uses, at the versions every supported server (1.31 and later) has.
namespace rollback::kube::resources {

const Resource kPods{"", "v1", "pods", "Pod", true};
const Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap", true};
const Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
const Resource kServices{"", "v1", "services", "Service", true};
const Resource kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount", true};
const Resource kPersistentVolumeClaims{"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true};
const Resource kEvents{"events.k8s.io", "v1", "events", "Event", true};
const Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease", true};
const Resource kJobs{"batch", "v1", "jobs", "Job", true};
const Resource kDeployments{"apps", "v1", "deployments", "Deployment", true};
const Resource kStatefulSets{"apps", "v1", "statefulsets", "StatefulSet", true};
const Resource kSelfSubjectAccessReviews{"authorization.k8s.io", "v1", "selfsubjectaccessreviews",
                                         "SelfSubjectAccessReview", false};

}  // namespace rollback::kube::resources
