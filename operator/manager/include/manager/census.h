// The census: gauges of what there is and how old it is, counted from the caches when somebody asks. A pure function,
// so a restart counts the same, every replica counts the same, and what was deleted is simply not there any more.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/backup.h"
#include "api/framework.h"
#include "api/framework_rollback.h"
#include "base/clock.h"
#include "runtime/metrics.h"

namespace rollback::manager {

struct Caches {
  std::vector<std::shared_ptr<const api::Framework>> frameworks;
  std::vector<std::shared_ptr<const api::FrameworkRollback>> rollbacks;
  std::vector<std::shared_ptr<const api::FrameworkBackup>> backups;
  std::vector<std::shared_ptr<const api::BackupRepository>> repositories;
};

// Name and help of every family census() may give.
const std::vector<std::pair<std::string, std::string>>& censusFamilies();
void census(const Caches& caches, WallTime now, const runtime::Registry::Sink& out);

}  // namespace rollback::manager
