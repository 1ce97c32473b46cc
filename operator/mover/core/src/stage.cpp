// stage: a shadow database is made beside live, filled from the backup, compared with its manifest, and closed. The
// application serves all the while.
//
// CREATE DATABASE is the fence: whoever finds the attempt's name taken never restores into it. Everything that comes
// out of the archive runs in sessions logged in as the application's role, because SET ROLE under a superuser is undone
// by RESET ROLE; the admin makes the database, the extensions the live database has too, and the settings. What is
// restored is hashed before, and again after. What the class wants done to the rows (afterStage) comes after the
// comparison, and closing last: a copy on which it was run once is never run on again, as it is never filled twice.
//
// long for one file: it is one sequence of steps, each a few lines, and splitting it would hide their order.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "drop.h"
#include "laps.h"
#include "mover/after_stage.h"
#include "mover/archive.h"
#include "mover/backup_folder.h"
#include "mover/content.h"
#include "mover/database_settings.h"
#include "mover/names.h"
#include "mover/outcome.h"
#include "mover/quoting.h"
#include "mover/swap.h"
#include "mover/verbs.h"

namespace rollback::mover {
namespace {

Error notEqual(const std::string& what) {
  return problem(ErrorCode::Conflict, "NotEqual",
                 "the staged copy is not what the backup holds: " + what + "; live was not touched");
}

// The first line that only one side has.
std::string firstDifference(const std::vector<std::string>& wanted, const std::vector<std::string>& found) {
  std::vector<std::string> lost, added;
  std::set_difference(wanted.begin(), wanted.end(), found.begin(), found.end(), std::back_inserter(lost));
  std::set_difference(found.begin(), found.end(), wanted.begin(), wanted.end(), std::back_inserter(added));
  std::string out;
  if (!lost.empty()) out = "the backup has \"" + lost.front().substr(0, 300) + "\"";
  if (!added.empty())
    out += (out.empty() ? "" : ", ") + std::string("the copy has \"") + added.front().substr(0, 300) + "\"";
  return out;
}

class Stage {
 public:
  Stage(const Task& task, Environment& env)
      : task_(task),
        env_(env),
        deadline_(Deadline::after(env.clock, std::chrono::seconds(task.deadlineSeconds))),
        swap_(env, task),
        laps_(env.clock) {}

  Outcome run() {
    started_ = env_.clock.now();
    if (auto ok = prepare(); !ok) return refused(ok.error());
    if (auto ok = create(); !ok) return created_ ? failed(ok.error()) : refused(ok.error());
    if (auto ok = fill(); !ok) return failed(ok.error());
    if (auto ok = compare(); !ok) return failed(ok.error());
    if (auto ok = changeRows(); !ok) return failed(ok.error());
    if (auto ok = close(); !ok) return failed(ok.error());
    const auto took = std::chrono::duration_cast<std::chrono::seconds>(env_.clock.now() - started_);
    nlohmann::json result = {{"stageOid", stageOid_}, {"systemIdentifier", identity_.systemIdentifier},
                             {"liveOid", liveOid_},   {"rows", rows_},
                             {"bytes", bytes_},       {"seconds", took.count()},
                             {"phases", laps_.json()}};
    for (const auto& statement : touched_)
      result["afterStage"].push_back({{"name", statement.name}, {"rows", statement.rows}});
    return succeeded(result.dump());
  }

 private:
  const std::string& name() const { return task_.names.stage; }

