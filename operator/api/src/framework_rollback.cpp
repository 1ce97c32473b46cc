#include "api/framework_rollback.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "api/digest.h"
#include "codec.h"

namespace rollback::api {
namespace {

using namespace codec;

constexpr std::array kPhases{Phase::Pending,   Phase::Planning,  Phase::Planned,   Phase::Preparing,
                             Phase::Switching, Phase::Verifying, Phase::Succeeded, Phase::Reverting,
                             Phase::Reverted,  Phase::Failed,    Phase::Aborted,   Phase::Skipped};

// The wish itself: what may change (suspend, abort) left out, defaults dropped, so that a spec that went through the
// API server and one from Git have the same digest. nlohmann keeps members sorted.
std::string digestOf(json spec) {
  for (const char* name : {"suspend", "abort"}) spec.erase(name);
  const json defaults = {{"reason", "Manual"},     {"mode", "Execute"}, {"keepPreviousFor", "24h"},
                         {"timeoutSeconds", 3600}, {"message", ""},     {"onFailure", "Revert"}};
  for (const auto& [name, value] : defaults.items())
    if (spec.contains(name) && spec[name] == value) spec.erase(name);
  if (spec.contains("verification") && child(spec["verification"], "soakSeconds") == json(0))
    spec["verification"].erase("soakSeconds");
  if (spec.contains("to") && child(spec["to"], "lastKnownGood") == json(false)) spec["to"].erase("lastKnownGood");
  for (const char* name : {"unknownSpace", "unknownKeys", "otherWriters", "dataLoss", "unverifiedBackup"})
    if (spec.contains("accept") && child(spec["accept"], name) == json(false)) spec["accept"].erase(name);
  if (spec.contains("scope") && spec["scope"].is_array())
    std::sort(spec["scope"].begin(), spec["scope"].end());  // a set
  for (auto it = spec.begin(); it != spec.end();)
    it = (it->is_structured() && it->empty()) ? spec.erase(it) : std::next(it);
  return sha256Hex(dump(spec));
}

constexpr std::size_t kMostTables = 64, kMostClients = 16, kMostWriters = 32, kMostChecks = 64, kMostSchedules = 16;

void plannedTables(const json& at, PlannedStore& store) {
  for (const auto& t : child(at, "tables")) {
    PlannedTable table;
    table.name = text(t, "name");
    if (child(t, "rowsNow").is_number_integer()) table.rowsNow = integer(t, "rowsNow");
    if (child(t, "rowsInBackup").is_number_integer()) table.rowsInBackup = integer(t, "rowsInBackup");
    table.estimated = flag(t, "estimated");
    store.tables.push_back(std::move(table));
  }
  store.tablesDiffering = static_cast<int>(integer(at, "tablesDiffering"));
  for (const auto& c : child(at, "clients"))
    store.clients.push_back(
        {text(c, "user"), text(c, "application"), text(c, "address"), static_cast<int>(integer(c, "count"))});
}

void plannedTables(json& out, const PlannedStore& store) {
  json tables = json::array(), clients = json::array();
  for (const auto& t : store.tables) {
    if (tables.size() == kMostTables) break;
    json table = {{"name", clip(t.name, 256)}};
    if (t.rowsNow) table["rowsNow"] = *t.rowsNow;
    if (t.rowsInBackup) table["rowsInBackup"] = *t.rowsInBackup;
    put(table, "estimated", t.estimated);
    tables.push_back(std::move(table));
  }
  for (const auto& c : store.clients) {
    if (clients.size() == kMostClients) break;
    json client = {{"user", clip(c.user, 256)}};
    put(client, "application", clip(c.application, 256));
    put(client, "address", clip(c.address, 256));
    put(client, "count", static_cast<std::int64_t>(c.count));
    clients.push_back(std::move(client));
  }
  put(out, "tables", tables);
  put(out, "tablesDiffering", static_cast<std::int64_t>(store.tablesDiffering));
  put(out, "clients", clients);
}

RollbackPlan plan(const json& at) {
  RollbackPlan out;
  out.digest = text(at, "digest");
  if (const json& b = child(at, "backup"); b.is_object())
    out.backup = PlannedBackup{text(b, "name"),    text(b, "path"),      text(b, "digest"),
                               text(b, "version"), text(b, "createdAt"), integer(b, "sizeBytes")};
  out.images = images(child(at, "images"));
  for (const auto& s : child(at, "stores")) {
    PlannedStore store;
    store.name = text(s, "name");
    store.action = text(s, "action");
    store.reason = text(s, "reason");
    store.database = text(s, "database");
    store.systemIdentifier = text(s, "systemIdentifier");
    store.liveOid = static_cast<std::uint32_t>(integer(s, "liveOid"));
    store.liveBytes = integer(s, "liveBytes");
    store.requiredBytes = integer(s, "requiredBytes");
    store.liveSchema = schemaLevel(child(s, "liveSchema"));
    store.targetSchema = schemaLevel(child(s, "targetSchema"));
    store.stageName = text(s, "stageName");
    store.prevName = text(s, "prevName");
    store.revertedName = text(s, "revertedName");
    store.stageOid = static_cast<std::uint32_t>(integer(s, "stageOid"));
    store.writtenFrom = text(s, "writtenFrom");
    store.availableBytes = integer(s, "availableBytes");
    store.capacityBytes = integer(s, "capacityBytes");
    store.capacityFrom = text(s, "capacityFrom");
    plannedTables(s, store);
    store.afterStage = texts(child(s, "afterStage"));
    out.stores.push_back(std::move(store));
  }
  out.steps = texts(child(at, "steps"));
  out.checks = texts(child(at, "checks"));
  const json& downtime = child(at, "downtime");
  out.downtime = {integer(downtime, "expectedMilliseconds"), text(downtime, "basis"),
                  integer(downtime, "startLimitSeconds")};
  for (const auto& w : child(at, "writers"))
    out.writers.push_back({text(w, "workload"), text(w, "field"), text(w, "manager")});
  out.schedules = texts(child(at, "schedules"));
  out.dataLoss = text(at, "dataLoss");
  out.frozenClass = text(at, "frozenClass");
  return out;
}

json plan(const RollbackPlan& p) {
  json out = json::object();
  put(out, "digest", p.digest);
  if (p.backup) {
    json b = json::object();
    put(b, "name", p.backup->name);
    put(b, "path", p.backup->path);
    put(b, "digest", p.backup->digest);
    put(b, "version", clip(p.backup->version, 256));
    put(b, "createdAt", p.backup->createdAt);
    put(b, "sizeBytes", p.backup->sizeBytes);
    out["backup"] = std::move(b);
  }
  put(out, "images", images(p.images));
  json stores = json::array();
  for (const auto& s : p.stores) {
    json store = {{"name", s.name}, {"action", s.action}, {"reason", clip(s.reason, 1024)}, {"database", s.database}};
    put(store, "systemIdentifier", s.systemIdentifier);
    put(store, "liveOid", static_cast<std::int64_t>(s.liveOid));
    put(store, "liveBytes", s.liveBytes);
    put(store, "requiredBytes", s.requiredBytes);
    put(store, "liveSchema", schemaLevel(s.liveSchema));
    put(store, "targetSchema", schemaLevel(s.targetSchema));
    put(store, "stageName", s.stageName);
    put(store, "prevName", s.prevName);
    put(store, "revertedName", s.revertedName);
    put(store, "stageOid", static_cast<std::int64_t>(s.stageOid));
    put(store, "writtenFrom", s.writtenFrom);
    put(store, "availableBytes", s.availableBytes);
    put(store, "capacityBytes", s.capacityBytes);
    put(store, "capacityFrom", clip(s.capacityFrom, 512));
    plannedTables(store, s);
    put(store, "afterStage", json(s.afterStage));
    stores.push_back(std::move(store));
  }
  put(out, "stores", stores);
  put(out, "steps", json(p.steps));
  json checks = json::array(), writers = json::array(), schedules = json::array();
  for (const auto& check : p.checks)
    if (checks.size() < kMostChecks) checks.push_back(clip(check, 256));
  put(out, "checks", checks);
  json downtime = json::object();
  put(downtime, "expectedMilliseconds", p.downtime.expectedMilliseconds);
  put(downtime, "basis", clip(p.downtime.basis, 512));
  put(downtime, "startLimitSeconds", p.downtime.startLimitSeconds);
  put(out, "downtime", downtime);
  for (const auto& w : p.writers)
    if (writers.size() < kMostWriters)
      writers.push_back(
          {{"workload", clip(w.workload, 320)}, {"field", clip(w.field, 128)}, {"manager", clip(w.manager, 128)}});
  put(out, "writers", writers);
  for (const auto& schedule : p.schedules)
    if (schedules.size() < kMostSchedules) schedules.push_back(clip(schedule, 1024));
  put(out, "schedules", schedules);
  put(out, "dataLoss", clip(p.dataLoss, 4096));
  put(out, "frozenClass", p.frozenClass);
  return out;
}

}  // namespace

const char* toString(Phase phase) {
  switch (phase) {
    case Phase::Pending:
      return "Pending";
    case Phase::Planning:
      return "Planning";
    case Phase::Planned:
      return "Planned";
    case Phase::Preparing:
      return "Preparing";
    case Phase::Switching:
      return "Switching";
    case Phase::Verifying:
      return "Verifying";
    case Phase::Succeeded:
      return "Succeeded";
    case Phase::Reverting:
      return "Reverting";
    case Phase::Reverted:
      return "Reverted";
    case Phase::Failed:
      return "Failed";
    case Phase::Aborted:
      return "Aborted";
    case Phase::Skipped:
      return "Skipped";
  }
  return "Pending";
}

std::optional<Phase> parsePhase(std::string_view name) {
  for (const Phase phase : kPhases)
    if (name == toString(phase)) return phase;
  return std::nullopt;
}

bool isEnding(Phase phase) {
  switch (phase) {
    case Phase::Planned:
    case Phase::Succeeded:
    case Phase::Reverted:
    case Phase::Failed:
    case Phase::Aborted:
    case Phase::Skipped:
      return true;
    default:
      return false;
  }
}

Result<FrameworkRollback> decodeFrameworkRollback(std::string_view document) {
  FrameworkRollback out;
  auto doc = object(document, kFrameworkRollbacks, out.meta);
  if (!doc) return doc.error();
  const json& spec = child(*doc, "spec");
  out.spec.frameworkName = text(child(spec, "frameworkRef"), "name");
  out.spec.reason = text(spec, "reason", "Manual");
  out.spec.message = text(spec, "message");
  out.spec.fromVersion = text(child(spec, "from"), "version");
  const json& to = child(spec, "to");
  out.spec.to = {text(to, "version"), text(child(to, "backupRef"), "name"), text(to, "backupPath"),
                 flag(to, "lastKnownGood"), text(to, "undo")};
  out.spec.scope = texts(child(spec, "scope"));
  out.spec.mode = text(spec, "mode", "Execute");
  out.spec.soakSeconds = static_cast<int>(integer(child(spec, "verification"), "soakSeconds"));
  out.spec.keepPreviousFor = text(spec, "keepPreviousFor", "24h");
  out.spec.validUntil = text(spec, "validUntil");
  out.spec.timeoutSeconds = static_cast<int>(integer(spec, "timeoutSeconds", 3600));
  out.spec.acceptUnknownSpace = flag(child(spec, "accept"), "unknownSpace");
  out.spec.acceptUnknownKeys = flag(child(spec, "accept"), "unknownKeys");
  out.spec.acceptDataLoss = flag(child(spec, "accept"), "dataLoss");
  out.spec.onFailure = text(spec, "onFailure", "Revert");
  out.spec.acceptOtherWriters = flag(child(spec, "accept"), "otherWriters");
  out.spec.acceptUnverifiedBackup = flag(child(spec, "accept"), "unverifiedBackup");
  out.spec.suspend = flag(spec, "suspend");
  out.spec.abort = flag(spec, "abort");
  out.specDigest = digestOf(spec.is_object() ? spec : json::object());

  const json& status = child(*doc, "status");
  auto& s = out.status;
  s.observedGeneration = integer(status, "observedGeneration");
  s.phase = parsePhase(text(status, "phase"));
  s.reason = text(status, "reason");
  s.step = text(status, "step");
  s.progress = text(status, "progress");
  s.fromVersion = text(child(status, "from"), "version");
  s.fromImages = images(child(child(status, "from"), "images"));
  s.toVersion = text(child(status, "to"), "version");
  if (child(status, "plan").is_object()) s.plan = plan(child(status, "plan"));
  s.steps = steps(child(status, "steps"));
  if (const json& d = child(status, "downtime"); d.is_object())
    s.downtime = Downtime{text(d, "startedAt"), text(d, "endedAt"), integer(d, "milliseconds")};
  s.applicationVersion = text(child(status, "application"), "version");
  s.applicationHealthy = flag(child(status, "application"), "healthy");
  for (const auto& p : child(status, "previous"))
    s.previous.push_back({text(p, "store"), text(p, "name"), text(p, "until"), text(p, "version")});
  s.startedAt = text(status, "startedAt");
  s.completedAt = text(status, "completedAt");
  s.deadline = text(status, "deadline");
  s.revertDeadline = text(status, "revertDeadline");
  s.lockToken = text(status, "lockToken");
  s.message = text(status, "message");
  s.conditions = conditions(child(status, "conditions"));
  return out;
}

std::string encodeFrameworkRollbackStatus(const FrameworkRollback& rollback) {
  json out = envelope(kFrameworkRollbacks, rollback.meta);
  const FrameworkRollbackStatus& s = rollback.status;
  json status = json::object();
  put(status, "observedGeneration", s.observedGeneration);
  if (s.phase) status["phase"] = toString(*s.phase);
  put(status, "reason", clip(s.reason, 1024));
  put(status, "step", s.step);
  put(status, "progress", clip(s.progress, 128));
  json from = json::object();
  put(from, "version", clip(s.fromVersion, 256));
  put(from, "images", images(s.fromImages));
  put(status, "from", from);
  if (!s.toVersion.empty()) status["to"] = {{"version", clip(s.toVersion, 256)}};
  if (s.plan) status["plan"] = plan(*s.plan);
  put(status, "steps", steps(s.steps));
  if (s.downtime) {
    json d = {{"startedAt", s.downtime->startedAt}};
    put(d, "endedAt", s.downtime->endedAt);
    put(d, "milliseconds", s.downtime->milliseconds);
    status["downtime"] = std::move(d);
  }
  json application = json::object();
  put(application, "version", clip(s.applicationVersion, 256));
  put(application, "healthy", s.applicationHealthy);
  put(status, "application", application);
  json previous = json::array();
  for (const auto& p : s.previous) {
    json entry = {{"store", p.store}, {"name", p.name}, {"until", p.until}};
    put(entry, "version", clip(p.version, 256));
    previous.push_back(std::move(entry));
  }
  put(status, "previous", previous);
  put(status, "startedAt", s.startedAt);
  put(status, "completedAt", s.completedAt);
  put(status, "deadline", s.deadline);
  put(status, "revertDeadline", s.revertDeadline);
  put(status, "lockToken", s.lockToken);
  put(status, "message", clip(s.message, 4096));
  put(status, "conditions", conditions(s.conditions));
  out["status"] = std::move(status);
  return dump(out);
}

}  // namespace rollback::api
