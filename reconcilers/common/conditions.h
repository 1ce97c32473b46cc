// Writes conditions of one object at one moment: the time and generation are the same for all of them.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "kube/objects/meta.h"

namespace rollback::reconcilers {

struct ConditionWriter {
  std::vector<kube::Condition>& conditions;
  WallTime now;
  std::int64_t generation = 0;

  // `status`: True, False, Unknown. `reason`: CamelCase.
  void set(const std::string& type, const std::string& status, const std::string& reason,
           const std::string& message) const {
    kube::setCondition(conditions, {type, status, reason, message, formatTime(now), generation});
  }
};

}  // namespace rollback::reconcilers
