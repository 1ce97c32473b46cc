// FrameworkBackup: takes a backup of the framework's databases, proves it by a full read and lists it; or, with
// spec.path, reads a folder that is already there and lists what it holds.
//
//   take    Lock (Framework.status.activeBackup, by compare-and-swap) → Backup, a Job per store, one after the other,
//   into
//           one folder that only the last makes a backup of → Settle (of several stores: the schemas of the earlier
//           ones are still what was dumped) → Verify, a Job per store → Unlock → Completed
//   import  Verify → Completed
//   listed  found by a scan (label origin=scan): the repository's reconciler writes its status until somebody asks for
//           its full read by annotation; then it is an import
//   failed  running Jobs deleted, lock given back, then Failed: the application was never touched
//
// While anything stands in the way the phase is Pending and the reason for the wait is in message and conditions.
// Backups and rollbacks of a framework exclude each other. An ended backup is never taken again.
#pragma once

#include "common/decision.h"
#include "common/settings.h"
#include "common/snapshot.h"

namespace rollback::reconcilers {

Decision reconcileBackup(const BackupSnapshot& snapshot, const Settings& settings);

// Whether it is at an end: it holds no lock then and is never taken again.
bool hasEnded(const api::FrameworkBackup& backup);

// Whether the repository's reconciler is the one to write this entry: a scan listed it and nobody asked for more.
bool isMereListing(const api::FrameworkBackup& backup);

// "<framework>/<framework>-backup-YYYYMMDD-HHMMSS", UTC: where a backup that begins now is written, below the
// repository's path.
std::string backupPath(const std::string& framework, WallTime now);

}  // namespace rollback::reconcilers
