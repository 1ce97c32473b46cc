// Where a rollback goes: which version, which image each component gets, which backup could give the data. Pure, no
// Jobs: what can be known from objects alone.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/framework_rollback.h"
#include "base/result.h"
#include "rollback/step.h"

namespace rollback::reconcilers {

struct Target {
  std::string version;                                      // empty until the manifest of a backupPath is read
  std::vector<std::pair<std::string, std::string>> images;  // component → image
  std::optional<api::PlannedBackup> backup;                 // the candidate, if any
  bool backupNamed = false;                                 // by the user: never judged too old
  std::string withoutData;  // the FrameworkBackup named is a script's folder: it gives a version, never data
  const api::RunningVersion* history = nullptr;  // what the framework recorded of that version
};

// Errors are sentences for status.message; `reason` is the CamelCase code.
Result<Target> resolveTarget(const StepContext& context);

// Images for a version, first source that knows wins: the backup's manifest, the framework's history, the present image
// with its tag replaced.
std::vector<std::pair<std::string, std::string>> imagesFor(
    const StepContext& context, const std::string& version,
    const std::vector<std::pair<std::string, std::string>>& fromBackup, const api::RunningVersion* history);

}  // namespace rollback::reconcilers
