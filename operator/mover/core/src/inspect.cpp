// inspect: everything a plan needs to know of a store, read only: identity, rights, schema, room, sessions; with a
// backup also whether it is whole, what its schema is to the live one, and whether this server could take it.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>

#include "mover/archive.h"
#include "mover/backup_folder.h"
#include "mover/content.h"
#include "mover/keys.h"
#include "mover/names.h"
#include "mover/outcome.h"
#include "mover/quoting.h"
#include "mover/row_counts.h"
#include "mover/server.h"
#include "mover/verbs.h"

namespace rollback::mover {
namespace {

using nlohmann::json;

class Inspection {
 public:
  Inspection(const Task& task, Environment& env)
      : task_(task), env_(env), deadline_(Deadline::after(env.clock, std::chrono::seconds(task.deadlineSeconds))) {}

  Outcome run() {
    if (auto ok = look(); !ok) return refused(ok.error());
    return succeeded(result_.dump(-1, ' ', false, json::error_handler_t::replace));
  }

 private:
  void block(const std::string& code, const std::string& message) {
    result_["blockers"].push_back({{"code", code}, {"message", message}});
  }

  Result<void> look() {
    result_["blockers"] = json::array();
    SessionOptions readOnly;
    readOnly.readOnly = true;
    auto app = env_.database.open(task_.postgres.database, Login::App, readOnly, deadline_);
    if (!app) return app.error();
    app_ = std::move(*app);
    auto admin = env_.database.open(task_.postgres.maintenanceDatabase, Login::Admin, readOnly, deadline_);
    if (!admin) return admin.error();
    admin_ = std::move(*admin);
    if (auto ok = lookAtServer(); !ok) return ok;
    if (auto ok = lookAtLive(); !ok) return ok;
    if (auto ok = lookAtRights(); !ok) return ok;
    if (auto ok = lookAtClients(); !ok) return ok;
    std::optional<BackupFolder> backup;
    if (!task_.repositoryPath.empty())
      if (auto ok = lookAtBackup(backup); !ok) return ok;
    result_["keys"] = json::array();
    for (const auto& key : compareKeys(env_, task_.keys, backup ? &backup->manifest : nullptr))
      result_["keys"].push_back({{"name", key.name}, {"state", key.state}, {"reason", key.reason}});
    return lookAtSpace(backup);
  }

  Result<void> lookAtServer() {
    auto identity = serverIdentity(*admin_, deadline_);
    if (!identity) return identity.error();
    identity_ = *identity;
    result_["server"] = {{"version", identity->version},
                         {"versionNum", identity->versionNum},
                         {"systemIdentifier", identity->systemIdentifier}};
    auto tools = toolVersion(env_, "pg_dump", deadline_);
    if (!tools) return tools.error();
    result_["tools"] = {{"version", *tools}, {"versionNum", majorOf(*tools) * 10000}};
    if (identity->versionNum / 10000 > majorOf(*tools))
      block("ServerNewerThanTools", "the server is PostgreSQL " + identity->version + ", the tools are of version " +
                                        *tools + "; name an image with newer tools in the store");
    return {};
  }

  Result<void> lookAtLive() {
    const std::string& name = task_.postgres.database;
    auto record = databaseRecord(*admin_, name, deadline_);
    if (!record) return record.error();
    live_ = *record;
    auto schema = schemaLevel(*app_, task_.schemaQuery, deadline_);
    if (!schema) return schema.error();
    schema_ = *schema;
    auto structure = structureLines(*app_, deadline_);
    if (!structure) return structure.error();
    schema_.structureDigest = linesDigest(*structure);
    auto tables = rowCounts(*app_, deadline_);
    if (!tables) return tables.error();
    auto databases = databasesSeen(*admin_, deadline_);
    if (!databases) return databases.error();
    json list = json::array(), ours = json::array();
    for (const auto& table : *tables)
      list.push_back({{"name", table.name}, {"rows", table.rows}, {"exact", table.exact}});
    for (const auto& [database, seen] : *databases)
      if (isKeptCopy(database, name))
        ours.push_back({{"name", database}, {"oid", seen.oid}, {"allowConnections", seen.allowConnections}});
    result_["databases"] = ours;
    result_["live"] = {{"name", name},
                       {"oid", live_.oid},
                       {"owner", live_.owner},
                       {"encoding", live_.encoding},
                       {"collate", live_.collate},
                       {"ctype", live_.ctype},
                       {"provider", live_.provider},
                       {"tablespace", live_.tablespace},
                       {"allowConnections", (*databases)[name].allowConnections},
                       {"sizeBytes", live_.sizeBytes},
                       {"schema",
                        {{"state", schema_.known() ? "Known" : "Unknown"},
                         {"reason", schema_.unknownReason},
                         {"count", schema_.names.size()},
                         {"digest", schema_.digest},
                         {"structureDigest", schema_.structureDigest},
                         {"names", schema_.names}}},
                       {"tables", list}};
    if (isReserved(name, task_.postgres.maintenanceDatabase))
      block("ReservedDatabase", "database " + name +
                                    " is never renamed: move the application to a database of its own" +
                                    (name == task_.postgres.maintenanceDatabase && name != "postgres"
                                         ? ", or name another maintenanceDatabase"
                                         : ""));
    return {};
  }

