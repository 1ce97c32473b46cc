// A backup as a folder of the repository: whether it is there, whole, and what it says of itself.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "mover/environment.h"
#include "mover/manifest.h"
#include "mover/sums.h"
#include "mover/task.h"

namespace rollback::mover {

inline constexpr char kManifestName[] = "backup-manifest.json";
inline constexpr char kSumsName[] = "SHA256SUMS";
// Of manifest and SHA256SUMS: a database of 100,000 tables needs a tenth of it.
inline constexpr std::size_t kLargestText = 32u << 20;

struct BackupFolder {
  std::string path;    // below the repository
  std::string digest;  // "sha256:…" of SHA256SUMS
  Sums sums;
  std::uint64_t bytes = 0;
  std::vector<FileEntry> entries;
  Manifest manifest;
};

// What could be read of a folder, and the first thing that is wrong with it.
struct BackupSurvey {
  BackupFolder folder;
  std::optional<Error> problem;
};

// Reads and judges the folder without reading its data: every file that SHA256SUMS names is there, of the size the
// manifest says, none beside them, no links or devices, the manifest's own hash fits. Reasons: BackupNotFound,
// BackupIncomplete (no SHA256SUMS, a file missing), BackupDamaged, ManifestUnsupported, BackupUnverified (version 1:
// made before the operator), HostilePath, TooLarge. Files that are hard links are files like others: repositories are
// deduplicated that way.
BackupSurvey surveyBackup(Files& repository, const std::string& path);
Result<BackupFolder> openBackup(Files& repository, const std::string& path);

// Files against SHA256SUMS: those of the stores that are `wanted`, and all that belong to no store. BackupDamaged names
// the first that differs. DeadlineExceeded.
using StoreFilter = std::function<bool(const StoreRecord&)>;
Result<void> hashBackup(Environment& env, const BackupFolder& backup, const StoreFilter& wanted, Deadline deadline);
// Nobody wrote in the folder since it was opened (BackupDamaged).
Result<void> sameAsOpened(Files& repository, const BackupFolder& backup);
// The frozen digest of the plan is this folder's (BackupDamaged; an empty `expected` always is).
Result<void> expectDigest(const BackupFolder& backup, const std::string& expected);
// The framework and version the task names, where it names them. BackupOfAnotherFramework, BackupOfAnotherVersion.
Result<void> expectContent(const BackupFolder& backup, const Task::Backup& expected);
// The record of the store a task asks for. BadInput (StoreMissing).
Result<const StoreRecord*> storeOf(const BackupFolder& backup, const std::string& store);
// Whether this program can restore what the record describes.
bool isRestorable(const StoreRecord& record);

// Of a folder of version 1, for people: what is not there or proves nothing. Such a folder is never restored from.
std::vector<std::string> missingOf(const BackupFolder& backup);
// "20261124-030000" as RFC 3339; scripts wrote local time without a zone, it is read as UTC. Empty if it is none.
std::string instantOf(const std::string& timestamp);

}  // namespace rollback::mover
