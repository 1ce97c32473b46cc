#include "mover/server.h"

#include <algorithm>

#include "mover/content.h"
#include "mover/outcome.h"
#include "mover/quoting.h"

namespace rollback::mover {
namespace {

// fnmatch with * and ? only, over bytes.
bool glob(const char* pattern, const char* value) {
  for (; *pattern; ++pattern, ++value) {
    if (*pattern == '*') {
      while (*pattern == '*') ++pattern;
      for (;; ++value) {
        if (glob(pattern, value)) return true;
        if (!*value) return false;
      }
    }
    if (!*value || (*pattern != '?' && *pattern != *value)) return false;
  }
  return !*value;
}

// An array of the server as text would need its quoting undone: one row for each element instead.
Result<std::vector<std::string>> column(Session& session, const std::string& query, Deadline deadline) {
  auto rows = session.query(query, deadline);
  if (!rows) return rows.error();
  std::vector<std::string> out;
  for (const auto& row : *rows) out.push_back(text(row, 0));
  return out;
}

}  // namespace

Result<ServerIdentity> serverIdentity(Session& session, Deadline deadline) {
  auto rows = session.query(
      "/* identity */ select current_setting('server_version'), current_setting('server_version_num')::int, "
      "(select system_identifier from pg_control_system())",
      deadline);
  if (!rows) return during("reading the server's identity", rows.error());
  ServerIdentity out;
  out.version = text(rows->at(0), 0);
  out.version = out.version.substr(0, out.version.find(' '));  // "15.18 (Debian 15.18-0+deb12u1)"
  out.versionNum = static_cast<int>(number(rows->at(0), 1));
  out.systemIdentifier = text(rows->at(0), 2);
  return out;
}

Result<DatabasesSeen> databasesSeen(Session& session, Deadline deadline) {
  auto rows = session.query("/* probe */ select datname, oid, datallowconn from pg_database", deadline);
  if (!rows) return during("listing the databases", rows.error());
  DatabasesSeen out;
  for (const auto& row : *rows) out[text(row, 0)] = {static_cast<Oid>(number(row, 1)), truth(row, 2)};
  return out;
}

Result<DatabaseRecord> databaseRecord(Session& session, const std::string& name, Deadline deadline) {
  // Columns of other major versions are read through the row's JSON: PostgreSQL 15 brought the provider, 17 renamed the
  // ICU locale.
  auto rows = session.query(
      "/* database */ select d.oid, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, "
      "d.datctype, "
      "coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), coalesce(to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> "
      "'datlocale'), "
      "(select spcname from pg_tablespace t where t.oid = d.dattablespace), d.datconnlimit, d.datacl is null, "
      "shobj_description(d.oid, 'pg_database'), pg_database_size(d.oid) from pg_database d where d.datname = " +
          literal(name),
      deadline);
  if (!rows) return during("reading database " + name, rows.error());
  if (rows->empty())
    return problem(ErrorCode::NotFound, "DatabaseMissing", "there is no database " + name + " on this server");
  const Row& row = rows->front();
  DatabaseRecord out;
  out.name = name;
  out.oid = static_cast<Oid>(number(row, 0));
  out.owner = text(row, 1);
  out.encoding = text(row, 2);
  out.collate = text(row, 3);
  out.ctype = text(row, 4);
  out.provider = text(row, 5);
  out.icuLocale = text(row, 6);
  out.tablespace = text(row, 7);
  out.connectionLimit = static_cast<int>(number(row, 8));
  out.aclIsDefault = truth(row, 9);
  out.comment = text(row, 10);
  out.sizeBytes = number(row, 11);
  auto acl = column(session,
                    "/* database privileges */ select a::text from pg_database d, unnest(d.datacl) a where d.oid = " +
                        std::to_string(out.oid) + " order by 1",
                    deadline);
  if (!acl) return acl.error();
  out.acl = std::move(*acl);
  auto settings = session.query(
      "/* database settings */ select coalesce(r.rolname, ''), c from pg_db_role_setting s left join pg_roles r on "
      "r.oid = s.setrole, "
      "unnest(s.setconfig) c where s.setdatabase = " +
          std::to_string(out.oid) + " order by 1, 2",
      deadline);
  if (!settings) return settings.error();
  for (const auto& setting : *settings) {
    if (out.settings.empty() || out.settings.back().role != text(setting, 0))
      out.settings.push_back({text(setting, 0), {}});
    out.settings.back().config.push_back(text(setting, 1));
  }
  return out;
}

Result<std::vector<ClientSession>> clientSessions(Session& session, Oid database, Deadline deadline) {
  // A role without pg_read_all_stats is not told the type of other roles' backends; autovacuum, whom a rename ends by
  // itself, has no user.
  auto rows = session.query(
      "/* sessions */ select pid, coalesce(usename::text, ''), coalesce(application_name, ''), "
      "coalesce(host(client_addr), '') "
      "from pg_stat_activity where datid = " +
          std::to_string(database) +
          " and pid <> pg_backend_pid() and case when backend_type is null then usesysid is not null else backend_type "
          "<> 'autovacuum worker' end order by pid",
      deadline);
  if (!rows) return during("listing the sessions", rows.error());
  std::vector<ClientSession> out;
  for (const auto& row : *rows)
    out.push_back({static_cast<int>(number(row, 0)), text(row, 1), text(row, 2), text(row, 3)});
  return out;
}

bool mayBeEnded(const ClientSession& client, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return glob(pattern.c_str(), client.application.c_str()) || glob(pattern.c_str(), client.user.c_str());
  });
}

