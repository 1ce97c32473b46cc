// BackupRepository and FrameworkBackup.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/framework.h"
#include "api/journal.h"
#include "base/result.h"
#include "kube/objects/meta.h"

namespace rollback::api {

struct PodSecurity {  // overrides for Jobs that mount the repository (folders that belong to root)
  std::optional<std::int64_t> runAsUser, runAsGroup, fsGroup;
};

struct BackupRepositorySpec {
  std::string claimName;             // spec.volume.persistentVolumeClaim.claimName
  std::string path = "/";            // folder of the claim
  std::string scanInterval = "10m";  // 0s: only when asked
  PodSecurity podSecurity;
};

// The last scan that ended, well or not.
struct ScanRecord {
  std::string startedAt, completedAt;
  std::int64_t generation = 0;  // of the spec it was made for
  std::string request;          // value of the annotation that asked for it
  std::int64_t found = 0, listed = 0, restorable = 0;
  bool complete = false;  // every folder was looked at
  std::string message;
  bool operator==(const ScanRecord&) const = default;
};

struct BackupRepositoryStatus {
  std::int64_t observedGeneration = 0;
  std::optional<ScanRecord> scan;
  std::vector<StepRecord> steps;            // Scan
  std::vector<kube::Condition> conditions;  // Ready: the claim exists and is bound or waits for its first consumer
  bool operator==(const BackupRepositoryStatus&) const = default;
};

struct BackupRepository {
  kube::ObjectMeta meta;
  BackupRepositorySpec spec;
  BackupRepositoryStatus status;
};

struct FrameworkBackupSpec {
  std::string frameworkName;
  std::string repositoryName;     // empty: the framework's
  std::string reason = "Manual";  // PreUpgrade | Scheduled | Manual
  std::string path;               // set: import and judge that folder instead of taking a backup
  std::string deletionPolicy = "Retain";
};

struct FrameworkBackupStatus {
  std::int64_t observedGeneration = 0;
  // Pending, Running, Verifying, Completed, Failed; Listed: found by a scan and not read; Missing: its folder is gone
  std::string phase;
  std::string version, path, digest;
  std::int64_t sizeBytes = 0;
  std::string createdAt, startedAt, completedAt;
  std::string verifiedAt, verifiedLevel;  // FullRead
  bool unsettled = false;                 // version or schema changed while it was taken: never a target
  int manifestVersion = 0;                // 1: a folder of before the operator
  std::vector<std::string> restores;      // stores whose data it can give back
  std::vector<std::string> missing;       // what it lacks, in words
  std::vector<StoreSchema> schemas;
  std::vector<std::pair<std::string, std::string>> images;  // component → image
  std::vector<StepRecord> steps;                            // Lock, Backup, Verify, Unlock
  std::string message;
  std::vector<kube::Condition> conditions;
  bool operator==(const FrameworkBackupStatus&) const = default;
};

struct FrameworkBackup {
  kube::ObjectMeta meta;
  FrameworkBackupSpec spec;
  FrameworkBackupStatus status;
};

Result<BackupRepository> decodeBackupRepository(std::string_view json);
std::string encodeBackupRepositoryStatus(const BackupRepository& repository);
Result<FrameworkBackup> decodeFrameworkBackup(std::string_view json);
// The whole object without status, for creating it.
std::string encodeFrameworkBackup(const FrameworkBackup& backup);
std::string encodeFrameworkBackupStatus(const FrameworkBackup& backup);

}  // namespace rollback::api
