// A backup as a folder of the repository: whether it is there, whole, and what it says of itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "mover/environment.h"
#include "mover/manifest.h"
#include "mover/sums.h"

namespace rollback::mover {

inline constexpr char kManifestName[] = "backup-manifest.json";
inline constexpr char kSumsName[] = "SHA256SUMS";

struct BackupFolder {
  std::string path;    // below the repository
  std::string digest;  // "sha256:…" of SHA256SUMS
  Sums sums;
  std::uint64_t bytes = 0;
  std::vector<FileEntry> entries;
  Manifest manifest;
};

// Reads and judges the folder without reading its data: every file that SHA256SUMS names is there, none beside them, no
// links or devices, the manifest's own hash fits. Reasons: BackupNotFound, BackupIncomplete (no SHA256SUMS, a file
// missing), BackupDamaged, ManifestUnsupported, BackupUnverified (version 1: made before the operator), HostilePath.
Result<BackupFolder> openBackup(Files& repository, const std::string& path);

// Every file against SHA256SUMS. BackupDamaged names the first that differs.
Result<void> hashBackup(Environment& env, const BackupFolder& backup);
// Nobody wrote in the folder since it was opened (BackupDamaged).
Result<void> sameAsOpened(Files& repository, const BackupFolder& backup);
// The frozen digest of the plan is this folder's (BackupDamaged; an empty `expected` always is).
Result<void> expectDigest(const BackupFolder& backup, const std::string& expected);
// The record of the store a task asks for. BadInput (StoreMissing).
Result<const StoreRecord*> storeOf(const BackupFolder& backup, const std::string& store);

}  // namespace rollback::mover
