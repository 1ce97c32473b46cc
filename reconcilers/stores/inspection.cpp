#include "stores/inspection.h"

#include <nlohmann/json.hpp>

namespace rollback::reconcilers {
namespace {

using nlohmann::json;

Error malformed(const char* what) {
  return Error{ErrorCode::Protocol, std::string("the mover's ") + what + " result is not what docs/mover.md says"};
}

// Absent or of another type: the default. The mover is ours; what matters is checked by the callers below.
std::string text(const json& at, const char* name) {
  return at.is_object() && at.contains(name) && at[name].is_string() ? at[name].get<std::string>() : std::string();
}
std::int64_t integer(const json& at, const char* name) {
  return at.is_object() && at.contains(name) && at[name].is_number_integer() ? at[name].get<std::int64_t>() : 0;
}
bool flag(const json& at, const char* name) {
  return at.is_object() && at.contains(name) && at[name].is_boolean() && at[name].get<bool>();
}
const json& child(const json& at, const char* name) {
  static const json none;
  return at.is_object() && at.contains(name) ? at[name] : none;
}

api::SchemaLevel schemaLevel(const json& at) {
  api::SchemaLevel level;
  level.count = integer(at, "count");
  level.digest = text(at, "digest");
  level.structureDigest = text(at, "structureDigest");
  level.unknownReason = text(at, "reason");
  if (text(at, "state") == "Unknown") level.digest.clear();
  if (level.digest.empty() && level.unknownReason.empty()) level.unknownReason = "not reported";
  return level;
}

// Those of a manifest were counted; of live the mover says which were.
std::vector<Inspection::Table> tables(const json& at, bool counted) {
  std::vector<Inspection::Table> out;
  for (const auto& table : at)
    if (table.is_object())
      out.push_back({text(table, "name"), integer(table, "rows"), counted || flag(table, "exact")});
  return out;
}

std::vector<std::pair<std::string, std::string>> images(const json& at) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& image : at) {
    if (!image.is_object()) continue;
    // A digest is used only where the runtime reported one that a registry can serve (repo@sha256:…).
    const std::string id = text(image, "imageID");
    const std::string name = text(image, "image");
    const bool pullable = id.find("@sha256:") != std::string::npos && id.compare(0, 7, "sha256:") != 0 &&
                          name.find('@') == std::string::npos;
    out.emplace_back(text(image, "component"), pullable ? name + id.substr(id.find('@')) : name);
  }
  return out;
}

std::vector<std::string> texts(const json& at) {
  std::vector<std::string> out;
  for (const auto& item : at)
    if (item.is_string()) out.push_back(item.get<std::string>());
  return out;
}

json parse(const std::string& document) { return json::parse(document, nullptr, false); }

std::vector<DatabaseSeen> databasesSeen(const json& list) {
  std::vector<DatabaseSeen> out;
  for (const auto& d : list)
    out.push_back({text(d, "name"), static_cast<std::uint32_t>(integer(d, "oid")), flag(d, "allowConnections")});
  return out;
}

}  // namespace

Result<Inspection> decodeInspection(const std::string& document, const std::string& storeName) {
  const json doc = parse(document);
  if (!doc.is_object() || !doc.contains("live")) return malformed("inspect");
  Inspection out;
  out.serverVersion = text(child(doc, "server"), "version");
  out.systemIdentifier = text(child(doc, "server"), "systemIdentifier");
  const json& live = child(doc, "live");
  out.liveName = text(live, "name");
  out.liveOid = static_cast<std::uint32_t>(integer(live, "oid"));
  out.liveBytes = integer(live, "sizeBytes");
  out.liveSchema = schemaLevel(child(live, "schema"));
  out.tables = tables(child(live, "tables"), false);
  const json& space = child(doc, "space");
  out.spaceKnown = flag(space, "known");
  out.spaceRequired = integer(space, "required");
  out.spaceAvailable = integer(space, "available");
  out.spaceReserve = integer(space, "reserve");
  for (const auto& b : child(doc, "blockers")) out.blockers.push_back({text(b, "code"), text(b, "message")});
  for (const auto& s : child(doc, "sessions"))
    out.sessions.push_back(
        {text(s, "user"), text(s, "application"), text(s, "address"), static_cast<int>(integer(s, "count"))});
  out.databases = databasesSeen(child(doc, "databases"));
  for (const auto& k : child(doc, "keys")) out.keys.push_back({text(k, "name"), text(k, "state"), text(k, "reason")});
  if (doc.contains("backup") && doc["backup"].is_object()) {
    const json& b = doc["backup"];
    Inspection::Backup backup;
    backup.found = flag(b, "found");
    backup.complete = flag(b, "complete");
    backup.digest = text(b, "digest");
    backup.sizeBytes = integer(b, "sizeBytes");
    backup.schemaRelation = text(b, "schemaRelation");
    for (const auto& name : child(b, "missing"))
      if (name.is_string()) backup.missing.push_back(name.get<std::string>());
    const json& manifest = child(b, "manifest");
    backup.version = text(manifest, "current_version");
    backup.framework = text(manifest, "framework");
    backup.createdAt = text(manifest, "createdAt");
    backup.unsettled = flag(manifest, "unsettled");
    backup.images = images(child(manifest, "images"));
    for (const auto& store : child(manifest, "stores")) {
      if (!storeName.empty() && text(store, "name") != storeName) continue;
      backup.schema = schemaLevel(child(store, "schema"));
      backup.tables = tables(child(store, "tables"), true);
      break;
    }
    out.backup = std::move(backup);
  }
  if (out.liveOid == 0 || out.systemIdentifier.empty()) return malformed("inspect");
  return out;
}

