// What one run of the mover is to do: /frb/task/task.json, written by the operator (docs/mover.md, Task).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace rollback::mover {

using Oid = std::uint32_t;

struct PostgresTarget {
  std::string host;
  int port = 5432;
  std::string directHost;  // where sessions may be held without a pooler; empty: host
  std::string database;
  std::string maintenanceDatabase = "postgres";
  std::string sslMode = "prefer";
  std::int64_t capacityBytes = 0;  // 0: not known
  bool spaceCheckRequired = true;
  const std::string& sessionHost() const { return directHost.empty() ? host : directHost; }
};

struct CheckQuery {
  std::string name, query;
  std::optional<double> min;
};

struct NamedStatement {
  std::string name, statement;
};

struct HealthUrl {
  std::string name, url;
  std::vector<int> status;
  int timeoutSeconds = 60;
};

struct ImageRecord {
  std::string component, container, image, imageID;
};

struct NameAndOid {
  std::string name;
  Oid oid = 0;
};

struct Task {
  int version = 1;
  std::string verb, id, token;
  int attempt = 1;
  std::int64_t deadlineSeconds = 3600;
  PostgresTarget postgres;
  std::string repositoryPath, repositoryDigest;
  std::string schemaQuery;
  std::vector<CheckQuery> checks;
  std::vector<NamedStatement> afterStage;  // stage: run on the copy once it was found equal to the backup
  std::vector<std::string> keys;
  struct Expect {
    std::string systemIdentifier, schemaDigest, structureDigest;
    Oid liveOid = 0, stageOid = 0;
  } expect;
  struct Names {
    std::string stage, prev, reverted;
  } names;
  std::vector<NameAndOid> drop;
  std::vector<HealthUrl> health;
  struct Backup {
    std::string framework, frameworkClass, namespace_, version, store, reason;
    // All stores of the backup, in the order in which they are taken, each by a run of its own. Empty: `store` is the
    // only one.
    std::vector<std::string> stores;
    std::vector<ImageRecord> images;
  } backup;
  bool unverified = false;  // verify: a folder of version 1 is described instead of refused
  struct Scan {
    std::int64_t most = 2000;    // folders described, the newest first
    std::int64_t seconds = 600;  // after which it says how far it came
  } scan;
  int parallel = 1;
  std::vector<std::string> otherClients;  // glob patterns of application names or users whose sessions may be ended
  std::vector<std::string> extensions;    // further extensions the admin may create; those of live always may be
};

// BadInput (reason BadTask): not JSON, another version, a field of another type, a name that cannot be a database's.
// Unknown fields are ignored.
Result<Task> decodeTask(const std::string& json);
// The token even of a task that cannot be meant, so that its refusal is known to be an answer to it; empty if there is
// none.
std::string tokenOf(const std::string& json);

}  // namespace rollback::mover
