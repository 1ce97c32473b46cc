// backup: a folder that proves itself. One session holds ACCESS SHARE on every table before its snapshot begins (a
// TRUNCATE or DDL after the snapshot would make pg_dump's tables empty without an error), exports the snapshot to
// pg_dump, and reads counts, hashes, checks and catalogs in it. The schema is read before and after: a change makes the
// backup unsettled. Written beside its name, SHA256SUMS last, then renamed.
//
// Of several stores each is taken by a run of its own, in the order the task names: all write into the same folder
// beside the name, each adds its store to the manifest there, and only the last makes a backup of it. Whoever fails
// takes the folder away: there is no backup of some of the stores.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "laps.h"
#include "mover/archive.h"
#include "mover/backup_folder.h"
#include "mover/content.h"
#include "mover/keys.h"
#include "mover/outcome.h"
#include "mover/server.h"
#include "mover/verbs.h"

namespace rollback::mover {
namespace {

constexpr int kSnapshotTries = 5;  // a table that appears between listing and locking
constexpr char kLockTimeout[] = "15s";

std::string timestampOf(const std::string& path) {
  // "<framework>-backup-YYYYMMDD-HHMMSS"
  return path.size() > 15 ? path.substr(path.size() - 15) : path;
}

class Backup {
 public:
  Backup(const Task& task, Environment& env)
      : task_(task),
        env_(env),
        deadline_(Deadline::after(env.clock, std::chrono::seconds(task.deadlineSeconds))),
        laps_(env.clock) {
    const std::size_t slash = task.repositoryPath.rfind('/');
    final_ = task.repositoryPath;
    part_ = slash == std::string::npos ? "." + final_ + ".part"
                                       : final_.substr(0, slash + 1) + "." + final_.substr(slash + 1) + ".part";
    store_.name = task.backup.store.empty() ? "database" : task.backup.store;
    store_.driver = "postgres";
    store_.format = "pg_directory";
    store_.path = "postgres/" + store_.name;
    store_.catalogPath = "postgres/" + store_.name + "-catalog.txt";
  }

  Outcome run() {
    if (auto ok = prepare(); !ok) {
      if (continued_) (void)env_.repository.removeTree(part_);
      return refused(ok.error());
    }
    if (auto ok = take(); !ok) {
      (void)env_.repository.removeTree(part_);
      return failed(ok.error());
    }
    return succeeded(result_);
  }

 private:
  Result<void> prepare() {
    for (const std::string* path : {&final_, &store_.path})
      if (const std::string why = pathProblem(*path); !why.empty())
        return problem(ErrorCode::BadInput, "HostilePath", "the path \"" + *path + "\" is refused: " + why);
    if (store_.name.find('/') != std::string::npos)
      return problem(ErrorCode::BadInput, "HostilePath", "a store's name holds no slash");
    auto taken = env_.repository.exists(final_);
    if (!taken) return taken.error();
    if (*taken)
      return problem(ErrorCode::AlreadyExists, "BackupExists",
                     "there is a folder " + final_ + " in the repository already");
    if (auto ok = goOn(); !ok) return ok;
    startedAt_ = env_.clock.wall();
    auto session = env_.database.open(task_.postgres.database, Login::App, {}, deadline_);
    if (!session) return session.error();
    session_ = std::move(*session);
    auto identity = serverIdentity(*session_, deadline_);
    if (!identity) return identity.error();
    auto tools = toolVersion(env_, "pg_dump", deadline_);
    if (!tools) return tools.error();
    if (identity->versionNum / 10000 > majorOf(*tools))
      return problem(ErrorCode::BadInput, "ServerNewerThanTools",
                     "the server is PostgreSQL " + identity->version + ", pg_dump is of version " + *tools +
                         "; name an image with newer tools in the store");
    store_.serverVersion = identity->version;
    store_.serverVersionNum = identity->versionNum;
    store_.systemIdentifier = identity->systemIdentifier;
    store_.toolsVersion = *tools;
    if (auto ok = readSchema(before_, false); !ok) return ok;
    return beginSnapshot();
  }

