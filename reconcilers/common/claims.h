// The claims of a workload's pods.
#pragma once

#include <string>
#include <vector>

#include "kube/objects/workloads.h"

namespace rollback::reconcilers {

// By name: those its pod template names, and for a StatefulSet one a template and replica (of the first eight replicas;
// at 0 replicas the first's, which stays).
std::vector<std::string> claimsOf(const kube::Workload& workload);

// The one claim a database server of one pod keeps its data on; empty if the workload has none, or more than one: which
// of them it is cannot be known.
std::string dataClaimOf(const kube::Workload& workload);

}  // namespace rollback::reconcilers
