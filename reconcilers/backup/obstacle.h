// What stands between a FrameworkBackup and its Jobs, found from objects alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/components.h"
#include "common/snapshot.h"

namespace rollback::reconcilers {

struct Obstacle {
  std::string code, message;  // CamelCase, and a sentence that says what to do
  bool final = false;         // waiting cannot help
  Millis recheck{30000};
};

// The first thing missing for reading the repository in a Job, in the order a reader would ask; enough for an import.
std::optional<Obstacle> obstacleToRead(const BackupSnapshot& snapshot);
// The first thing that makes this a bad moment to take a backup; obstacleToRead() found none. The lock of this backup
// itself is none.
std::optional<Obstacle> obstacleToTake(const BackupSnapshot& snapshot, const std::vector<ComponentView>& components);

}  // namespace rollback::reconcilers