  // Which run of the backup this is, and what the runs before it wrote.
  Result<void> goOn() {
    const auto& all = task_.backup.stores;
    const auto mine = std::find(all.begin(), all.end(), store_.name);
    if (mine == all.end() && !all.empty())
      return problem(ErrorCode::BadInput, "BadTask", "store " + store_.name + " is not one of backup.stores");
    last_ = all.empty() || mine + 1 == all.end();
    if (all.empty() || mine == all.begin()) return {};
    const std::vector<std::string> before(all.begin(), mine);
    auto text = env_.repository.read(part_ + "/" + kManifestName, kLargestText);
    if (!text && text.error().code != ErrorCode::NotFound) return text.error();
    auto earlier = text ? decodeManifest(*text) : Result<Manifest>(Manifest{});
    if (!earlier) return earlier.error();
    std::vector<std::string> there;
    for (const auto& store : earlier->stores) there.push_back(store.name);
    if (there != before)
      return problem(ErrorCode::BadInput, "BackupIncomplete",
                     "the folder " + part_ + " does not hold exactly the stores that come before " + store_.name +
                         ": it was changed, or another backup was taken under this name");
    earlier_ = std::move(*earlier);
    continued_ = true;
    return {};
  }

  // Set and structure of the schema, in the snapshot or beside it.
  Result<void> readSchema(SchemaLevel& out, bool inSnapshot) {
    auto schema = inSnapshot ? schemaLevelInTransaction(*session_, task_.schemaQuery, deadline_)
                             : schemaLevel(*session_, task_.schemaQuery, deadline_);
    if (!schema) return schema.error();
    auto structure = structureLines(*session_, deadline_);
    if (!structure) return structure.error();
    out = *schema;
    out.structureDigest = linesDigest(*structure);
    if (inSnapshot) structure_ = std::move(*structure);
    return {};
  }

  Result<void> beginSnapshot() {
    for (int tries = 0; tries < kSnapshotTries; ++tries) {
      auto tables = userTables(*session_, deadline_);
      if (!tables) return tables.error();
      std::string list;
      for (const auto& table : *tables) {
        if (!table.readable)
          return problem(ErrorCode::Forbidden, "MayNotRead",
                         "role " + env_.database.user(Login::App) + " may not read table " + table.name +
                             ", so a backup would not hold it; grant it select, or give the table's owner to it");
        list += (list.empty() ? "" : ", ") + std::string("only ") + table.name;
      }
      if (auto ok = session_->query("begin isolation level repeatable read read only", deadline_); !ok)
        return ok.error();
      if (auto ok = session_->query(std::string("set local lock_timeout to '") + kLockTimeout + "'", deadline_); !ok)
        return ok.error();
      // LOCK TABLE takes no snapshot: the first query after it does.
      Result<Rows> locked =
          list.empty() ? Result<Rows>(Rows{})
                       : session_->query("/* lock tables */ lock table " + list + " in access share mode", deadline_);
      if (locked) {
        auto again = userTables(*session_, deadline_);
        if (!again) return again.error();
        const bool same = std::equal(tables->begin(), tables->end(), again->begin(), again->end(),
                                     [](const UserTable& a, const UserTable& b) {
                                       return a.oid == b.oid && a.columns == b.columns && a.name == b.name;
                                     });
        if (same) {
          tables_ = std::move(*again);
          return {};
        }
      } else if (connectionLost(locked.error()) ||
                 (sqlState(locked.error()) != "42P01" && sqlState(locked.error()) != "55P03")) {
        return during("locking the tables against changes of their structure", locked.error());
      }
      if (auto ok = session_->query("rollback", deadline_); !ok) return ok.error();
    }
    return problem(
        ErrorCode::Conflict, "TablesBusy",
        "tables of " + task_.postgres.database +
            " are being created, changed or locked all the time (a migration runs?); try again when it is over");
  }

