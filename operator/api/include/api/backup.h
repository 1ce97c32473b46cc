// BackupRepository and FrameworkBackup.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/framework.h"
#include "base/result.h"
#include "kube/objects/meta.h"

namespace rollback::api {

struct PodSecurity {  // overrides for Jobs that mount the repository (folders that belong to root)
  std::optional<std::int64_t> runAsUser, runAsGroup, fsGroup;
};

struct BackupRepositorySpec {
  std::string claimName;   // spec.volume.persistentVolumeClaim.claimName
  std::string path = "/";  // folder of the claim
  PodSecurity podSecurity;
};

struct BackupRepositoryStatus {
  std::int64_t observedGeneration = 0;
  std::vector<kube::Condition> conditions;  // Ready: the claim exists and is bound or waits for its first consumer
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
  std::string phase;  // Pending, Running, Verifying, Completed, Failed
  std::string version, path, digest;
  std::int64_t sizeBytes = 0;
  std::string createdAt, startedAt, completedAt;
  std::string verifiedAt, verifiedLevel;  // FullRead
  bool unsettled = false;                 // version or schema changed while it was taken: never a target
  std::vector<StoreSchema> schemas;
  std::vector<std::pair<std::string, std::string>> images;  // component → image
  std::vector<StepRecord> steps;                            // Lock, Backup, Verify, Unlock
  std::string message;
  std::vector<kube::Condition> conditions;
};

struct FrameworkBackup {
  kube::ObjectMeta meta;
  FrameworkBackupSpec spec;
  FrameworkBackupStatus status;
};

Result<BackupRepository> decodeBackupRepository(std::string_view json);
std::string encodeBackupRepositoryStatus(const BackupRepository& repository);
Result<FrameworkBackup> decodeFrameworkBackup(std::string_view json);
std::string encodeFrameworkBackupStatus(const FrameworkBackup& backup);

}  // namespace rollback::api