std::string describe(const std::vector<ClientSession>& clients) {
  std::string out;
  for (std::size_t i = 0; i < clients.size() && i < 3; ++i)
    out += (i ? ", " : "") + clients[i].user +
           (clients[i].application.empty() ? "" : " (" + clients[i].application + ")") +
           (clients[i].address.empty() ? "" : " from " + clients[i].address);
  if (clients.size() > 3) out += " and " + std::to_string(clients.size() - 3) + " more";
  return out;
}

Result<std::vector<Obstacle>> obstacles(Session& session, const std::string& name, Oid database, Deadline deadline) {
  std::vector<Obstacle> out;
  auto prepared = column(
      session,
      "/* prepared transactions */ select gid from pg_prepared_xacts where database = " + literal(name) + " order by 1",
      deadline);
  if (!prepared) return during("listing the prepared transactions", prepared.error());
  for (const auto& gid : *prepared)
    out.push_back({"PreparedTransaction",
                   "database " + name + " has the prepared transaction '" + gid +
                       "', which blocks renaming it; in that database: commit prepared or rollback prepared"});
  auto slots =
      column(session,
             "/* slots */ select slot_name from pg_replication_slots where database = " + literal(name) + " order by 1",
             deadline);
  if (!slots) return during("listing the replication slots", slots.error());
  for (const auto& slot : *slots)
    out.push_back({"ReplicationSlot", "database " + name + " has the logical replication slot " + slot +
                                          ", whose consumer would go on with the data that is put aside; "
                                          "end the consumer, then: select pg_drop_replication_slot('" +
                                          slot + "')"});
  auto subscriptions =
      column(session,
             "/* subscriptions */ select subname from pg_subscription where subdbid = " + std::to_string(database) +
                 " order by 1",
             deadline);
  if (!subscriptions) return during("listing the subscriptions", subscriptions.error());
  for (const auto& subscription : *subscriptions)
    out.push_back({"Subscription", "database " + name + " has the subscription " + subscription +
                                       ", which would go on writing into the data that is put aside; drop it"});
  return out;
}

Result<RoleRights> roleRights(Session& session, const std::string& database, Deadline deadline) {
  auto rows = session.query(
      "/* rights */ select current_user, r.rolsuper, r.rolcreatedb, r.rolcreaterole, coalesce((select "
      "pg_has_role(d.datdba, 'usage') from pg_database d "
      "where d.datname = " +
          literal(database) + "), false) from pg_roles r where r.rolname = current_user",
      deadline);
  if (!rows) return during("reading the role's rights", rows.error());
  RoleRights out;
  if (rows->empty()) return out;
  const Row& row = rows->front();
  out.name = text(row, 0);
  out.superuser = truth(row, 1);
  out.createdb = truth(row, 2);
  out.createrole = truth(row, 3);
  out.ownsDatabase = truth(row, 4);
  return out;
}

Result<std::vector<std::string>> missingRoles(Session& session, const std::vector<RoleRecord>& roles,
                                              Deadline deadline) {
  auto present = column(session, "/* roles present */ select rolname from pg_roles", deadline);
  if (!present) return during("listing the roles", present.error());
  std::sort(present->begin(), present->end());
  std::vector<std::string> out;
  for (const auto& role : roles)
    if (!role.name.empty() && !std::binary_search(present->begin(), present->end(), role.name))
      out.push_back(role.name);
  return out;
}

Result<std::vector<std::string>> rolesNotAssumed(Session& appSession, const std::vector<RoleRecord>& roles,
                                                 Deadline deadline) {
  // USAGE: what the owner may, the login may without SET ROLE; pg_restore changes no role.
  auto assumed =
      column(appSession, "/* roles assumed */ select rolname from pg_roles where pg_has_role(oid, 'usage')", deadline);
  if (!assumed) return during("listing the roles that can be assumed", assumed.error());
  std::sort(assumed->begin(), assumed->end());
  std::vector<std::string> out;
  for (const auto& role : roles)
    if (role.owner && !std::binary_search(assumed->begin(), assumed->end(), role.name)) out.push_back(role.name);
  return out;
}

Result<Space> spaceFor(Session& session, std::int64_t restoredBytes, std::int64_t capacityBytes, Deadline deadline) {
  auto wal = session.query("/* wal */ select pg_size_bytes(current_setting('max_wal_size'))", deadline);
  if (!wal) return during("reading max_wal_size", wal.error());
  const std::int64_t maxWal = number(wal->at(0), 0);
  Space out;
  out.reserve = maxWal + capacityBytes / 10;
  out.required = restoredBytes + restoredBytes * 3 / 10 + out.reserve;
  if (capacityBytes <= 0) {
    out.reason = "the capacity of the server's volume is not declared (the store's capacity)";
    return out;
  }
  auto used = session.query("/* space */ select sum(pg_database_size(oid)) from pg_database", deadline);
  if (!used) {
    if (connectionLost(used.error())) return used.error();
    out.reason = "the size of the server's databases cannot be read: " + used.error().message;
    return out;
  }
  // The write-ahead log of now is counted as if it were full.
  out.available = std::max<std::int64_t>(0, capacityBytes - number(used->at(0), 0) - maxWal);
  out.known = true;
  return out;
}

}  // namespace rollback::mover