  Result<void> lookAtRights() {
    auto rights = roleRights(*admin_, task_.postgres.database, deadline_);
    if (!rights) return rights.error();
    const bool canRename = rights->superuser || (rights->createdb && rights->ownsDatabase);
    superuser_ = rights->superuser;
    createrole_ = rights->createrole;
    result_["role"] = {{"name", rights->name},
                       {"superuser", rights->superuser},
                       {"createdb", rights->createdb},
                       {"ownsLive", rights->ownsDatabase},
                       {"canRename", canRename}};
    if (!rights->superuser && !rights->createdb)
      block("MayNotCreateDatabase", "role " + rights->name +
                                        " may not create databases; as a superuser: alter role \"" + rights->name +
                                        "\" createdb, or give the store an adminSecretRef");
    if (!canRename)
      block("MayNotRename", "role " + rights->name + " may not rename database " + task_.postgres.database +
                                ", which belongs to " + live_.owner +
                                "; it must be that owner (or a member of it) and may create databases, "
                                "or the store needs an adminSecretRef");
    auto app = app_->query("/* superuser */ select rolsuper from pg_roles where rolname = current_user", deadline_);
    if (!app) return app.error();
    appSuperuser_ = !app->empty() && truth(app->at(0), 0);
    return {};
  }

  Result<void> lookAtClients() {
    auto found = obstacles(*admin_, task_.postgres.database, live_.oid, deadline_);
    if (!found) return found.error();
    for (const auto& obstacle : *found) block(obstacle.code, obstacle.message);
    auto clients = clientSessions(*admin_, live_.oid, deadline_);
    if (!clients) return clients.error();
    std::map<std::tuple<std::string, std::string, std::string>, int> counted;
    std::vector<ClientSession> foreign;
    for (const auto& client : *clients) {
      if (client.application == "rollback-mover") continue;
      ++counted[{client.user, client.application, client.address}];
      // The application's own role is the application, until it is stopped.
      if (client.user != env_.database.user(Login::App) && !mayBeEnded(client, task_.otherClients))
        foreign.push_back(client);
    }
    result_["sessions"] = json::array();
    for (const auto& [who, count] : counted)
      result_["sessions"].push_back({{"user", std::get<0>(who)},
                                     {"application", std::get<1>(who)},
                                     {"address", std::get<2>(who)},
                                     {"count", count}});
    if (auto ok = lookForOtherOwners(); !ok) return ok;
    if (!foreign.empty())
      block("ForeignSession",
            "database " + task_.postgres.database + " is used by others too: " + describe(foreign) +
                "; stop them, or have their sessions ended: stores[].postgres.otherClients: Terminate");
    return {};
  }

