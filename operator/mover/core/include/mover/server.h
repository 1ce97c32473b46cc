// The server and its databases, read from the maintenance database: identity, rights, sessions, what stands in the way.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "mover/environment.h"
#include "mover/manifest.h"
#include "mover/task.h"

namespace rollback::mover {

struct ServerIdentity {
  std::string version, systemIdentifier;
  int versionNum = 0;
};
Result<ServerIdentity> serverIdentity(Session& session, Deadline deadline);

struct DatabaseSeen {
  Oid oid = 0;
  bool allowConnections = false;
};
using DatabasesSeen = std::map<std::string, DatabaseSeen>;
// Name → OID of every database: what every step reads before it does anything, and again after.
Result<DatabasesSeen> databasesSeen(Session& session, Deadline deadline);

// Everything that makes the database itself (not its content): the backup records it, the shadow is made from it.
Result<DatabaseRecord> databaseRecord(Session& session, const std::string& name, Deadline deadline);

struct ClientSession {
  int pid = 0;
  std::string user, application, address;
};
// Clients connected to a database, without this session.
Result<std::vector<ClientSession>> clientSessions(Session& session, Oid database, Deadline deadline);
// Whether a session may be ended: `patterns` are globs (* and ?) for the application's name or the user.
bool mayBeEnded(const ClientSession& client, const std::vector<std::string>& patterns);
std::string describe(const std::vector<ClientSession>& clients);

struct Obstacle {
  std::string code, message;
};
// Prepared transactions, logical slots and subscriptions: each would block the rename, or be torn from its data by it.
Result<std::vector<Obstacle>> obstacles(Session& session, const std::string& name, Oid database, Deadline deadline);

struct RoleRights {
  std::string name;
  bool superuser = false, createdb = false, createrole = false, ownsDatabase = false;
};
Result<RoleRights> roleRights(Session& session, const std::string& database, Deadline deadline);

// Of the roles an archive names: those that do not exist, and owners that `login` does not inherit from.
Result<std::vector<std::string>> missingRoles(Session& session, const std::vector<RoleRecord>& roles,
                                              Deadline deadline);
Result<std::vector<std::string>> rolesNotAssumed(Session& appSession, const std::vector<RoleRecord>& roles,
                                                 Deadline deadline);

struct Space {
  bool known = false;
  std::int64_t required = 0, available = 0;
  std::int64_t reserve = 0;  // the part of `required` that several copies on one server need once
  std::string reason;
};
// Room for a shadow of `restoredBytes` on the server's volume: 1.3 × that + max_wal_size + 10 % of the capacity, kept
// copies counted as used. Never more than what is left of the declared capacity is believed; without one it is unknown.
Result<Space> spaceFor(Session& session, std::int64_t restoredBytes, std::int64_t capacityBytes, Deadline deadline);

}  // namespace rollback::mover
