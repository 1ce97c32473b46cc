#include "api/backup.h"

#include <nlohmann/json.hpp>

#include "codec.h"

namespace rollback::api {
namespace {

using namespace codec;

std::optional<std::int64_t> optionalInteger(const json& at, const char* name) {
  const json& value = child(at, name);
  return value.is_number_integer() ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

}  // namespace

Result<BackupRepository> decodeBackupRepository(std::string_view document) {
  BackupRepository out;
  auto doc = object(document, kBackupRepositories, out.meta);
  if (!doc) return doc.error();
  const json& spec = child(*doc, "spec");
  out.spec.claimName = text(child(child(spec, "volume"), "persistentVolumeClaim"), "claimName");
  out.spec.path = text(spec, "path", "/");
  out.spec.scanInterval = text(spec, "scanInterval", "10m");
  const json& security = child(spec, "podSecurity");
  out.spec.podSecurity = {optionalInteger(security, "runAsUser"), optionalInteger(security, "runAsGroup"),
                          optionalInteger(security, "fsGroup")};
  const json& status = child(*doc, "status");
  out.status.observedGeneration = integer(status, "observedGeneration");
  if (const json& scan = child(status, "scan"); scan.is_object())
    out.status.scan = ScanRecord{text(scan, "startedAt"),     text(scan, "completedAt"), integer(scan, "generation"),
                                 text(scan, "request"),       integer(scan, "found"),    integer(scan, "listed"),
                                 integer(scan, "restorable"), flag(scan, "complete"),    text(scan, "message")};
  out.status.steps = steps(child(status, "steps"));
  out.status.conditions = conditions(child(status, "conditions"));
  return out;
}

std::string encodeBackupRepositoryStatus(const BackupRepository& repository) {
  json out = envelope(kBackupRepositories, repository.meta);
  json status = json::object();
  put(status, "observedGeneration", repository.status.observedGeneration);
  if (const auto& s = repository.status.scan) {
    json scan = {{"found", s->found}, {"listed", s->listed}, {"restorable", s->restorable}, {"complete", s->complete}};
    put(scan, "startedAt", s->startedAt);
    put(scan, "completedAt", s->completedAt);
    put(scan, "generation", s->generation);
    put(scan, "request", clip(s->request, 256));
    put(scan, "message", clip(s->message, 1024));
    status["scan"] = std::move(scan);
  }
  put(status, "steps", steps(repository.status.steps));
  put(status, "conditions", conditions(repository.status.conditions));
  out["status"] = std::move(status);
  return dump(out);
}

Result<FrameworkBackup> decodeFrameworkBackup(std::string_view document) {
  FrameworkBackup out;
  auto doc = object(document, kFrameworkBackups, out.meta);
  if (!doc) return doc.error();
  const json& spec = child(*doc, "spec");
  out.spec.frameworkName = text(child(spec, "frameworkRef"), "name");
  out.spec.repositoryName = text(child(spec, "repositoryRef"), "name");
  out.spec.reason = text(spec, "reason", "Manual");
  out.spec.path = text(spec, "path");
  out.spec.deletionPolicy = text(spec, "deletionPolicy", "Retain");
  const json& status = child(*doc, "status");
  out.status.observedGeneration = integer(status, "observedGeneration");
  out.status.phase = text(status, "phase");
  out.status.version = text(status, "version");
  out.status.path = text(status, "path");
  out.status.digest = text(status, "digest");
  out.status.sizeBytes = integer(status, "sizeBytes");
  out.status.createdAt = text(status, "createdAt");
  out.status.startedAt = text(status, "startedAt");
  out.status.completedAt = text(status, "completedAt");
  out.status.verifiedAt = text(child(status, "verified"), "at");
  out.status.verifiedLevel = text(child(status, "verified"), "level");
  out.status.unsettled = flag(status, "unsettled");
  out.status.manifestVersion = static_cast<int>(integer(status, "manifestVersion"));
  out.status.restores = texts(child(status, "restores"));
  out.status.missing = texts(child(status, "missing"));
  out.status.schemas = storeSchemas(child(status, "schemas"));
  out.status.images = images(child(status, "images"));
  out.status.steps = steps(child(status, "steps"));
  out.status.message = text(status, "message");
  out.status.conditions = conditions(child(status, "conditions"));
  return out;
}

std::string encodeFrameworkBackup(const FrameworkBackup& backup) {
  json out = envelope(kFrameworkBackups, backup.meta);
  out["metadata"].erase("uid");
  out["metadata"].erase("resourceVersion");
  put(out["metadata"], "labels", json(backup.meta.labels));
  json spec = {{"frameworkRef", {{"name", backup.spec.frameworkName}}},
               {"reason", backup.spec.reason},
               {"deletionPolicy", backup.spec.deletionPolicy}};
  if (!backup.spec.repositoryName.empty()) spec["repositoryRef"] = {{"name", backup.spec.repositoryName}};
  put(spec, "path", backup.spec.path);
  out["spec"] = std::move(spec);
  return dump(out);
}

std::string encodeFrameworkBackupStatus(const FrameworkBackup& backup) {
  json out = envelope(kFrameworkBackups, backup.meta);
  const FrameworkBackupStatus& s = backup.status;
  json status = json::object();
  put(status, "observedGeneration", s.observedGeneration);
  put(status, "phase", s.phase);
  put(status, "version", clip(s.version, 256));
  put(status, "path", s.path);
  put(status, "digest", s.digest);
  put(status, "sizeBytes", s.sizeBytes);
  put(status, "createdAt", s.createdAt);
  put(status, "startedAt", s.startedAt);
  put(status, "completedAt", s.completedAt);
  if (!s.verifiedAt.empty()) status["verified"] = {{"at", s.verifiedAt}, {"level", s.verifiedLevel}};
  put(status, "unsettled", s.unsettled);
  put(status, "manifestVersion", static_cast<std::int64_t>(s.manifestVersion));
  put(status, "restores", json(s.restores));
  json missing = json::array();
  for (const auto& what : s.missing) missing.push_back(clip(what, 512));
  put(status, "missing", std::move(missing));
  put(status, "schemas", storeSchemas(s.schemas));
  put(status, "images", images(s.images));
  put(status, "steps", steps(s.steps));
  put(status, "message", clip(s.message, 4096));
  put(status, "conditions", conditions(s.conditions));
  out["status"] = std::move(status);
  return dump(out);
}

}  // namespace rollback::api