  Result<void> take() {
    auto exported = session_->query(
        "/* export */ select pg_export_snapshot(), case when pg_is_in_recovery() then '' else "
        "pg_current_wal_lsn()::text end",
        deadline_);
    if (!exported) return during("exporting the snapshot", exported.error());
    snapshotAt_ = env_.clock.wall();
    store_.snapshotAt = formatMicroTime(snapshotAt_);
    store_.lsn = text(exported->at(0), 1);
    if (!continued_)
      if (auto ok = env_.repository.removeTree(part_); !ok) return ok;  // of a run that died
    if (auto ok = env_.repository.makeFolders(part_ + "/postgres"); !ok) return ok;
    laps_.lap("prepare");
    if (auto ok = dump(text(exported->at(0), 0)); !ok) return ok;
    laps_.lap("dump");
    if (auto ok = record(); !ok) return ok;
    if (auto ok = recordSequences(); !ok) return ok;
    laps_.lap("record");
    if (auto ok = session_->query("commit", deadline_); !ok) return ok.error();
    SchemaLevel after;
    if (auto ok = readSchema(after, false); !ok) return ok;
    const auto same = [](const SchemaLevel& a, const SchemaLevel& b) {
      return a.digest == b.digest && a.structureDigest == b.structureDigest;
    };
    unsettled_ = !same(before_, store_.schema) || !same(store_.schema, after);
    session_.reset();
    return finish();
  }

  Result<void> dump(const std::string& snapshot) {
    Command command;
    command.database = task_.postgres.database;
    command.argv = {"pg_dump",
                    "--format=directory",
                    "--jobs=" + std::to_string(task_.parallel),
                    "--file=" + env_.repository.absolute(part_ + "/" + store_.path),
                    "--snapshot=" + snapshot,
                    "--lock-wait-timeout=15000",
                    "--no-password",
                    "--no-subscriptions",
                    "--encoding=UTF8"};
    env_.progress.report(0, 0, "", "dumping " + task_.postgres.database);
    auto exit = env_.process.run(
        command, [](std::string_view) { return true; }, deadline_);
    if (!exit) return during("pg_dump of " + task_.postgres.database, exit.error());
    if (exit->status != 0)
      return problem(ErrorCode::Unavailable, "DumpFailed",
                     "pg_dump of " + task_.postgres.database + " ended with status " + std::to_string(exit->status) +
                         ": " + errorLine(exit->errors));
    return {};
  }

  // Everything that is compared later, in the dump's own snapshot.
  Result<void> record() {
    auto database = databaseRecord(*session_, task_.postgres.database, deadline_);
    if (!database) return database.error();
    store_.database = std::move(*database);
    auto extensionsFound = extensions(*session_, deadline_);
    if (!extensionsFound) return extensionsFound.error();
    store_.database.extensions = std::move(*extensionsFound);
    if (auto ok = readSchema(store_.schema, true); !ok) return ok;
    auto checks = answerChecks(*session_, task_.checks, deadline_);
    if (!checks) return checks.error();
    store_.checks = std::move(*checks);
    auto owners = ownerLines(*session_, deadline_);
    if (!owners) return owners.error();
    owners_ = std::move(*owners);
    store_.owners = linesDigest(owners_);
    auto roles = rolesUsed(*session_, deadline_);
    if (!roles) return roles.error();
    store_.roles = std::move(*roles);
    auto tables = countAndHash(env_, *session_, tables_, deadline_);
    if (!tables) return tables.error();
    store_.tables = std::move(*tables);
    auto objects = largeObjects(*session_, deadline_);
    if (!objects) return objects.error();
    store_.largeObjects = objects->count;
    store_.largeObjectsHash = objects->hash;
    return {};
  }

  // From the archive: a sequence ignores the snapshot.
  Result<void> recordSequences() {
    auto values = readSequences(env_, part_ + "/" + store_.path, deadline_);
    if (!values) return values.error();
    store_.sequences = std::move(*values);
    auto behind = sequencesBehind(*session_, store_.sequences, deadline_);
    if (!behind) return behind.error();
    for (auto& sequence : store_.sequences)
      sequence.behind = std::find(behind->begin(), behind->end(), sequence.name) != behind->end();
    return {};
  }

  Result<void> finish() {
    std::string catalog;
    for (const auto* lines : {&structure_, &owners_})
      for (const auto& line : *lines) catalog += line + "\n";
    if (auto ok = env_.repository.write(part_ + "/" + store_.catalogPath, catalog); !ok) return ok;
    auto entries = env_.repository.walk(part_);
    if (!entries) return entries.error();
    Manifest manifest = describe(*entries);
    if (auto ok = env_.repository.write(part_ + "/" + kManifestName, encodeManifest(manifest)); !ok) return ok;
    if (!last_) return report("", 0);
    return seal();
  }