  // ---- before anything is changed ----
  Result<void> prepare() {
    if (task_.expect.liveOid == 0 || stageAttempt(name(), task_.postgres.database, task_.id) == 0)
      return problem(ErrorCode::BadInput, "BadTask",
                     "staging needs expect.liveOid, and names.stage must be a shadow of " + task_.postgres.database +
                         " made for " + task_.id);
    if (isReserved(task_.postgres.database, task_.postgres.maintenanceDatabase))
      return problem(ErrorCode::BadInput, "ReservedDatabase",
                     "database " + task_.postgres.database + " is never renamed, so there is no use in staging it");
    auto backup = openBackup(env_.repository, task_.repositoryPath);
    if (!backup) return backup.error();
    backup_ = std::move(*backup);
    if (auto ok = expectDigest(backup_, task_.repositoryDigest); !ok) return ok;
    if (auto ok = expectContent(backup_, task_.backup); !ok) return ok;
    auto store = storeOf(backup_, task_.backup.store);
    if (!store) return store.error();
    store_ = *store;
    if (backup_.manifest.unsettled)
      return problem(ErrorCode::BadInput, "BackupUnsettled",
                     "backup " + backup_.path + " was taken while version or schema changed; choose another");
    if (auto ok = hashArchive(); !ok) return ok;
    laps_.lap("digest");
    if (auto ok = swap_.connect(deadline_); !ok) return ok;
    auto identity = serverIdentity(swap_.session(), deadline_);
    if (!identity) return identity.error();
    identity_ = *identity;
    auto seen = swap_.look();
    if (!seen) return seen.error();
    if (seen->live != Situation::Live::Original)
      return problem(ErrorCode::Conflict, "WrongDatabase",
                     "database " + task_.postgres.database + " is not the one the plan saw (OID " +
                         std::to_string(task_.expect.liveOid) + ")");
    liveOid_ = task_.expect.liveOid;
    if (seen->databases.count(name())) return exists();
    if (auto ok = requireStillWanted(*seen); !ok) return ok;
    if (auto ok = dropEarlierAttempts(*seen); !ok) return ok;
    if (auto ok = requireTools(); !ok) return ok;
    if (auto ok = requireRoles(); !ok) return ok;
    return requireSpace();
  }

  // The process of a lost node, whose pod was deleted by force, may come here when others have gone on long ago:
  // hashing a large archive takes minutes. What it made then nobody would use, or drop.
  Result<void> requireStillWanted(const Situation& seen) {
    const int mine = stageAttempt(name(), task_.postgres.database, task_.id);
    const std::string reverted = revertedName(task_.postgres.database, task_.id);
    for (const auto& [other, database] : seen.databases)
      if (other == reverted || stageAttempt(other, task_.postgres.database, task_.id) > mine)
        return problem(ErrorCode::Conflict, "Superseded",
                       "database " + other + " shows that others went on without this run; nothing was made");
    return {};
  }

  // A shadow that an attempt before this one left unfinished is of no use to anybody, and takes the space this one
  // needs. No pod of that attempt lives any more: the next one is made only then.
  Result<void> dropEarlierAttempts(const Situation& seen) {
    const int mine = stageAttempt(name(), task_.postgres.database, task_.id);
    for (const auto& [other, database] : seen.databases) {
      const int attempt = stageAttempt(other, task_.postgres.database, task_.id);
      if (attempt == 0 || attempt >= mine) continue;
      if (auto dropped = dropDatabase(swap_, task_, other, database.oid); !dropped) return dropped.error();
    }
    return {};
  }

  Error exists() const {
    return problem(
        ErrorCode::AlreadyExists, "StageExists",
        "database " + name() + " exists already: another run of this attempt made it; it is never restored into twice");
  }

  Result<void> requireTools() {
    auto tools = toolVersion(env_, "pg_restore", deadline_);
    if (!tools) return tools.error();
    if (majorOf(*tools) < identity_.versionNum / 10000 || majorOf(*tools) < majorOf(store_->toolsVersion))
      return problem(ErrorCode::BadInput, "ServerNewerThanTools",
                     "pg_restore is of version " + *tools + ", the server of " + identity_.version +
                         ", the backup of " + store_->toolsVersion);
    auto toc = readToc(env_, archive(), deadline_);
    if (!toc) return toc.error();
    toc_ = std::move(*toc);
    return {};
  }

  Result<void> requireRoles() {
    auto session = env_.database.open(task_.postgres.database, Login::App, {}, deadline_);
    if (!session) return session.error();
    std::vector<RoleRecord> roles = store_->roles;
    roles.push_back({store_->database.owner, true});
    auto missing = missingRoles(swap_.session(), roles, deadline_);
    if (!missing) return missing.error();
    if (!missing->empty())
      return problem(ErrorCode::NotFound, "RoleMissing",
                     "role \"" + missing->front() + "\", which the backup names, does not exist");
    auto foreign = rolesNotAssumed(**session, roles, deadline_);
    if (!foreign) return foreign.error();
    if (!foreign->empty())
      return problem(ErrorCode::Forbidden, "RoleMissing",
                     "objects of the backup belong to role \"" + foreign->front() + "\", which \"" +
                         env_.database.user(Login::App) + "\" cannot assume");
    auto live = extensions(**session, deadline_);
    if (!live) return live.error();
    for (const auto& extension : *live) allowedExtensions_.push_back(extension.name);
    allowedExtensions_.insert(allowedExtensions_.end(), task_.extensions.begin(), task_.extensions.end());
    return {};
  }

