// The results the mover's verbs give back (docs/mover.md), as far as a decision needs them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/framework.h"
#include "base/result.h"

namespace rollback::reconcilers {

struct Blocker {
  std::string code, message;
};

struct DatabaseSeen {
  std::string name;
  std::uint32_t oid = 0;
  bool open = false;
};

struct Inspection {
  std::string serverVersion, systemIdentifier;
  std::string liveName;
  std::uint32_t liveOid = 0;
  std::int64_t liveBytes = 0;
  api::SchemaLevel liveSchema;
  bool spaceKnown = false;
  std::int64_t spaceRequired = 0, spaceAvailable = 0;
  std::int64_t spaceReserve = 0;  // of what is required: needed once by all copies on one server
  std::vector<Blocker> blockers;
  struct Table {
    std::string name;
    std::int64_t rows = 0;
    bool exact = true;  // false: the server's estimate
  };
  std::vector<Table> tables;  // of live; not all of them if there are very many
  struct Session {
    std::string user, application, address;
    int count = 0;
  };
  std::vector<Session> sessions;
  std::vector<DatabaseSeen> databases;  // ours beside live: staged, or kept
  struct Key {
    std::string name, state, reason;
  };
  std::vector<Key> keys;
  struct Backup {
    bool found = false, complete = false;
    std::string digest, version, framework, createdAt;
    std::int64_t sizeBytes = 0;
    bool unsettled = false;
    api::SchemaLevel schema;
    std::string schemaRelation;        // Equal | Subset | Different | Unknown
    std::vector<std::string> missing;  // names live has and the backup has not
    std::vector<std::pair<std::string, std::string>> images;
    std::vector<Table> tables;
  };
  std::optional<Backup> backup;
};

struct StageResult {
  std::uint32_t stageOid = 0, liveOid = 0;
  std::string systemIdentifier;
  std::string afterStage;  // "mark-crashed: 3 rows, …"; empty: the class has no such statements
};

struct BackupResult {
  std::string path, snapshotAt;
  std::string digest;  // empty: other stores are still to be added
  std::int64_t sizeBytes = 0;
  bool unsettled = false;
  api::SchemaLevel schema;
};

struct CheckResult {
  struct Health {
    std::string name, message;
    bool ok = false;
  };
  std::vector<Health> health;
  api::SchemaLevel schema;
  std::vector<DatabaseSeen> databases;  // after a switch: live and the previous one, if they are there
  struct Invariant {
    std::string name, value;
    bool ok = false;
  };
  std::vector<Invariant> invariants;
};

struct SwitchBackResult {
  std::uint32_t liveOid = 0, revertedOid = 0;
};

// What `verify` read of a backup: enough to list it in the catalogue.
struct VerifyResult {
  std::string digest, version, framework, createdAt;
  std::int64_t bytes = 0;
  int manifestVersion = 0;  // 0: the manifest does not say, as in folders that older scripts wrote
  bool unsettled = false;
  std::vector<std::string> restores, missing;
  std::vector<std::pair<std::string, std::string>> images;
  std::vector<api::StoreSchema> schemas;
};

// What `scan` saw of one folder (docs/mover.md, Verbs).
struct FoundBackup {
  std::string path, framework, version, createdAt, digest;
  std::string code, message;  // what is wrong with it; empty: whole, as far as can be told without reading its data
  std::int64_t bytes = 0;
  int manifestVersion = 0;
  bool unsettled = false;
  std::vector<std::string> restores, missing;
  std::vector<api::StoreSchema> schemas;
  std::vector<std::pair<std::string, std::string>> images;
};

struct ScanResult {
  std::int64_t found = 0;
  bool complete = false;
  std::vector<std::string> unreadable;  // frameworks' folders
  std::vector<FoundBackup> folders;     // the newest first
};

Result<ScanResult> decodeScanResult(const std::string& json);
// `store`: whose part of the backup's manifest counts; empty: the first.
Result<Inspection> decodeInspection(const std::string& json, const std::string& store = "");
Result<StageResult> decodeStageResult(const std::string& json);
Result<BackupResult> decodeBackupResult(const std::string& json);
Result<CheckResult> decodeCheckResult(const std::string& json);
Result<SwitchBackResult> decodeSwitchBackResult(const std::string& json);
Result<VerifyResult> decodeVerifyResult(const std::string& json);

}  // namespace rollback::reconcilers
