// backup-manifest.json, version 2: a superset of the version 1 that existing folders hold (docs/mover.md, Backup
// folder).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "mover/digest.h"
#include "mover/task.h"

namespace rollback::mover {

struct SchemaLevel {
  std::vector<std::string> names;  // sorted
  std::string digest;              // of the names; empty: Unknown
  std::string structureDigest;
  std::string unknownReason;
  bool known() const { return !digest.empty(); }
};

struct ExtensionRecord {
  std::string name, version, schema;
};

struct SettingRecord {
  std::string role;                 // empty: of the database for everybody
  std::vector<std::string> config;  // "name=value" as in pg_db_role_setting
};

struct DatabaseRecord {
  std::string name;
  Oid oid = 0;
  std::string owner, encoding, collate, ctype, provider = "c", icuLocale, tablespace;
  int connectionLimit = -1;
  bool aclIsDefault = true;
  std::vector<std::string> acl;  // aclitem as text
  std::vector<SettingRecord> settings;
  std::string comment;
  std::int64_t sizeBytes = 0;
  std::vector<ExtensionRecord> extensions;
};

struct TableRecord {
  std::string name;
  std::int64_t rows = 0;
  std::string hash;
  bool operator==(const TableRecord& o) const { return name == o.name && rows == o.rows && hash == o.hash; }
};

struct SequenceRecord {
  std::string name;
  std::int64_t lastValue = 0;
  bool isCalled = false;
  bool behind = false;  // below the largest value of its column already when it was backed up
  bool operator==(const SequenceRecord& o) const {
    return name == o.name && lastValue == o.lastValue && isCalled == o.isCalled;
  }
};

struct CheckRecord {
  std::string name, value;
  std::string error;  // not empty: the query could not be answered, nothing to compare
};

struct RoleRecord {
  std::string name;
  bool owner = false;  // owns an object or has default privileges: whoever restores must be able to assume it
};

struct StoreRecord {
  std::string name, driver, path, format;
  std::string catalogPath;  // the text behind `owners` and the structure digest, for telling what differs
  std::string snapshotAt, lsn;
  std::string serverVersion, systemIdentifier, toolsVersion;
  int serverVersionNum = 0;
  DatabaseRecord database;
  SchemaLevel schema;
  std::vector<TableRecord> tables;
  std::vector<SequenceRecord> sequences;
  std::int64_t largeObjects = 0;
  std::string largeObjectsHash;
  std::string owners;
  std::vector<RoleRecord> roles;
  std::vector<CheckRecord> checks;
};

struct KeyRecord {
  std::string name;
  std::string salt, fingerprint;  // empty: the source could not be given
  ScryptCost cost;
};

struct Manifest {
  std::string timestamp, framework, currentVersion, targetVersion, backupType;
  std::vector<std::string> files;
  std::map<std::string, std::uint64_t> sizes;  // of the files, in bytes; empty: written before sizes were
  int manifestVersion = 2;                     // 1: a folder of before the operator
  std::string id, createdAt, completedAt, frameworkClass, namespace_;
  std::vector<ImageRecord> images;
  bool unsettled = false;
  std::vector<StoreRecord> stores;
  std::vector<KeyRecord> keys;

  const StoreRecord* store(const std::string& name) const;
};

std::string encodeManifest(const Manifest& manifest);
// What an inspection or verification tells of a manifest: without names, hashes and files.
std::string encodeManifestSummary(const Manifest& manifest);
// BadInput with reason BackupDamaged (not JSON, not a manifest, deeper or with more values than any of ours),
// ManifestUnsupported (a newer version than this program knows) or HostilePath (a path that leaves the folder).
Result<Manifest> decodeManifest(const std::string& json);

}  // namespace rollback::mover