  // Whatever belongs to a role the application's cannot act for is somebody else's, and would go back with the rest.
  Result<void> lookForOtherOwners() {
    auto rows = app_->query(
        "/* owners */ select n.nspname, pg_get_userbyid(c.relowner), count(*) from pg_class c join pg_namespace n on "
        "n.oid = c.relnamespace where c.relkind in ('r', 'p', 'm', 'v', 'f', 'S') and c.relpersistence <> 't' and "
        "n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and not pg_has_role(c.relowner, 'usage') and not "
        "exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in "
        "('e', 'i')) group by 1, 2 order by 3 desc, 1, 2 limit 20",
        deadline_);
    if (!rows) return during("looking for objects of others", rows.error());
    if (rows->empty()) return {};
    const Row& first = rows->front();
    block("ForeignSchema",
          "database " + task_.postgres.database + " holds what is not the application's: " + text(first, 2) +
              " object(s) of role \"" + text(first, 1) + "\" in schema " + text(first, 0) +
              (rows->size() > 1 ? " and " + std::to_string(rows->size() - 1) + " more" : "") +
              "; they would go back with it. Move them to a database of their own, or, if they are the "
              "application's, as a superuser: grant \"" +
              text(first, 1) + "\" to \"" + env_.database.user(Login::App) + "\"");
    return {};
  }

  Result<void> lookAtBackup(std::optional<BackupFolder>& out) {
    json& at = result_["backup"];
    at = {{"found", false}, {"complete", false}, {"schemaRelation", "Unknown"}, {"missing", json::array()}};
    auto backup = openBackup(env_.repository, task_.repositoryPath);
    if (!backup) {
      const Error& error = backup.error();
      if (error.reason.empty()) return error;
      at["found"] = error.reason != "BackupNotFound";
      block(error.reason, error.message);
      return {};
    }
    at["found"] = true;
    at["complete"] = true;
    at["digest"] = backup->digest;
    at["sizeBytes"] = backup->bytes;
    at["manifest"] = json::parse(encodeManifestSummary(backup->manifest), nullptr, false);
    if (!task_.repositoryDigest.empty())
      if (auto ok = expectDigest(*backup, task_.repositoryDigest); !ok) block(ok.error().reason, ok.error().message);
    if (auto ok = expectContent(*backup, task_.backup); !ok) block(ok.error().reason, ok.error().message);
    auto store = storeOf(*backup, task_.backup.store);
    if (!store) {
      block(store.error().reason, store.error().message);
      return {};
    }
    compareSchema(at, (*store)->schema);
    if (auto ok = lookAtArchive(*backup, **store); !ok) return ok;
    out = std::move(*backup);
    return {};
  }

  void compareSchema(json& at, const SchemaLevel& recorded) {
    if (!recorded.known()) {
      if (!task_.schemaQuery.empty())
        block("SchemaUnknown", "the backup's schema is not known (" +
                                   (recorded.unknownReason.empty() ? "it was not recorded" : recorded.unknownReason) +
                                   "), so nothing proves which version it fits");
      return;
    }
    if (!schema_.known()) return;
    std::vector<std::string> missing;
    std::set_difference(schema_.names.begin(), schema_.names.end(), recorded.names.begin(), recorded.names.end(),
                        std::back_inserter(missing));
    at["missing"] = missing;
    if (schema_.names == recorded.names)
      at["schemaRelation"] = schema_.structureDigest == recorded.structureDigest ? "Equal" : "Different";
    else
      at["schemaRelation"] = missing.empty() ? "Subset" : "Different";
  }

