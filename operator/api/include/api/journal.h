// The journal in a status: one line per step (and store), written before the act it announces and updated after it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace rollback::api {

struct StepProgress {
  std::int64_t done = 0, total = 0;
  std::string unit;
  bool operator==(const StepProgress&) const = default;
};

struct StepRecord {
  std::string name;   // Plan, Lock, VerifyBackup, Stage, StartTarget, ArmSwitch, Quiesce, SetImage, Switch, Resume,
                      // Verify, Close, Revert…
  std::string store;  // empty: the whole framework
  std::string state;  // Pending, Running, Succeeded, Failed
  int attempt = 0;
  std::string jobName, jobUid, token;
  std::string startedAt, completedAt;
  std::optional<StepProgress> progress;
  std::string message;
  bool operator==(const StepRecord&) const = default;
};

}  // namespace rollback::api
