#include "mover/backup_folder.h"

#include <map>

#include "mover/digest.h"
#include "mover/outcome.h"

namespace rollback::mover {
namespace {

constexpr std::size_t kLargestText = 64u << 20;  // of manifest and SHA256SUMS

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
    backup.bytes += entry->size;
    // pg_restore opens what the table of contents names, with or without .gz: a file nobody vouched for could be read.
    if (path != kSumsName && !backup.sums.count(path)) return damaged(backup.path, path + " is not in SHA256SUMS");
  }
  return {};
}

}  // namespace

Result<BackupFolder> openBackup(Files& repository, const std::string& path) {
  BackupFolder backup;
  backup.path = path;
  if (const std::string why = pathProblem(path); !why.empty())
    return problem(ErrorCode::BadInput, "HostilePath", "the path of the backup is refused: " + why);
  auto there = repository.exists(path);
  if (!there) return there.error();
  if (!*there)
    return problem(ErrorCode::NotFound, "BackupNotFound", "there is no folder " + path + " in the repository");
  auto entries = repository.walk(path);
  if (!entries) return entries.error();
  backup.entries = std::move(*entries);

  auto sums = repository.read(path + "/" + kSumsName, kLargestText);
  if (!sums && sums.error().code != ErrorCode::NotFound) return sums.error();
  auto manifest = repository.read(path + "/" + kManifestName, kLargestText);
  if (!manifest && manifest.error().code != ErrorCode::NotFound) return manifest.error();
  if (!manifest) return incomplete(path, "it has no " + std::string(kManifestName));
  auto decoded = decodeManifest(*manifest);
  // A manifest that nobody vouched for may say anything about itself; where sums exist they are asked first.
  if (!sums) {
    if (decoded && decoded->manifestVersion < 2)
      return problem(ErrorCode::BadInput, "BackupUnverified",
                     "backup " + path +
                         " was made by a script, without checksums: nothing proves that it is whole; import it first");
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
  backup.manifest = std::move(*decoded);
  return backup;
}

Result<void> hashBackup(Environment& env, const BackupFolder& backup) {
  std::uint64_t done = 0;
  for (const auto& [path, expected] : backup.sums) {
    Sha256 sum;
    auto read = env.repository.stream(backup.path + "/" + path, [&](std::string_view bytes) {
      sum.update(bytes);
      done += bytes.size();
      env.progress.report(done, backup.bytes, "bytes", "checking " + path);
      return !env.stop.requested();
    });
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

Result<const StoreRecord*> storeOf(const BackupFolder& backup, const std::string& store) {
  const StoreRecord* record = backup.manifest.store(store);
  // A task that names no store means the only one.
  if (!record && store.empty() && backup.manifest.stores.size() == 1) record = &backup.manifest.stores.front();
  if (!record || record->driver != "postgres" || record->format != "pg_directory" || record->path.empty())
    return problem(ErrorCode::BadInput, "StoreMissing",
                   "backup " + backup.path + " holds no PostgreSQL dump of store \"" + store + "\"");
  return record;
}

}  // namespace rollback::mover
