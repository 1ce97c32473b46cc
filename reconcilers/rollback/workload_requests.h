// Writes to a user's workloads: aimed (uid and resourceVersion, so a stale one is a Conflict), never forced, as the
// runner.
#pragma once

#include <string>

#include "kube/objects/request.h"
#include "kube/objects/workloads.h"

namespace rollback::reconcilers {

kube::Request scaleTo(const kube::Workload& workload, int replicas);
kube::Request setImage(const kube::Workload& workload, const std::string& container, const std::string& image);
// Changes nothing but the version: whatever was aimed at the one before misses.
kube::Request fence(const kube::Workload& workload, const std::string& uid);

}  // namespace rollback::reconcilers
