// scan: what backups are in a repository, newest first, without reading their data. One folder that cannot be read, is
// damaged or hostile is an entry that says so, never the end of the scan. Bounded in folders, time and size of the
// answer: what was left out is said.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "mover/backup_folder.h"
#include "mover/outcome.h"
#include "mover/verbs.h"

namespace rollback::mover {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestResult = 3u << 20;
constexpr std::size_t kMostMissing = 8, kMostImages = 16, kMostStores = 8, kLongest = 300;

std::string clipped(std::string text) {
  if (text.size() <= kLongest) return text;
  std::size_t keep = kLongest;
  while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xC0) == 0x80) --keep;
  return text.substr(0, keep) + "…";
}

json described(const BackupSurvey& surveyed) {
  const auto& folder = surveyed.folder;
  const auto& manifest = folder.manifest;
  json out = {{"path", folder.path}, {"sizeBytes", folder.bytes}};
  const auto put = [&](const char* name, const std::string& value) {
    if (!value.empty()) out[name] = clipped(value);
  };
  if (surveyed.problem) {
    out["code"] = codeOf(*surveyed.problem);
    put("message", surveyed.problem->message);
    // What a damaged folder says of itself is not passed on; a script's is all there is of it.
    if (surveyed.problem->reason != "BackupUnverified") return out;
  }
  out["manifestVersion"] = manifest.manifestVersion;
  put("framework", manifest.framework);
  put("digest", folder.digest);
  put("version", manifest.currentVersion);
  put("createdAt", manifest.createdAt.empty() ? instantOf(manifest.timestamp) : manifest.createdAt);
  if (manifest.unsettled) out["unsettled"] = true;
  if (manifest.manifestVersion < 2) {
    out["missing"] = json::array();
    for (const auto& what : missingOf(folder))
      if (out["missing"].size() < kMostMissing) out["missing"].push_back(clipped(what));
    return out;
  }
  std::optional<WallTime> taken;  // its oldest store: what was written since then is not in all of it
  for (const auto& store : manifest.stores) {
    if (!isRestorable(store) || out["restores"].size() >= kMostStores) continue;
    if (WallTime instant{}; parseTime(store.snapshotAt, instant) && (!taken || instant < *taken)) taken = instant;
    out["restores"].push_back(store.name);
    out["schemas"].push_back({{"store", store.name},
                              {"count", store.schema.names.size()},
                              {"digest", store.schema.digest},
                              {"structureDigest", store.schema.structureDigest}});
  }
  if (taken) put("createdAt", formatTime(*taken));
  for (const auto& image : manifest.images)
    if (out["images"].size() < kMostImages)
      out["images"].push_back({{"component", image.component}, {"image", clipped(image.image)}});
  return out;
}

// "shop/shop-backup-20261124-030000": sorts by what comes after "-backup-".
std::string stampOf(const std::string& path) {
  const std::size_t at = path.rfind("-backup-");
  return at == std::string::npos ? std::string() : path.substr(at + 8);
}

}  // namespace

Outcome scan(const Task& task, Environment& env) {
  const Deadline deadline = Deadline::after(env.clock, std::chrono::seconds(task.scan.seconds));
  auto frameworks = env.repository.list("");
  if (!frameworks) return refused(frameworks.error());
  std::vector<std::string> paths;
  json unreadable = json::array();
  for (const auto& framework : *frameworks) {
    if (framework.kind != FileEntry::Kind::Folder || framework.path[0] == '.') continue;
    auto folders = env.repository.list(framework.path);
    if (!folders) {
      unreadable.push_back(clipped(framework.path));
      continue;
    }
    const std::string prefix = framework.path + "-backup-";
    for (const auto& folder : *folders)
      if (folder.kind != FileEntry::Kind::File && folder.path.compare(0, prefix.size(), prefix) == 0)
        paths.push_back(framework.path + "/" + folder.path);
  }
  std::sort(paths.begin(), paths.end(), [](const std::string& a, const std::string& b) {
    const std::string left = stampOf(a), right = stampOf(b);
    return left != right ? left > right : a < b;
  });
  std::string list;
  std::size_t described_ = 0;
  for (const auto& path : paths) {
    if (env.stop.requested()) return refused(problem(ErrorCode::Cancelled, "Cancelled", "asked to end"));
    if (described_ >= static_cast<std::size_t>(task.scan.most) || deadline.expired(env.clock)) break;
    env.progress.report(described_, paths.size(), "folders", "looking at " + path);
    const std::string item =
        described(surveyBackup(env.repository, path)).dump(-1, ' ', false, json::error_handler_t::replace);
    if (list.size() + item.size() > kLargestResult) break;
    list += (list.empty() ? "" : ",") + item;
    ++described_;
  }
  return succeeded("{\"found\":" + std::to_string(paths.size()) +
                   ",\"complete\":" + (described_ == paths.size() && unreadable.empty() ? "true" : "false") +
                   ",\"unreadable\":" + unreadable.dump(-1, ' ', false, json::error_handler_t::replace) +
                   ",\"folders\":[" + list + "]}");
}

}  // namespace rollback::mover