  Result<void> requireSpace() {
    if (!task_.postgres.spaceCheckRequired) return {};
    auto space = spaceFor(swap_.session(), store_->database.sizeBytes, task_.postgres.capacityBytes, deadline_);
    if (!space) return space.error();
    if (!space->known)
      return problem(ErrorCode::BadInput, "SpaceUnknown",
                     "it is not known whether the staged copy fits: " + space->reason);
    if (space->available < space->required)
      return problem(ErrorCode::BadInput, "NotEnoughSpace",
                     "the staged copy needs " + std::to_string(space->required) + " bytes on the server's volume, " +
                         std::to_string(space->available) + " are free");
    return {};
  }

  // Its session was idle while pg_restore ran, perhaps for hours.
  Result<void> maintenance() {
    if (swap_.connected() && swap_.look()) return {};
    return swap_.connect(deadline_);
  }

  // ---- the shadow ----
  Result<void> create() {
    if (env_.stop.requested())
      return problem(ErrorCode::Cancelled, "Cancelled", "asked to end before the shadow database was made");
    env_.progress.report(0, 0, "", "creating " + name());
    // Not bounded by a statement's time: copying template0 waits for a checkpoint.
    auto made = swap_.session().query(createStatement(store_->database, name(), identity_.versionNum), deadline_);
    if (!made && sqlState(made.error()) == "42P04") return exists();
    created_ = made || connectionLost(made.error());
    if (!made) return during("creating database " + name(), made.error());
    auto seen = swap_.look();
    if (!seen) return seen.error();
    const auto found = seen->databases.find(name());
    if (found == seen->databases.end())
      return problem(ErrorCode::Conflict, "StageMissing",
                     "database " + name() + " was dropped while it was being staged");
    stageOid_ = found->second.oid;
    // Nobody but its owner's members comes in until it is dressed.
    auto closed = swap_.query("revoke all on database " + identifier(name()) + " from public");
    if (!closed) return during("taking the public's privileges on " + name(), closed.error());
    return {};
  }

  std::string archive() const { return backup_.path + "/" + store_->path; }
  // Other stores' files are not read here.
  Result<void> hashArchive() {
    return hashBackup(
        env_, backup_, [&](const StoreRecord& store) { return store.name == store_->name; }, deadline_);
  }

  Result<void> fill() {
    if (auto ok = restore("schemas", [](const TocEntry& entry) { return isSchemaEntry(entry); }); !ok) return ok;
    if (auto ok = createExtensions(); !ok) return ok;
    if (auto ok = lendCreate(true); !ok) return ok;
    if (auto ok = restore("content", [](const TocEntry& entry) { return !isSchemaEntry(entry); }); !ok) return ok;
    if (auto ok = lendCreate(false); !ok) return ok;
    laps_.lap("restore");
    auto session = openShadow(Login::App);
    if (!session) return session.error();
    env_.progress.report(0, 0, "", "analyzing " + name());
    auto analyzed = (*session)->query("analyze", deadline_);
    if (!analyzed) return during("analyzing " + name(), analyzed.error());
    laps_.lap("analyze");
    auto statements = dressStatements(store_->database, name());
    if (!statements) return statements.error();
    if (auto ok = maintenance(); !ok) return ok;
    for (const auto& statement : *statements)
      if (auto ok = swap_.query(statement); !ok)
        return during("giving " + name() + " the settings of the backup's database", ok.error());
    return {};
  }

  Result<std::unique_ptr<Session>> openShadow(Login login) { return env_.database.open(name(), login, {}, deadline_); }

