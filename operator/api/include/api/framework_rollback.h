// FrameworkRollback: the wish (spec, immutable but for suspend and abort) and its record (status, the journal).
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

struct RollbackTarget {  // exactly one of version, backupRef, backupPath, lastKnownGood, undo; version may come with a
                         // backup
  std::string version, backupName, backupPath;
  bool lastKnownGood = false;
  std::string undo;  // name of the rollback to undo
};

struct FrameworkRollbackSpec {
  std::string frameworkName;
  std::string reason = "Manual";  // FailedUpgrade | ServiceFailure | DataCorruption | ConfigurationError | Manual
  std::string message;
  std::string fromVersion;
  RollbackTarget to;
  std::vector<std::string> scope;  // Version, Databases; empty: by the schema check
  std::string mode = "Execute";    // Execute | Plan
  int soakSeconds = 0;             // spec.verification.soakSeconds
  std::string keepPreviousFor = "24h";
  std::string validUntil;           // RFC 3339
  int timeoutSeconds = 3600;        // Lock to Verify; Revert has as long again
  bool acceptUnknownSpace = false;  // spec.accept.unknownSpace: stage although the server's free space is unknown
  bool acceptUnknownKeys = false;   // spec.accept.unknownKeys
  bool acceptDataLoss = false;  // spec.accept.dataLoss: undo a success, and lose from service what was written since
  std::string onFailure = "Revert";     // Revert | Hold: what a failure after Quiesce leads to
  bool acceptOtherWriters = false;      // spec.accept.otherWriters: who else keeps the workloads will not set them back
  bool acceptUnverifiedBackup = false;  // spec.accept.unverifiedBackup: take the version from a script's folder
  bool suspend = false;
  bool abort = false;
};

enum class Phase {
  Pending,
  Planning,
  Planned,
  Preparing,
  Switching,
  Verifying,
  Succeeded,
  Reverting,
  Reverted,
  Failed,
  Aborted,
  Skipped
};
const char* toString(Phase phase);
std::optional<Phase> parsePhase(std::string_view text);
bool isEnding(Phase phase);

// Rows of a table now and in the backup; absent where there is no such table.
struct PlannedTable {
  std::string name;  // schema.table, quoted where it must be
  std::optional<std::int64_t> rowsNow, rowsInBackup;
  bool estimated = false;  // rowsNow is the server's estimate: the table is too large to be counted
  bool operator==(const PlannedTable&) const = default;
};

struct PlannedClient {  // sessions on the live database
  std::string user, application, address;
  int count = 0;
  bool operator==(const PlannedClient&) const = default;
};

struct PlannedStore {
  std::string name;
  std::string action;  // Restore: from the backup | Undo: from the copy kept by the rollback that is undone | Keep
  std::string reason;  // why
  std::string database, systemIdentifier;
  std::uint32_t liveOid = 0;
  std::int64_t liveBytes = 0, requiredBytes = 0;
  SchemaLevel liveSchema, targetSchema;
  // What is switched in, what the live database is called then, and what the former is called if it is taken back.
  std::string stageName, prevName, revertedName;
  std::uint32_t stageOid = 0;  // known after Stage; of a kept copy, from the plan on
  std::string writtenFrom;     // Undo: since when the live data was written to
  // Of a store that is restored.
  std::int64_t availableBytes = 0;   // 0: unknown
  std::int64_t capacityBytes = 0;    // of the server's volume; 0: unknown
  std::string capacityFrom;          // who says so
  std::vector<PlannedTable> tables;  // those whose rows differ, those that lose most first
  int tablesDiffering = 0;           // all of them, listed or not
  std::vector<PlannedClient> clients;
  std::vector<std::string> afterStage;  // names of the class's statements that are run on the staged copy
  bool operator==(const PlannedStore&) const = default;
};

struct PlannedBackup {
  std::string name, path, digest, version, createdAt;
  std::int64_t sizeBytes = 0;  // of its files, as the catalogue has it; 0: it is in none
  bool operator==(const PlannedBackup&) const = default;
};

// How long the application will not serve, as far as anything tells. An estimate, never part of the digest.
struct PlannedDowntime {
  std::int64_t expectedMilliseconds = 0;  // 0: unknown
  std::string basis;                      // what the expectation rests on, or why there is none
  std::int64_t startLimitSeconds = 0;     // what the class gives the components to become ready, all together
  bool operator==(const PlannedDowntime&) const = default;
};

struct PlannedWriter {   // somebody else who writes what a rollback writes
  std::string workload;  // "Deployment/shop"
  std::string field;     // "spec.replicas", "image of app"
  std::string manager;
  bool operator==(const PlannedWriter&) const = default;
};

struct RollbackPlan {
  std::string digest;
  std::optional<PlannedBackup> backup;
  std::vector<std::pair<std::string, std::string>> images;  // component → target image
  std::vector<PlannedStore> stores;
  std::vector<std::string> steps;
  std::vector<std::string> checks;  // what Verify will ask
  PlannedDowntime downtime;
  std::vector<PlannedWriter> writers;
  std::vector<std::string> schedules;  // what runs by the clock, and what becomes of it
  std::string dataLoss;                // what will be lost, in words
  std::string frozenClass;             // JSON of the class spec this rollback works with
  bool operator==(const RollbackPlan&) const = default;
};

struct Downtime {
  std::string startedAt, endedAt;
  std::int64_t milliseconds = 0;
  bool operator==(const Downtime&) const = default;
};

struct PreviousCopy {
  std::string store, name, until, version;
  bool operator==(const PreviousCopy&) const = default;
};

struct FrameworkRollbackStatus {
  std::int64_t observedGeneration = 0;
  std::optional<Phase> phase;
  std::string reason;  // CamelCase, why the phase
  std::string step, progress;
  std::string fromVersion, toVersion;
  std::vector<std::pair<std::string, std::string>> fromImages;
  std::optional<RollbackPlan> plan;
  std::vector<StepRecord> steps;
  std::optional<Downtime> downtime;
  std::string applicationVersion;
  bool applicationHealthy = false;
  std::vector<PreviousCopy> previous;
  std::string startedAt, completedAt;
  std::string deadline;        // RFC 3339, set at Lock
  std::string revertDeadline;  // set at the first Revert step
  std::string lockToken;
  std::string message;
  std::vector<kube::Condition> conditions;
  bool operator==(const FrameworkRollbackStatus&) const = default;
};

struct FrameworkRollback {
  kube::ObjectMeta meta;
  FrameworkRollbackSpec spec;
  FrameworkRollbackStatus status;
  std::string specDigest;  // hex SHA-256 of the spec: defaults dropped, suspend and abort left out
};

Result<FrameworkRollback> decodeFrameworkRollback(std::string_view json);
std::string encodeFrameworkRollbackStatus(const FrameworkRollback& rollback);

}  // namespace rollback::api