Result<StageResult> decodeStageResult(const std::string& document) {
  const json doc = parse(document);
  StageResult out;
  out.stageOid = static_cast<std::uint32_t>(integer(doc, "stageOid"));
  out.liveOid = static_cast<std::uint32_t>(integer(doc, "liveOid"));
  out.systemIdentifier = text(doc, "systemIdentifier");
  for (const auto& statement : child(doc, "afterStage"))
    out.afterStage += (out.afterStage.empty() ? "" : ", ") + text(statement, "name") + ": " +
                      std::to_string(integer(statement, "rows")) + " rows";
  if (out.stageOid == 0 || out.liveOid == 0 || out.systemIdentifier.empty()) return malformed("stage");
  return out;
}

Result<BackupResult> decodeBackupResult(const std::string& document) {
  const json doc = parse(document);
  BackupResult out;
  out.path = text(doc, "path");
  out.digest = text(doc, "digest");
  out.snapshotAt = text(doc, "snapshotAt");
  out.sizeBytes = integer(doc, "sizeBytes");
  out.unsettled = flag(doc, "unsettled");
  out.schema = schemaLevel(child(doc, "schema"));
  if (out.path.empty()) return malformed("backup");
  return out;
}

Result<CheckResult> decodeCheckResult(const std::string& document) {
  const json doc = parse(document);
  if (!doc.is_object()) return malformed("check");
  CheckResult out;
  for (const auto& h : child(doc, "health")) out.health.push_back({text(h, "name"), text(h, "message"), flag(h, "ok")});
  out.schema = schemaLevel(child(doc, "schema"));
  out.databases = databasesSeen(child(doc, "databases"));
  for (const auto& i : child(doc, "invariants")) {
    const json& value = child(i, "value");
    out.invariants.push_back(
        {text(i, "name"), value.is_string() ? value.get<std::string>() : value.dump(), flag(i, "ok")});
  }
  return out;
}

Result<SwitchBackResult> decodeSwitchBackResult(const std::string& document) {
  const json doc = parse(document);
  SwitchBackResult out;
  out.liveOid = static_cast<std::uint32_t>(integer(doc, "liveOid"));
  out.revertedOid = static_cast<std::uint32_t>(integer(doc, "revertedOid"));
  if (out.liveOid == 0) return malformed("switchback");
  return out;
}

Result<VerifyResult> decodeVerifyResult(const std::string& document) {
  const json doc = parse(document);
  VerifyResult out;
  out.digest = text(doc, "digest");
  out.bytes = integer(doc, "bytes");
  out.manifestVersion = static_cast<int>(integer(child(doc, "manifest"), "manifestVersion"));
  const json& manifest = child(doc, "manifest");
  out.version = text(manifest, "current_version");
  if (out.version.empty()) out.version = text(manifest, "version");
  out.framework = text(manifest, "framework");
  out.createdAt = text(manifest, "createdAt");
  out.unsettled = flag(manifest, "unsettled");
  out.images = images(child(manifest, "images"));
  for (const auto& store : child(manifest, "stores"))
    if (store.is_object()) out.schemas.push_back({text(store, "name"), schemaLevel(child(store, "schema"))});
  out.restores = texts(child(doc, "restores"));
  out.missing = texts(child(doc, "missing"));
  // Only a folder of a script has no checksums to make a digest of.
  if (out.digest.empty() && out.manifestVersion != 1) return malformed("verify");
  return out;
}

Result<ScanResult> decodeScanResult(const std::string& document) {
  const json doc = parse(document);
  if (!doc.is_object() || !child(doc, "folders").is_array()) return malformed("scan");
  ScanResult out;
  out.found = integer(doc, "found");
  out.complete = flag(doc, "complete");
  out.unreadable = texts(child(doc, "unreadable"));
  for (const auto& folder : doc["folders"]) {
    FoundBackup found;
    found.path = text(folder, "path");
    if (found.path.empty()) return malformed("scan");
    found.framework = text(folder, "framework");
    found.version = text(folder, "version");
    found.createdAt = text(folder, "createdAt");
    found.digest = text(folder, "digest");
    found.code = text(folder, "code");
    found.message = text(folder, "message");
    found.bytes = integer(folder, "sizeBytes");
    found.manifestVersion = static_cast<int>(integer(folder, "manifestVersion"));
    found.unsettled = flag(folder, "unsettled");
    found.restores = texts(child(folder, "restores"));
    found.missing = texts(child(folder, "missing"));
    for (const auto& level : child(folder, "schemas"))
      found.schemas.push_back({text(level, "store"), schemaLevel(level)});
    found.images = images(child(folder, "images"));
    out.folders.push_back(std::move(found));
  }
  return out;
}

}  // namespace rollback::reconcilers