  template <typename Wanted>
  Result<void> restore(const std::string& part, Wanted wanted) {
    std::string list;
    for (const auto& entry : toc_)
      if (!isLeftOut(entry) && wanted(entry)) list += entry.line + "\n";
    if (list.empty()) return {};
    const std::string file = part + ".list";
    if (auto ok = env_.scratch.write(file, list); !ok) return ok;
    env_.progress.report(0, backup_.bytes, "bytes", "restoring " + part + " into " + name());
    Command command;
    command.database = name();
    // PGDATABASE names the database; an empty --dbname makes pg_restore connect without reading the name as a
    // connection string.
    command.argv = {"pg_restore",
                    "--dbname=",
                    "--exit-on-error",
                    "--no-password",
                    "--no-subscriptions",
                    "--jobs=" + std::to_string(task_.parallel),
                    "--use-list=" + env_.scratch.absolute(file),
                    env_.repository.absolute(archive())};
    auto exit = env_.process.run(
        command, [](std::string_view) { return true; }, deadline_);
    if (!exit) return during("restoring " + part, exit.error());
    if (exit->status != 0)
      return problem(ErrorCode::Conflict, "RestoreFailed",
                     "restoring into " + name() + " failed, live was not touched: " + errorLine(exit->errors));
    return {};
  }

  // Before anything of the archive but its schemas exists: an extension's script run by the admin finds nothing of a
  // stranger's.
  Result<void> createExtensions() {
    std::vector<ExtensionRecord> waiting = store_->database.extensions;
    auto app = openShadow(Login::App);
    if (!app) return app.error();
    auto present = extensions(**app, deadline_);
    if (!present) return present.error();
    waiting.erase(std::remove_if(waiting.begin(), waiting.end(),
                                 [&](const ExtensionRecord& wanted) {
                                   return std::any_of(
                                       present->begin(), present->end(),
                                       [&](const ExtensionRecord& there) { return there.name == wanted.name; });
                                 }),
                  waiting.end());
    std::unique_ptr<Session> admin;
    Error last;
    // One may require another: round by round until all are there.
    for (std::size_t before = waiting.size() + 1; !waiting.empty() && waiting.size() < before;) {
      before = waiting.size();
      std::vector<ExtensionRecord> left;
      for (const auto& extension : waiting) {
        auto made = createExtension(**app, extension);
        const bool allowed =
            std::find(allowedExtensions_.begin(), allowedExtensions_.end(), extension.name) != allowedExtensions_.end();
        if (!made && sqlState(made.error()) == "42501" && allowed) {
          if (!admin) {
            auto session = openShadow(Login::Admin);
            if (!session) return session.error();
            admin = std::move(*session);
          }
          made = createExtension(*admin, extension);
        }
        if (made) continue;
        if (connectionLost(made.error())) return made.error();
        last = during("creating extension " + extension.name, made.error());
        left.push_back(extension);
      }
      waiting = std::move(left);
    }
    if (waiting.empty()) return {};
    return problem(ErrorCode::Conflict, "ExtensionMissing",
                   last.message +
                       "; live was not touched. An extension that only a superuser may create must be installed in the "
                       "live database too");
  }

  Result<void> createExtension(Session& session, const ExtensionRecord& extension) {
    const std::string head = "create extension " + identifier(extension.name),
                      version = " version " + literal(extension.version);
    auto made = session.query(head + " with schema " + identifier(extension.schema) + version, deadline_);
    if (!made && sqlState(made.error()) == "3F000")
      made = session.query(head + version, deadline_);  // it brings its schema itself
    if (!made) return made.error();
    return {};
  }

