// Framework: an installed instance of a class, with what runs now, what ran before, and the lock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/journal.h"
#include "base/result.h"
#include "kube/objects/meta.h"

namespace rollback::api {

struct SecretKeys {  // a Secret with a user name and a password
  std::string name;
  std::string usernameKey = "username";
  std::string passwordKey = "password";
};

struct ToolsRef {  // whose image has pg_dump, pg_restore and psql
  std::string workloadKind, workloadName, container;
  std::string image;  // instead of the workload
};

struct PostgresStore {
  std::string host;
  std::string directHost;  // past a pooler, for what needs one session; empty: host
  int port = 5432;
  std::string database;
  std::string maintenanceDatabase = "postgres";
  SecretKeys credentials;
  std::optional<SecretKeys> admin;
  std::string tlsMode = "prefer";  // libpq's sslmode: disable, prefer, require, verify-ca, verify-full
  std::string caSecretName, caSecretKey = "ca.crt";
  ToolsRef tools;
  std::int64_t capacityBytes = 0;       // 0: not declared
  std::string otherClients = "Refuse";  // Refuse | Terminate: sessions of others on the database
};

struct Store {
  std::string name;
  std::optional<PostgresStore> postgres;
};

struct FrameworkComponent {
  std::string name;
  std::string workloadKind = "Deployment", workloadName;
  std::string container;    // empty: the only one
  std::string serviceName;  // empty: health is asked of nothing but readiness
};

struct JobTemplate {
  std::map<std::string, std::string> labels, annotations, nodeSelector;
  std::vector<std::string> imagePullSecrets;
  std::string tolerations;  // JSON of the list, verbatim
  std::string resources;    // JSON, verbatim; applied to the main container
};

struct FrameworkPolicy {
  std::string maxDataLoss = "24h";
  int retainHistory = 20;
};

struct FrameworkSpec {
  std::string className;
  std::vector<FrameworkComponent> components;
  std::vector<Store> stores;
  std::string repositoryName;
  FrameworkPolicy policy;
  JobTemplate jobTemplate;
};

struct SchemaLevel {
  std::int64_t count = 0;
  std::string digest;           // sha256:…, empty: unknown
  std::string structureDigest;  // sha256:…
  std::string unknownReason;    // why digest is empty
  bool known() const { return !digest.empty(); }
  bool operator==(const SchemaLevel&) const = default;
};

struct StoreSchema {
  std::string store;
  SchemaLevel schema;
  bool operator==(const StoreSchema&) const = default;
};

// What a version was like while it was healthy. `lastKnownGood` is read from the history of these. What runs now is one
// too, from the moment it is rolled out: without healthySince it never was healthy, and is not remembered.
struct RunningVersion {
  std::string version;
  std::vector<std::pair<std::string, std::string>> images;  // component → image (repo:tag or repo@sha256)
  std::vector<StoreSchema> schemas;
  std::string healthySince, lastSeen;
  bool operator==(const RunningVersion&) const = default;
};

// A database kept closed for undo. Framework.status owns these; Cleanup works from here.
struct KeptCopy {
  std::string store, name;  // database name
  std::uint32_t oid = 0;
  std::string kind;  // prev | reverted
  std::string of;    // uid of the rollback
  std::string ofName;
  std::string until;  // RFC 3339; not dropped before
  std::string writtenFrom, writtenTo;
  bool operator==(const KeptCopy&) const = default;
};

struct ResumeComponent {
  std::string name, workloadKind, workloadName, container, image;
  int replicas = 0;
  std::string workloadUid;
  bool operator==(const ResumeComponent&) const = default;
};

struct ResumeStore {
  std::string store, database;
  std::string systemIdentifier;
  std::uint32_t liveOid = 0;
  std::string action;  // as planned: Restore | Undo | Keep
  // The names and the OID of the copy that is switched in: what going back needs, should the rollback be lost. The OID
  // is written before the application is stopped; 0: no go token can have been given.
  std::string stageName, prevName, revertedName;
  std::uint32_t stageOid = 0;
  bool operator==(const ResumeStore&) const = default;
};

// The lock, taken by compare-and-swap, with all that is needed to return the application to service.
struct ActiveRollback {
  std::string name, uid, token, since;
  std::vector<ResumeComponent> components;
  std::vector<ResumeStore> stores;
  std::string keepPreviousFor;  // the rollback's, for what is kept if it is lost
  bool operator==(const ActiveRollback&) const = default;
};

// The latest rollback that succeeded: the only one that can be undone.
struct LastRollback {
  std::string name, uid, completedAt;
  bool operator==(const LastRollback&) const = default;
};

struct ActiveBackup {
  std::string name, uid, since;
  bool operator==(const ActiveBackup&) const = default;
};

struct FrameworkStatus {
  std::int64_t observedGeneration = 0;
  std::optional<RunningVersion> running;
  bool healthy = false;
  std::vector<RunningVersion> history;  // newest first
  std::vector<KeptCopy> kept;
  std::optional<ActiveRollback> activeRollback;
  std::optional<ActiveBackup> activeBackup;
  std::optional<LastRollback> lastRollback;
  std::vector<StepRecord> steps;  // Jobs of the framework's own: Inspect (message: the images it is for), Cleanup
  std::vector<kube::Condition> conditions;
  bool operator==(const FrameworkStatus&) const = default;
};

struct Framework {
  kube::ObjectMeta meta;
  FrameworkSpec spec;
  FrameworkStatus status;
};

Result<Framework> decodeFramework(std::string_view json);
// The whole object with metadata.resourceVersion, for PUT …/status: a stale write is a Conflict.
std::string encodeFrameworkStatus(const Framework& framework);

}  // namespace rollback::api