  // What of the archive this server, with these roles, could not take.
  Result<void> lookAtArchive(const BackupFolder& backup, const StoreRecord& store) {
    if (store.serverVersionNum / 10000 > identity_.versionNum / 10000)
      block("ServerNewerThanTools", "the backup is of PostgreSQL " + store.serverVersion + ", the server is " +
                                        identity_.version + ": a dump is not restored into an older server");
    auto toc = readToc(env_, backup.path + "/" + store.path, deadline_);
    if (!toc) {
      if (toc.error().reason != "BackupDamaged") return toc.error();
      block("BackupDamaged", toc.error().message);
      return {};
    }
    if (!appSuperuser_)
      for (const auto& entry : *toc)
        if (needsSuperuser(entry)) {
          block("NeedsSuperuser", "the backup holds \"" + entry.tail +
                                      "\", which only a superuser can restore, and what an archive holds runs only as "
                                      "the application's role");
          break;
        }
    std::vector<RoleRecord> named = store.roles;
    named.push_back({store.database.owner, false});
    for (const auto& setting : store.database.settings) named.push_back({setting.role, false});
    auto missing = missingRoles(*admin_, named, deadline_);
    if (!missing) return missing.error();
    for (const auto& role : *missing)
      block("RoleMissing",
            "role \"" + role + "\", which the backup names, does not exist; create it: create role \"" + role + "\"");
    auto foreign = rolesNotAssumed(*app_, store.roles, deadline_);
    if (!foreign) return foreign.error();
    for (const auto& role : *foreign)
      if (std::find(missing->begin(), missing->end(), role) == missing->end())
        block("RoleMissing", "objects of the backup belong to role \"" + role + "\", which \"" +
                                 env_.database.user(Login::App) + "\" cannot assume; as a superuser: grant \"" + role +
                                 "\" to \"" + env_.database.user(Login::App) + "\"");
    const bool ownOnly = std::all_of(
        store.database.settings.begin(), store.database.settings.end(),
        [&](const SettingRecord& s) { return s.role.empty() || s.role == env_.database.user(Login::Admin); });
    if (!ownOnly && !superuser_ && !createrole_)
      block("MayNotSet", "the backup's database has settings for other roles, which \"" +
                             env_.database.user(Login::Admin) + "\" may not make; give the store an adminSecretRef");
    return lookAtExtensions(store);
  }

  Result<void> lookAtExtensions(const StoreRecord& store) {
    // Servers before 13 know no trusted extensions.
    auto rows = admin_->query(
        "/* available */ select name, version, superuser and not coalesce((to_jsonb(v) ->> 'trusted')::bool, false) "
        "from pg_available_extension_versions v",
        deadline_);
    if (!rows) return during("listing the extensions that could be created", rows.error());
    auto live = extensions(*app_, deadline_);
    if (!live) return live.error();
    std::set<std::string> allowed(task_.extensions.begin(), task_.extensions.end());
    for (const auto& extension : *live) allowed.insert(extension.name);
    std::map<std::pair<std::string, std::string>, bool> available;  // and whether only a superuser may create it
    for (const auto& row : *rows) available[{text(row, 0), text(row, 1)}] = truth(row, 2);
    for (const auto& extension : store.database.extensions) {
      const auto found = available.find({extension.name, extension.version});
      if (found == available.end())
        block("ExtensionMissing",
              "extension " + extension.name + " " + extension.version +
                  " of the backup is not available on this server; install it in the database's image");
      else if (found->second && !appSuperuser_ && !allowed.count(extension.name))
        block("ExtensionMissing", "extension " + extension.name +
                                      " of the backup may be created by a superuser only, and database " +
                                      task_.postgres.database +
                                      " does not have it; in it, as a superuser: create "
                                      "extension " +
                                      identifier(extension.name));
    }
    return {};
  }

  Result<void> lookAtSpace(const std::optional<BackupFolder>& backup) {
    std::int64_t bytes = live_.sizeBytes;
    if (backup)
      if (auto store = storeOf(*backup, task_.backup.store))
        bytes = std::max<std::int64_t>((*store)->database.sizeBytes, 0);
    auto space = spaceFor(*admin_, bytes, task_.postgres.capacityBytes, deadline_);
    if (!space) return space.error();
    result_["space"] = {{"required", space->required},
                        {"reserve", space->reserve},
                        {"available", space->available},
                        {"known", space->known}};
    if (!task_.postgres.spaceCheckRequired) return {};
    if (!space->known)
      block("SpaceUnknown", "it is not known whether the staged copy fits: " + space->reason);
    else if (space->available < space->required)
      block("NotEnoughSpace", "the staged copy needs " + std::to_string(space->required) +
                                  " bytes on the server's volume, " + std::to_string(space->available) +
                                  " are free; a full volume would stop the server");
    return {};
  }

  const Task& task_;
  Environment& env_;
  Deadline deadline_;
  std::unique_ptr<Session> app_, admin_;
  json result_ = json::object();
  ServerIdentity identity_;
  DatabaseRecord live_;
  SchemaLevel schema_;
  bool superuser_ = false, createrole_ = false, appSuperuser_ = false;
};

}  // namespace

Outcome inspect(const Task& task, Environment& env) { return Inspection(task, env).run(); }

}  // namespace rollback::mover