  // A role can be given an object only where it may create; the schema's own privileges may not, or no longer, say so.
  // What is lent is taken back after the restore, and the comparison of privileges proves it.
  Result<void> lendCreate(bool lend) {
    auto app = openShadow(Login::App);
    if (!app) return app.error();
    if (lend) {
      std::string owners;
      for (const auto& role : store_->roles)
        if (role.owner) owners += (owners.empty() ? "" : ", ") + literal(role.name);
      if (owners.empty()) return {};
      auto rows = (*app)->query(
          "/* lend */ select n.nspname, r.rolname from pg_namespace n, pg_roles r where n.nspname !~ '^pg_' and "
          "n.nspname <> 'information_schema' and r.rolname in (" +
              owners + ") and not has_schema_privilege(r.oid, n.oid, 'create') and pg_has_role(n.nspowner, 'usage')",
          deadline_);
      if (!rows) return during("listing where owners may create", rows.error());
      for (const auto& row : *rows) lent_.push_back({text(row, 0), text(row, 1)});
    }
    for (const auto& [schema, role] : lent_) {
      auto done = (*app)->query((lend ? "grant create on schema " : "revoke create on schema ") + identifier(schema) +
                                    (lend ? " to " : " from ") + identifier(role),
                                deadline_);
      if (!done)
        return during("letting " + role + " create in schema " + schema + " for the time of the restore", done.error());
    }
    return {};
  }

  // ---- equality, checked once ----
  Result<void> compare() {
    auto session = openShadow(Login::App);  // a new one: the settings are in force now
    if (!session) return session.error();
    session_ = std::move(*session);
    if (auto ok = compareTables(); !ok) return ok;
    if (auto ok = compareSequences(); !ok) return ok;
    auto objects = largeObjects(*session_, deadline_);
    if (!objects) return objects.error();
    if (objects->count != store_->largeObjects || objects->hash != store_->largeObjectsHash)
      return notEqual("it has " + std::to_string(objects->count) + " large objects, the backup " +
                      std::to_string(store_->largeObjects) + ", or their content differs");
    if (auto ok = compareCatalog(); !ok) return ok;
    if (auto ok = compareAnswers(); !ok) return ok;
    session_.reset();
    laps_.lap("compare");
    // The hashes of before the restore are worth something only if nobody wrote in between.
    if (auto ok = hashArchive(); !ok) return ok;
    laps_.lap("digest");
    return sameAsOpened(env_.repository, backup_);
  }

  Result<void> compareTables() {
    auto tables = userTables(*session_, deadline_);
    if (!tables) return tables.error();
    auto found = countAndHash(env_, *session_, *tables, deadline_);
    if (!found) return found.error();
    for (const auto& wanted : store_->tables) {
      const auto same =
          std::find_if(found->begin(), found->end(), [&](const TableRecord& t) { return t.name == wanted.name; });
      if (same == found->end()) return notEqual("table " + wanted.name + " is missing");
      if (!(*same == wanted))
        return notEqual("table " + wanted.name + " has " + std::to_string(same->rows) + " rows, the backup " +
                        std::to_string(wanted.rows) + (same->rows == wanted.rows ? ", with other content" : ""));
    }
    if (found->size() != store_->tables.size())
      return notEqual("it has " + std::to_string(found->size()) + " tables, the backup " +
                      std::to_string(store_->tables.size()));
    for (const auto& table : *found) rows_ += table.rows;
    return {};
  }

  Result<void> compareSequences() {
    auto found = sequences(*session_, deadline_);
    if (!found) return found.error();
    for (const auto& wanted : store_->sequences)
      if (std::find(found->begin(), found->end(), wanted) == found->end())
        return notEqual("sequence " + wanted.name + " is not at " + std::to_string(wanted.lastValue));
    if (found->size() != store_->sequences.size())
      return notEqual("it has " + std::to_string(found->size()) + " sequences, the backup " +
                      std::to_string(store_->sequences.size()));
    auto behind = sequencesBehind(*session_, *found, deadline_);
    if (!behind) return behind.error();
    for (const auto& name : *behind)
      if (std::none_of(store_->sequences.begin(), store_->sequences.end(),
                       [&](const SequenceRecord& s) { return s.name == name && s.behind; }))
        return notEqual("sequence " + name + " is below the largest value of its column");
    return {};
  }

  Result<void> compareCatalog() {
    auto present = extensions(*session_, deadline_);
    if (!present) return present.error();
    extensions_ = std::move(*present);
    auto structure = structureLines(*session_, deadline_);
    if (!structure) return structure.error();
    auto owners = ownerLines(*session_, deadline_);
    if (!owners) return owners.error();
    if (linesDigest(*structure) != store_->schema.structureDigest)
      return notEqual("structure: " + catalogDifference(*structure, *owners));
    if (linesDigest(*owners) != store_->owners)
      return notEqual("owners or privileges: " + catalogDifference(*structure, *owners));
    return {};
  }

