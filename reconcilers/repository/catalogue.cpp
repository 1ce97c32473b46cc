#include "repository/catalogue.h"

#include <algorithm>
#include <map>

#include "api/digest.h"
#include "api/resources.h"
#include "backup/backup.h"
#include "common/conditions.h"
#include "common/status.h"

namespace rollback::reconcilers {
namespace {

bool isName(const std::string& text, std::size_t longest) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= longest && plain(text.front()) && plain(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return plain(c) || c == '-' || c == '.'; });
}

std::string frameworkOf(const std::string& path) { return path.substr(0, path.find('/')); }
std::string lastPart(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// "<framework>/<framework>-backup-…": what a scan looks for, and nothing else can be called gone because of one.
bool isScanned(const std::string& path) {
  const std::string framework = frameworkOf(path), prefix = framework + "/" + framework + "-backup-";
  return path.compare(0, prefix.size(), prefix) == 0 && path.find('/', framework.size() + 1) == std::string::npos;
}

const std::string& pathOf(const api::FrameworkBackup& backup) {
  return backup.spec.path.empty() ? backup.status.path : backup.spec.path;
}

bool fromScan(const api::FrameworkBackup& backup) {
  const auto origin = backup.meta.labels.find(api::kLabelOrigin);
  return origin != backup.meta.labels.end() && origin->second == api::kOriginScan;
}

struct Verdict {
  std::string phase, reason, message;
  bool ready = false, stalled = false;
};

class Catalogue {
 public:
  Catalogue(const RepositorySnapshot& snapshot, const ScanResult& scan, const std::string& scannedAt, std::size_t most)
      : in_(snapshot), scan_(scan), scannedAt_(scannedAt), most_(most) {
    for (const auto& backup : in_.backups) {
      taken_[backup.meta.name] = &backup;
      if (repositoryOf(backup) == in_.object.meta.name && !pathOf(backup).empty())
        entries_.emplace(pathOf(backup), &backup);
    }
  }

  CatalogueChanges changes() {
    for (const auto& folder : scan_.folders) {
      const auto [from, to] = entries_.equal_range(folder.path);
      for (auto at = from; at != to; ++at) seen(*at->second, folder);
      if (from == to) add(folder);
      if (from != to || isListable(folder)) {
        ++out_.listed;
        if (folder.code.empty() && !folder.restores.empty() && !folder.unsettled) ++out_.restorable;
      } else {
        ++out_.unlisted;
      }
    }
    if (scan_.complete) {
      std::map<std::string, bool> there;
      for (const auto& folder : scan_.folders) there[folder.path] = true;
      for (const auto& [path, backup] : entries_)
        if (!there.count(path) && isScanned(path)) gone(*backup);
    }
    return std::move(out_);
  }

 private:
  std::string repositoryOf(const api::FrameworkBackup& backup) const {
    if (!backup.spec.repositoryName.empty()) return backup.spec.repositoryName;
    const auto named = in_.frameworkRepository.find(backup.spec.frameworkName);
    return named == in_.frameworkRepository.end() ? std::string() : named->second;
  }

  static bool isListable(const FoundBackup& folder) {
    return isName(frameworkOf(folder.path), 63) && isName(lastPart(folder.path), 253) && folder.path.size() <= 512;
  }

  bool room() const { return out_.requests.size() < most_; }

  void add(const FoundBackup& folder) {
    if (!isListable(folder) || !room()) return;
    api::FrameworkBackup entry;
    const std::string& repository = in_.object.meta.name;
    const bool free = !taken_.count(lastPart(folder.path));
    entry.meta.name = entryName(repository, folder.path, free);
    if (!free && taken_.count(entry.meta.name)) return;  // somebody else's, under a name nobody else would give
    entry.meta.namespace_ = in_.object.meta.namespace_;
    entry.meta.labels = {{api::kLabelOrigin, api::kOriginScan},
                         {api::kLabelFramework, frameworkOf(folder.path)},
                         {api::kLabelManagedBy, api::kFieldManager}};
    entry.spec.frameworkName = frameworkOf(folder.path);
    entry.spec.repositoryName = repository;
    entry.spec.path = folder.path;
    taken_[entry.meta.name] = nullptr;
    out_.requests.push_back(
        kube::create(api::kFrameworkBackups, entry.meta.namespace_, api::encodeFrameworkBackup(entry)));
  }

  void seen(const api::FrameworkBackup& entry, const FoundBackup& folder) {
    if (entry.meta.deleting()) return;
    const std::string& phase = entry.status.phase;
    if (isMereListing(entry)) {
      list(entry, folder);
    } else if (phase == "Missing") {
      api::FrameworkBackup draft = entry;
      if (!folder.code.empty() || folder.digest != entry.status.digest) return say(draft, changed(entry, folder));
      const bool fit = !entry.status.verifiedAt.empty() && !entry.status.unsettled;
      say(draft,
          {"Completed", fit ? "Completed" : "Unverified", "folder " + folder.path + " is there again", fit, !fit});
    } else if (phase == "Completed" && entry.status.manifestVersion != 1 && !entry.status.digest.empty() &&
               endedBefore(entry) && (!folder.code.empty() || folder.digest != entry.status.digest)) {
      api::FrameworkBackup draft = entry;
      say(draft, changed(entry, folder));
    }
  }

  // Only what had ended when the scan's Job was made, in a later second than its line, can have been seen as it is.
  bool endedBefore(const api::FrameworkBackup& entry) const {
    WallTime ended{}, began{};
    if (entry.status.completedAt.empty()) return true;
    return parseTime(entry.status.completedAt, ended) && parseTime(scannedAt_, began) && ended <= began;
  }

  static Verdict changed(const api::FrameworkBackup& entry, const FoundBackup& folder) {
    if (!folder.code.empty())
      return {"Failed", folder.code, "the folder is not what it was: " + folder.message, false, true};
    return {"Failed", "BackupChanged",
            "folder " + folder.path + " has digest " + folder.digest + ", it was listed with " + entry.status.digest +
                "; delete this entry to have the folder listed anew",
            false, true};
  }

  void list(const api::FrameworkBackup& entry, const FoundBackup& folder) {
    api::FrameworkBackup draft = entry;
    auto& status = draft.status;
    status = {};
    status.conditions = entry.status.conditions;
    status.path = folder.path;
    status.sizeBytes = folder.bytes;
    status.version = folder.version;
    status.createdAt = folder.createdAt;
    status.digest = folder.digest;
    status.manifestVersion = folder.manifestVersion;
    status.unsettled = folder.unsettled;
    status.schemas = folder.schemas;
    status.images = folder.images;
    status.missing = folder.missing;
    if (folder.code.empty()) status.restores = folder.restores;
    say(draft, verdict(folder));
  }

  static Verdict verdict(const FoundBackup& folder) {
    const std::string what = "folder " + folder.path;
    if (folder.manifestVersion == 1 && (folder.code.empty() || folder.code == "BackupUnverified"))
      return {"Listed", "Unverified",
              what +
                  " was made by a script and proves nothing, so no data is restored from it; a rollback may take the "
                  "version from it with spec.accept.unverifiedBackup: true. It lacks: " +
                  joined(folder.missing),
              false, true};
    if (!folder.code.empty()) return {"Listed", folder.code, folder.message, false, true};
    if (folder.framework != frameworkOf(folder.path))
      return {"Listed", "BackupOfAnotherFramework", what + " holds a backup of framework " + folder.framework, false,
              true};
    if (folder.unsettled)
      return {"Listed", "Unsettled", what + " was taken while version or schema changed: it is never a target", false,
              true};
    if (folder.restores.empty())
      return {"Listed", "StoreMissing", what + " holds no database dump that can be restored", false, true};
    return {"Listed", "Listed",
            what + " looks whole and was not read: a rollback that names it reads it first; the annotation " +
                std::string(api::kAnnotationVerify) + " has it read now",
            true, false};
  }

  static std::string joined(const std::vector<std::string>& list) {
    std::string out;
    for (const auto& item : list) out += (out.empty() ? "" : "; ") + item;
    return out.empty() ? "checksums" : out;
  }

  void gone(const api::FrameworkBackup& entry) {
    if (entry.meta.deleting() || entry.status.phase == "Missing") return remove(entry);
    const std::string& phase = entry.status.phase;
    const bool settled = isMereListing(entry) || phase == "Completed" || (phase == "Failed" && fromScan(entry));
    if (!settled || !endedBefore(entry)) return;
    if (fromScan(entry) && !in_.neededBackups.count(entry.meta.name)) return remove(entry);
    if (phase == "Failed") return;
    api::FrameworkBackup draft = entry;
    say(draft,
        {"Missing", "FolderMissing",
         "folder " + pathOf(entry) + " is not in BackupRepository " + in_.object.meta.name + " any more", false, true});
  }

  void remove(const api::FrameworkBackup& entry) {
    if (!fromScan(entry) || entry.meta.deleting() || in_.neededBackups.count(entry.meta.name) || !room()) return;
    out_.requests.push_back(kube::remove(api::kFrameworkBackups, entry.meta.namespace_, entry.meta.name, entry.meta.uid,
                                         entry.meta.resourceVersion));
  }

  void say(api::FrameworkBackup& draft, const Verdict& verdict) {
    auto& status = draft.status;
    status.phase = verdict.phase;
    status.message = verdict.message;
    status.observedGeneration = draft.meta.generation;
    const ConditionWriter write{status.conditions, in_.ns.now, draft.meta.generation};
    write.set("Ready", verdict.ready ? "True" : "False", verdict.reason, verdict.message);
    write.set("Reconciling", "False", verdict.reason, "");
    write.set("Stalled", verdict.stalled ? "True" : "False", verdict.reason, verdict.stalled ? verdict.message : "");
    if (!room()) return;
    auto update =
        statusWrite(api::kFrameworkBackups, *taken_.at(draft.meta.name), draft, api::encodeFrameworkBackupStatus);
    if (update) out_.requests.push_back(std::move(*update));
  }

  const RepositorySnapshot& in_;
  const ScanResult& scan_;
  const std::string& scannedAt_;
  const std::size_t most_;
  std::multimap<std::string, const api::FrameworkBackup*> entries_;  // of this repository, by path
  std::map<std::string, const api::FrameworkBackup*> taken_;         // names of the namespace
  CatalogueChanges out_;
};

}  // namespace

std::string entryName(const std::string& repository, const std::string& path, bool lastPartIsFree) {
  std::string name = lastPart(path);
  if (lastPartIsFree && isName(name, 63)) return name;
  const std::string tail = "-" + api::sha256Hex(repository + "\n" + path).substr(0, 8);
  if (name.size() > 63 - tail.size()) name.resize(63 - tail.size());
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name + tail;
}

CatalogueChanges catalogueChanges(const RepositorySnapshot& snapshot, const ScanResult& scan,
                                  const std::string& scannedAt, std::size_t most) {
  return Catalogue(snapshot, scan, scannedAt, most).changes();
}

}  // namespace rollback::reconcilers
