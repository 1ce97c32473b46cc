#include "mover/backup_folder.h"

#include <cctype>
#include <map>
#include <set>

#include "mover/digest.h"
#include "mover/outcome.h"

namespace rollback::mover {
namespace {

Error incomplete(const std::string& path, const std::string& what) {
  return problem(ErrorCode::BadInput, "BackupIncomplete",
                 "backup " + path + " is not complete: " + what + "; take another, or choose another");
}
Error damaged(const std::string& path, const std::string& what) {
  return problem(ErrorCode::BadInput, "BackupDamaged", "backup " + path + " is damaged: " + what + "; choose another");
}

Result<void> matchFiles(BackupFolder& backup) {
  std::map<std::string, const FileEntry*> present;
  for (const auto& entry : backup.entries) {
    if (entry.kind == FileEntry::Kind::Link || entry.kind == FileEntry::Kind::Other)
      return problem(ErrorCode::BadInput, "HostilePath",
                     "backup " + backup.path + " holds " + entry.path + ", a " +
                         (entry.kind == FileEntry::Kind::Link ? "symbolic link" : "device, pipe or socket") +
                         "; a backup is made of files and folders only");
    if (entry.kind == FileEntry::Kind::File) present[entry.path] = &entry;
  }
  for (const auto& [path, hex] : backup.sums)
    if (!present.count(path)) return incomplete(backup.path, path + " is missing");
  for (const auto& [path, entry] : present) {
    // pg_restore opens what the table of contents names, with or without .gz: a file nobody vouched for could be read.
    if (path != kSumsName && !backup.sums.count(path)) return damaged(backup.path, path + " is not in SHA256SUMS");
  }
  return {};
}

// What the manifest says of the files, against SHA256SUMS and the folder: a cut file is found without reading it.
Result<void> matchManifest(const BackupFolder& backup) {
  const auto& manifest = backup.manifest;
  const std::set<std::string> listed(manifest.files.begin(), manifest.files.end());
  for (const auto& path : listed)
    if (!backup.sums.count(path))
      return incomplete(backup.path, path + ", which its manifest lists, is not in SHA256SUMS");
  for (const auto& [path, hex] : backup.sums)
    if (path != kManifestName && !listed.count(path))
      return damaged(backup.path, path + " is in SHA256SUMS, but not in its manifest");
  for (const auto& entry : backup.entries) {
    const auto size = manifest.sizes.find(entry.path);
    if (entry.kind == FileEntry::Kind::File && size != manifest.sizes.end() && size->second != entry.size)
      return damaged(backup.path, entry.path + " has " + std::to_string(entry.size) + " bytes, its manifest says " +
                                      std::to_string(size->second));
  }
  return {};
}

Result<void> survey(Files& repository, BackupFolder& backup) {
  const std::string& path = backup.path;
  if (const std::string why = pathProblem(path); !why.empty())
    return problem(ErrorCode::BadInput, "HostilePath", "the path of the backup is refused: " + why);
  auto there = repository.exists(path);
  if (!there) return there.error();
  if (!*there)
    return problem(ErrorCode::NotFound, "BackupNotFound", "there is no folder " + path + " in the repository");
  auto entries = repository.walk(path);
  if (!entries) return entries.error();
  backup.entries = std::move(*entries);
  for (const auto& entry : backup.entries)
    if (entry.kind == FileEntry::Kind::File) backup.bytes += entry.size;

  auto manifest = repository.read(path + "/" + kManifestName, kLargestText);
  if (!manifest && manifest.error().code != ErrorCode::NotFound) return manifest.error();
  auto decoded = manifest ? decodeManifest(*manifest) : Result<Manifest>(manifest.error());
  // A manifest that nobody vouched for may say anything about itself; where sums exist they are asked first.
  if (decoded) backup.manifest = std::move(*decoded);
  auto sums = repository.read(path + "/" + kSumsName, kLargestText);
  if (!sums && sums.error().code != ErrorCode::NotFound) return sums.error();
  if (!manifest) return incomplete(path, "it has no " + std::string(kManifestName));
  if (!sums) {
    if (decoded && backup.manifest.manifestVersion < 2)
      return problem(ErrorCode::BadInput, "BackupUnverified",
                     "backup " + path +
                         " was made by a script, without checksums: nothing proves that it is whole, and nothing is "
                         "restored from it");
    return incomplete(path, "it has no SHA256SUMS, which is written last");
  }
  auto parsed = decodeSums(*sums);
  if (!parsed) return parsed.error();
  backup.sums = std::move(*parsed);
  backup.digest = contentDigest(*sums);
  if (auto ok = matchFiles(backup); !ok) return ok.error();
  const auto recorded = backup.sums.find(kManifestName);
  if (recorded == backup.sums.end() || recorded->second != sha256Hex(*manifest))
    return damaged(path, std::string(kManifestName) + " is not what SHA256SUMS says");
  if (!decoded) return decoded.error();
  if (backup.manifest.manifestVersion < 2) return {};
  return matchManifest(backup);
}

bool belongs(const std::string& file, const StoreRecord& store) {
  return file == store.catalogPath || file.compare(0, store.path.size() + 1, store.path + "/") == 0;
}

// Of another store, whose run reads it. What a wanted one has too is read, whatever the manifest says of the others.
bool isOthers(const BackupFolder& backup, const std::string& file, const StoreFilter& wanted) {
  bool others = false;
  for (const auto& store : backup.manifest.stores) {
    if (!belongs(file, store)) continue;
    if (wanted(store)) return false;
    others = true;
  }
  return others;
}

bool endsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

BackupSurvey surveyBackup(Files& repository, const std::string& path) {
  BackupSurvey out;
  out.folder.path = path;
  if (auto ok = survey(repository, out.folder); !ok) out.problem = ok.error();
  return out;
}

Result<BackupFolder> openBackup(Files& repository, const std::string& path) {
  auto surveyed = surveyBackup(repository, path);
  if (surveyed.problem) return *surveyed.problem;
  return std::move(surveyed.folder);
}

Result<void> hashBackup(Environment& env, const BackupFolder& backup, const StoreFilter& wanted, Deadline deadline) {
  std::uint64_t done = 0;
  bool late = false;
  for (const auto& [path, expected] : backup.sums) {
    if (isOthers(backup, path, wanted)) continue;
    Sha256 sum;
    auto read = env.repository.stream(backup.path + "/" + path, [&, &path = path](std::string_view bytes) {
      sum.update(bytes);
      done += bytes.size();
      env.progress.report(done, backup.bytes, "bytes", "checking " + path);
      late = deadline.expired(env.clock);
      return !late && !env.stop.requested();
    });
    if (late)
      return problem(ErrorCode::Timeout, "DeadlineExceeded",
                     "checking " + path + " of backup " + backup.path + " did not end within the deadline");
    if (!read) return read.error();
    if (sum.hex() != expected) return damaged(backup.path, path + " is not what SHA256SUMS says");
  }
  return {};
}

Result<void> sameAsOpened(Files& repository, const BackupFolder& backup) {
  auto now = repository.walk(backup.path);
  if (!now) return now.error();
  if (now->size() != backup.entries.size()) return damaged(backup.path, "files came or went while it was read");
  for (std::size_t i = 0; i < now->size(); ++i)
    if ((*now)[i].path != backup.entries[i].path || (*now)[i].stamp != backup.entries[i].stamp)
      return damaged(backup.path, (*now)[i].path + " was written while it was read");
  return {};
}

Result<void> expectDigest(const BackupFolder& backup, const std::string& expected) {
  if (!expected.empty() && backup.digest == expected) return {};
  return damaged(backup.path, "its digest is " + backup.digest + ", the plan was made for " +
                                  (expected.empty() ? "none" : expected));
}

Result<void> expectContent(const BackupFolder& backup, const Task::Backup& expected) {
  const auto& manifest = backup.manifest;
  if (!expected.framework.empty() && manifest.framework != expected.framework)
    return problem(ErrorCode::BadInput, "BackupOfAnotherFramework",
                   "backup " + backup.path + " is of framework " + manifest.framework + ", not " + expected.framework);
  if (!expected.version.empty() && manifest.currentVersion != expected.version)
    return problem(ErrorCode::BadInput, "BackupOfAnotherVersion",
                   "backup " + backup.path + " holds version " + manifest.currentVersion + ", not " + expected.version);
  return {};
}

bool isRestorable(const StoreRecord& record) {
  return record.driver == "postgres" && record.format == "pg_directory" && !record.path.empty();
}

std::vector<std::string> missingOf(const BackupFolder& backup) {
  std::vector<std::string> out;
  std::map<std::string, std::uint64_t> present;
  std::string dumps;
  for (const auto& entry : backup.entries) {
    if (entry.kind != FileEntry::Kind::File) continue;
    present[entry.path] = entry.size;
    for (const char* end : {".sql", ".sql.gz", ".dump", ".pgdump"})
      if (endsWith(entry.path, end)) dumps += (dumps.empty() ? "" : ", ") + entry.path;
  }
  if (dumps.empty())
    out.push_back("it holds no database dump");
  else
    out.push_back("nothing tells whether " + dumps +
                  " is whole or holds the framework's tables; a plain SQL dump would have to be run as it is, so it is "
                  "never staged");
  for (const auto& path : backup.manifest.files)
    if (!present.count(path)) out.push_back(path + ", which its manifest lists, is not there");
  for (const auto& [path, size] : present)
    if (size == 0) out.push_back(path + " is empty");
  if (!present.count(kSumsName)) out.push_back("it has no SHA256SUMS: nothing proves that its files are whole");
  out.push_back("it records no schema, images or keys");
  return out;
}

std::string instantOf(const std::string& stamp) {
  if (stamp.size() != 15 || stamp[8] != '-') return {};
  for (std::size_t at = 0; at < stamp.size(); ++at)
    if (at != 8 && !std::isdigit(static_cast<unsigned char>(stamp[at]))) return {};
  const std::string text = stamp.substr(0, 4) + "-" + stamp.substr(4, 2) + "-" + stamp.substr(6, 2) + "T" +
                           stamp.substr(9, 2) + ":" + stamp.substr(11, 2) + ":" + stamp.substr(13, 2) + "Z";
  WallTime time{};
  return parseTime(text, time) ? text : std::string();
}

Result<const StoreRecord*> storeOf(const BackupFolder& backup, const std::string& store) {
  const StoreRecord* record = backup.manifest.store(store);
  // A task that names no store means the only one.
  if (!record && store.empty() && backup.manifest.stores.size() == 1) record = &backup.manifest.stores.front();
  if (!record || !isRestorable(*record))
    return problem(ErrorCode::BadInput, "StoreMissing",
                   "backup " + backup.path + " holds no PostgreSQL dump of store \"" + store + "\"");
  return record;
}

}  // namespace rollback::mover