  std::string catalogDifference(const std::vector<std::string>& structure, const std::vector<std::string>& owners) {
    auto recorded = store_->catalogPath.empty()
                        ? Result<std::string>(Error{})
                        : env_.repository.read(backup_.path + "/" + store_->catalogPath, 256u << 20);
    if (!recorded) return "it differs";
    std::vector<std::string> wanted, found = structure;
    for (std::size_t at = 0, end; at < recorded->size() && (end = recorded->find('\n', at)) != std::string::npos;
         at = end + 1)
      wanted.push_back(recorded->substr(at, end - at));
    found.insert(found.end(), owners.begin(), owners.end());
    std::sort(wanted.begin(), wanted.end());
    std::sort(found.begin(), found.end());
    return firstDifference(wanted, found);
  }

  Result<void> compareAnswers() {
    // The query the backup was judged by may be another than the class's of now: only a recorded level binds.
    if (store_->schema.known() && !task_.schemaQuery.empty()) {
      auto schema = schemaLevel(*session_, task_.schemaQuery, deadline_);
      if (!schema) return schema.error();
      if (schema->digest != store_->schema.digest)
        return notEqual("schema: " + (schema->known() ? firstDifference(store_->schema.names, schema->names)
                                                      : schema->unknownReason));
    }
    auto answers = answerChecksAlone(*session_, task_.checks, deadline_);
    if (!answers) return answers.error();
    for (const auto& answer : *answers)
      for (const auto& wanted : store_->checks)
        if (wanted.name == answer.name && wanted.error.empty() &&
            (wanted.value != answer.value || !answer.error.empty()))
          return notEqual("check " + wanted.name + " answers " + (answer.error.empty() ? answer.value : answer.error) +
                          ", the backup recorded " + wanted.value);
    return {};
  }

  // ---- what the restored data would do a second time ----
  Result<void> changeRows() {
    if (task_.afterStage.empty()) return {};
    auto touched = runAfterStage(env_, name(), task_, deadline_);
    if (!touched) return touched.error();
    touched_ = std::move(*touched);
    laps_.lap("afterStage");
    return {};
  }

  // ---- the end ----
  Result<void> close() {
    if (auto ok = maintenance(); !ok) return ok;
    if (store_->database.connectionLimit != -1)
      if (auto ok = swap_.query(connectionLimitStatement(store_->database, name())); !ok)
        return during("limiting connections", ok.error());
    if (auto ok = swap_.setOpen(name(), stageOid_, false); !ok) return ok;
    if (auto ok = swap_.endSessions(stageOid_, name()); !ok) return ok;
    auto found = databaseRecord(swap_.session(), name(), deadline_);
    if (!found) return found.error();
    found->extensions = extensions_;
    bytes_ = found->sizeBytes;
    if (const std::string difference = databaseDifference(store_->database, *found); !difference.empty())
      return notEqual(difference);
    auto seen = swap_.look();
    if (!seen) return seen.error();
    const auto shadow = seen->databases.find(name());
    if (shadow == seen->databases.end() || shadow->second.oid != stageOid_ || shadow->second.allowConnections)
      return problem(ErrorCode::Conflict, "StageMissing",
                     "database " + name() + " was changed while it was being staged");
    return {};
  }

  const Task& task_;
  Environment& env_;
  Deadline deadline_;
  SwapSession swap_;
  Laps laps_;
  MonoTime started_;
  BackupFolder backup_;
  const StoreRecord* store_ = nullptr;
  ServerIdentity identity_;
  std::vector<TocEntry> toc_;
  std::vector<std::string> allowedExtensions_;
  std::vector<ExtensionRecord> extensions_;  // of the shadow, read while it can be entered
  std::vector<std::pair<std::string, std::string>> lent_;
  std::unique_ptr<Session> session_;
  Oid stageOid_ = 0, liveOid_ = 0;
  bool created_ = false;
  std::int64_t rows_ = 0, bytes_ = 0;  // rows_: as they were compared
  std::vector<StatementRows> touched_;
};

}  // namespace

Outcome stage(const Task& task, Environment& env) { return Stage(task, env).run(); }

}  // namespace rollback::mover
