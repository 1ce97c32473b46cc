// What a status write of ours tells beyond the object it is written to: the steps that ended with it, the downtime, the
// ending. Pure functions of the object before and after the write. Every write is a compare-and-swap, so each of these
// is seen by exactly one process, once; a write whose answer was lost is seen by nobody.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/backup.h"
#include "api/framework_rollback.h"
#include "base/clock.h"

namespace rollback::manager {

struct EndedStep {
  std::string step;
  bool ofStore = false;  // a line of the journal about one store or component, not about the whole framework
  bool succeeded = false;
  double seconds = 0;
};

struct RollbackObservations {
  std::vector<EndedStep> steps;
  bool reverting = false;                 // the way back after Quiesce began
  std::optional<api::Phase> ended;        // the ending, if it ended
  std::optional<double> downtimeSeconds;  // of a rollback that ended with the application serving again
};
// `now`: when the write was made, for a step that was cut off and says no end of its own.
RollbackObservations observe(const api::FrameworkRollback& before, const api::FrameworkRollback& after, WallTime now);

struct BackupObservations {
  std::vector<EndedStep> steps;
  std::string ended;  // Completed, Failed; empty: it goes on
};
BackupObservations observe(const api::FrameworkBackup& before, const api::FrameworkBackup& after, WallTime now);

}  // namespace rollback::manager
