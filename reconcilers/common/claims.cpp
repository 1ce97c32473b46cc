#include "common/claims.h"

#include <algorithm>

namespace rollback::reconcilers {

std::vector<std::string> claimsOf(const kube::Workload& workload) {
  std::vector<std::string> out = workload.claimNames;
  for (const auto& claimTemplate : workload.volumeClaimTemplates)
    for (int ordinal = 0; ordinal < std::clamp(workload.replicas, 1, 8); ++ordinal)
      out.push_back(claimTemplate + "-" + workload.meta.name + "-" + std::to_string(ordinal));
  return out;
}

std::string dataClaimOf(const kube::Workload& workload) {
  if (workload.claimNames.size() + workload.volumeClaimTemplates.size() != 1) return {};
  return claimsOf(workload).front();
}

}  // namespace rollback::reconcilers
