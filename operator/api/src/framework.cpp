#include "api/framework.h"

#include <nlohmann/json.hpp>

#include "api/quantity.h"
#include "codec.h"

namespace rollback::api {
namespace {

using namespace codec;

SecretKeys secretKeys(const json& at) {
  return {text(at, "name"), text(at, "usernameKey", "username"), text(at, "passwordKey", "password")};
}

PostgresStore postgres(const json& at) {
  PostgresStore out;
  out.host = text(at, "host");
  out.directHost = text(at, "directHost");
  out.port = static_cast<int>(integer(at, "port", 5432));
  out.database = text(at, "database");
  out.maintenanceDatabase = text(at, "maintenanceDatabase", "postgres");
  out.credentials = secretKeys(child(at, "credentialsSecretRef"));
  if (child(at, "adminSecretRef").is_object()) out.admin = secretKeys(child(at, "adminSecretRef"));
  const json& tls = child(at, "tls");
  out.tlsMode = text(tls, "mode", "prefer");
  out.caSecretName = text(child(tls, "caSecretRef"), "name");
  out.caSecretKey = text(child(tls, "caSecretRef"), "key", "ca.crt");
  const json& tools = child(at, "tools");
  out.tools.workloadKind = text(child(tools, "workloadRef"), "kind");
  out.tools.workloadName = text(child(tools, "workloadRef"), "name");
  out.tools.container = text(tools, "container");
  out.tools.image = text(tools, "image");
  out.otherClients = text(at, "otherClients", "Refuse");
  const json& capacity = child(at, "capacity");
  if (capacity.is_number_integer()) out.capacityBytes = capacity.get<std::int64_t>();
  if (capacity.is_string())
    if (auto bytes = parseQuantity(capacity.get<std::string>())) out.capacityBytes = *bytes;
  return out;
}

RunningVersion runningVersion(const json& at) {
  return {text(at, "version"), images(child(at, "images")), storeSchemas(child(at, "schemas")),
          text(at, "healthySince"), text(at, "lastSeen")};
}
json runningVersion(const RunningVersion& v) {
  json out = {{"version", clip(v.version, 256)}, {"images", images(v.images)}};
  put(out, "schemas", storeSchemas(v.schemas));
  put(out, "healthySince", v.healthySince);
  put(out, "lastSeen", v.lastSeen);
  return out;
}

ActiveRollback activeRollback(const json& at) {
  ActiveRollback out{text(at, "name"),           text(at, "uid"), text(at, "token"), text(at, "since"), {}, {},
                     text(at, "keepPreviousFor")};
  const json& resume = child(at, "resume");
  for (const auto& c : child(resume, "components"))
    out.components.push_back({text(c, "name"), text(c, "workloadKind"), text(c, "workloadName"), text(c, "container"),
                              text(c, "image"), static_cast<int>(integer(c, "replicas")), text(c, "workloadUid")});
  for (const auto& s : child(resume, "stores"))
    out.stores.push_back({text(s, "store"), text(s, "database"), text(s, "systemIdentifier"),
                          static_cast<std::uint32_t>(integer(s, "liveOid")), text(s, "action"), text(s, "stageName"),
                          text(s, "prevName"), text(s, "revertedName"),
                          static_cast<std::uint32_t>(integer(s, "stageOid"))});
  return out;
}
json activeRollback(const ActiveRollback& active) {
  json components = json::array(), stores = json::array();
  for (const auto& c : active.components)
    components.push_back({{"name", c.name},
                          {"workloadKind", c.workloadKind},
                          {"workloadName", c.workloadName},
                          {"container", c.container},
                          {"image", c.image},
                          {"replicas", c.replicas},
                          {"workloadUid", c.workloadUid}});
  for (const auto& s : active.stores) {
    json store = {
        {"store", s.store}, {"database", s.database}, {"systemIdentifier", s.systemIdentifier}, {"liveOid", s.liveOid}};
    put(store, "action", s.action);
    put(store, "stageName", s.stageName);
    put(store, "prevName", s.prevName);
    put(store, "revertedName", s.revertedName);
    put(store, "stageOid", static_cast<std::int64_t>(s.stageOid));
    stores.push_back(std::move(store));
  }
  json out = {{"name", active.name},
              {"uid", active.uid},
              {"token", active.token},
              {"since", active.since},
              {"resume", {{"components", components}, {"stores", stores}}}};
  put(out, "keepPreviousFor", active.keepPreviousFor);
  return out;
}

}  // namespace

Result<Framework> decodeFramework(std::string_view document) {
  Framework out;
  auto doc = object(document, kFrameworks, out.meta);
  if (!doc) return doc.error();
  const json& spec = child(*doc, "spec");
  out.spec.className = text(child(spec, "classRef"), "name");
  for (const auto& c : child(spec, "components"))
    out.spec.components.push_back({text(c, "name"), text(child(c, "workloadRef"), "kind", "Deployment"),
                                   text(child(c, "workloadRef"), "name"), text(c, "container"),
                                   text(child(c, "serviceRef"), "name")});
  for (const auto& s : child(spec, "stores")) {
    Store store{text(s, "name"), std::nullopt};
    if (child(s, "postgres").is_object()) store.postgres = postgres(child(s, "postgres"));
    out.spec.stores.push_back(std::move(store));
  }
  out.spec.repositoryName = text(child(spec, "repositoryRef"), "name");
  const json& policy = child(spec, "policy");
  out.spec.policy.maxDataLoss = text(policy, "maxDataLoss", "24h");
  out.spec.policy.retainHistory = static_cast<int>(integer(policy, "retainHistory", 20));
  const json& job = child(spec, "jobTemplate");
  out.spec.jobTemplate.labels = textMap(child(job, "labels"));
  out.spec.jobTemplate.annotations = textMap(child(job, "annotations"));
  out.spec.jobTemplate.nodeSelector = textMap(child(job, "nodeSelector"));
  for (const auto& secret : child(job, "imagePullSecrets"))
    out.spec.jobTemplate.imagePullSecrets.push_back(text(secret, "name"));
  if (child(job, "tolerations").is_array()) out.spec.jobTemplate.tolerations = dump(child(job, "tolerations"));
  if (child(job, "resources").is_object()) out.spec.jobTemplate.resources = dump(child(job, "resources"));

  const json& status = child(*doc, "status");
  out.status.observedGeneration = integer(status, "observedGeneration");
  if (child(status, "running").is_object()) out.status.running = runningVersion(child(status, "running"));
  out.status.healthy = flag(status, "healthy");
  for (const auto& v : child(status, "history")) out.status.history.push_back(runningVersion(v));
  for (const auto& k : child(status, "kept"))
    out.status.kept.push_back({text(k, "store"), text(k, "name"), static_cast<std::uint32_t>(integer(k, "oid")),
                               text(k, "kind"), text(k, "of"), text(k, "ofName"), text(k, "until"),
                               text(k, "writtenFrom"), text(k, "writtenTo")});
  if (child(status, "activeRollback").is_object())
    out.status.activeRollback = activeRollback(child(status, "activeRollback"));
  if (const json& backup = child(status, "activeBackup"); backup.is_object())
    out.status.activeBackup = ActiveBackup{text(backup, "name"), text(backup, "uid"), text(backup, "since")};
  if (const json& last = child(status, "lastRollback"); last.is_object())
    out.status.lastRollback = LastRollback{text(last, "name"), text(last, "uid"), text(last, "completedAt")};
  out.status.steps = steps(child(status, "steps"));
  out.status.conditions = conditions(child(status, "conditions"));
  return out;
}

std::string encodeFrameworkStatus(const Framework& framework) {
  json out = envelope(kFrameworks, framework.meta);
  const FrameworkStatus& s = framework.status;
  json status = json::object();
  put(status, "observedGeneration", s.observedGeneration);
  if (s.running) status["running"] = runningVersion(*s.running);
  status["healthy"] = s.healthy;
  json history = json::array(), kept = json::array();
  for (const auto& v : s.history) history.push_back(runningVersion(v));
  for (const auto& k : s.kept) {
    json entry = {{"store", k.store}, {"name", k.name},     {"oid", k.oid},    {"kind", k.kind},
                  {"of", k.of},       {"ofName", k.ofName}, {"until", k.until}};
    put(entry, "writtenFrom", k.writtenFrom);
    put(entry, "writtenTo", k.writtenTo);
    kept.push_back(std::move(entry));
  }
  put(status, "history", history);
  put(status, "kept", kept);
  if (s.activeRollback) status["activeRollback"] = activeRollback(*s.activeRollback);
  if (s.activeBackup)
    status["activeBackup"] = {
        {"name", s.activeBackup->name}, {"uid", s.activeBackup->uid}, {"since", s.activeBackup->since}};
  if (s.lastRollback)
    status["lastRollback"] = {
        {"name", s.lastRollback->name}, {"uid", s.lastRollback->uid}, {"completedAt", s.lastRollback->completedAt}};
  put(status, "steps", steps(s.steps));
  put(status, "conditions", conditions(s.conditions));
  out["status"] = std::move(status);
  return dump(out);
}

}  // namespace rollback::api