  // The marker that it is complete, and its name.
  Result<void> seal() {
    auto entries = env_.repository.walk(part_);
    if (!entries) return entries.error();
    Sums sums;
    std::uint64_t bytes = 0;
    for (const auto& entry : *entries) {
      if (entry.kind == FileEntry::Kind::Link || entry.kind == FileEntry::Kind::Other)
        return problem(ErrorCode::Internal, "HostilePath",
                       "the backup's folder holds " + entry.path +
                           ", which is neither file nor folder: somebody else writes there");
      if (auto ok = env_.repository.sync(part_ + "/" + entry.path); !ok) return ok;
      if (entry.kind != FileEntry::Kind::File) continue;
      Sha256 sum;
      auto read = env_.repository.stream(part_ + "/" + entry.path, [&](std::string_view piece) {
        sum.update(piece);
        bytes += piece.size();
        env_.progress.report(bytes, 0, "bytes", "hashing " + entry.path);
        return !env_.stop.requested();
      });
      if (!read) return read;
      sums[entry.path] = sum.hex();
    }
    const std::string text = encodeSums(sums);
    if (auto ok = env_.repository.write(part_ + "/" + kSumsName, text); !ok) return ok;
    if (auto ok = env_.repository.sync(part_); !ok) return ok;
    if (auto ok = env_.repository.rename(part_, final_); !ok) return ok;
    laps_.lap("seal");
    return report(contentDigest(text), bytes + text.size());
  }

  Result<void> report(const std::string& digest, std::uint64_t bytes) {
    result_ = nlohmann::json{{"path", final_},
                             {"digest", digest},
                             {"sizeBytes", bytes},
                             {"unsettled", unsettled_},
                             {"snapshotAt", formatTime(snapshotAt_)},
                             {"phases", laps_.json()},
                             {"schema",
                              {{"state", store_.schema.known() ? "Known" : "Unknown"},
                               {"reason", store_.schema.unknownReason},
                               {"count", store_.schema.names.size()},
                               {"digest", store_.schema.digest},
                               {"structureDigest", store_.schema.structureDigest}}}}
                  .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return {};
  }

  // What the runs before said stays: who began, when, and their stores.
  Manifest describe(const std::vector<FileEntry>& entries) {
    Manifest manifest = earlier_;
    manifest.files.clear();
    manifest.sizes.clear();
    manifest.timestamp = timestampOf(final_);
    manifest.framework = task_.backup.framework;
    manifest.currentVersion = task_.backup.version;
    manifest.backupType = task_.backup.reason == "PreUpgrade" ? "pre_upgrade"
                          : task_.backup.reason.empty()       ? "manual"
                                                              : task_.backup.reason;
    for (const auto& entry : entries)
      if (entry.kind == FileEntry::Kind::File && entry.path != kManifestName) {
        manifest.files.push_back(entry.path);
        manifest.sizes[entry.path] = entry.size;
      }
    if (!continued_) {
      manifest.id = toHex(env_.random.bytes(16));
      manifest.createdAt = formatTime(startedAt_);
    }
    manifest.completedAt = formatTime(env_.clock.wall());
    manifest.frameworkClass = task_.backup.frameworkClass;
    manifest.namespace_ = task_.backup.namespace_;
    manifest.images = task_.backup.images;
    manifest.unsettled = unsettled_ || manifest.unsettled;
    manifest.stores.push_back(store_);
    manifest.keys = fingerprintKeys(env_, task_.keys);
    return manifest;
  }

  const Task& task_;
  Environment& env_;
  Deadline deadline_;
  Laps laps_;
  std::string final_, part_;
  StoreRecord store_;
  Manifest earlier_;        // of the runs before this one
  bool continued_ = false;  // there were some
  bool last_ = true;
  SchemaLevel before_;
  std::unique_ptr<Session> session_;
  std::vector<UserTable> tables_;
  std::vector<std::string> structure_, owners_;
  WallTime startedAt_, snapshotAt_;
  bool unsettled_ = false;
  std::string result_;
};

}  // namespace

Outcome backup(const Task& task, Environment& env) { return Backup(task, env).run(); }

}  // namespace rollback::mover
