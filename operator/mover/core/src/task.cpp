#include "mover/task.h"

#include "json_fields.h"
#include "mover/outcome.h"

namespace rollback::mover {
namespace {

using nlohmann::json;

void readPostgres(Fields& in, PostgresTarget& out) {
  in.text("host", out.host);
  in.integer("port", out.port, 1, 65535);
  in.text("directHost", out.directHost);
  in.text("database", out.database);
  in.text("maintenanceDatabase", out.maintenanceDatabase);
  in.text("sslMode", out.sslMode);
  in.integer("capacityBytes", out.capacityBytes, 0, INT64_MAX);
  std::string space = "Require";
  in.text("spaceCheck", space);
  if (space != "Require" && space != "Skip") in.complain("spaceCheck", "Require or Skip");
  out.spaceCheckRequired = space == "Require";
  if (out.maintenanceDatabase.empty()) out.maintenanceDatabase = "postgres";
  if (out.sslMode.empty()) out.sslMode = "prefer";
  for (const std::string* name : {&out.database, &out.maintenanceDatabase})
    if (name->size() > 63) in.complain("database", "a name of at most 63 bytes");
}

void readCheck(Fields& in, CheckQuery& out) {
  in.text("name", out.name);
  in.text("query", out.query);
  if (const auto* min = in.find("min")) {
    if (!min->is_number()) return in.complain("min", "a number");
    out.min = min->get<double>();
  }
}

void readHealth(Fields& in, HealthUrl& out) {
  in.text("name", out.name);
  in.text("url", out.url);
  in.integer("timeoutSeconds", out.timeoutSeconds, 0, 86400);
  if (const auto* status = in.find("status")) {
    if (!status->is_array()) return in.complain("status", "a list");
    for (const auto& code : *status) {
      if (!code.is_number_integer()) return in.complain("status", "a list of numbers");
      out.status.push_back(code.get<int>());
    }
  }
}

void readBackup(Fields& in, Task::Backup& out) {
  in.text("framework", out.framework);
  in.text("class", out.frameworkClass);
  in.text("namespace", out.namespace_);
  in.text("version", out.version);
  in.text("store", out.store);
  in.texts("stores", out.stores);
  in.text("reason", out.reason);
  in.objects("images", [&](Fields& image) {
    ImageRecord record;
    image.text("component", record.component);
    image.text("container", record.container);
    image.text("image", record.image);
    image.text("imageID", record.imageID);
    out.images.push_back(record);
  });
}

void readTask(Fields& in, Task& task) {
  in.integer("version", task.version, 1, 1);
  in.text("verb", task.verb);
  in.text("id", task.id);
  in.text("token", task.token);
  in.integer("attempt", task.attempt, 0, 1'000'000);
  in.integer("deadlineSeconds", task.deadlineSeconds, 1, 30 * 86400);
  in.object("postgres", [&](Fields& at) { readPostgres(at, task.postgres); });
  in.object("repository", [&](Fields& at) {
    at.text("path", task.repositoryPath);
    at.text("digest", task.repositoryDigest);
    at.flag("unverified", task.unverified);
  });
  in.object("scan", [&](Fields& at) {
    at.integer("most", task.scan.most, 1, 100'000);
    at.integer("seconds", task.scan.seconds, 1, 86400);
  });
  in.object("schema", [&](Fields& at) { at.text("query", task.schemaQuery); });
  in.objects("checks", [&](Fields& at) { readCheck(at, task.checks.emplace_back()); });
  in.objects("afterStage", [&](Fields& at) {
    auto& statement = task.afterStage.emplace_back();
    at.text("name", statement.name);
    at.text("statement", statement.statement);
  });
  in.objects("keys", [&](Fields& at) { at.text("name", task.keys.emplace_back()); });
  in.object("expect", [&](Fields& at) {
    at.text("systemIdentifier", task.expect.systemIdentifier);
    at.text("schemaDigest", task.expect.schemaDigest);
    at.text("structureDigest", task.expect.structureDigest);
    at.integer("liveOid", task.expect.liveOid, 0, UINT32_MAX);
    at.integer("stageOid", task.expect.stageOid, 0, UINT32_MAX);
  });
  in.object("names", [&](Fields& at) {
    at.text("stage", task.names.stage);
    at.text("prev", task.names.prev);
    at.text("reverted", task.names.reverted);
    for (const std::string* name : {&task.names.stage, &task.names.prev, &task.names.reverted})
      if (name->size() > 63) at.complain("stage", "a name of at most 63 bytes");
  });
  in.objects("drop", [&](Fields& at) {
    auto& item = task.drop.emplace_back();
    at.text("name", item.name);
    at.integer("oid", item.oid, 0, UINT32_MAX);
  });
  in.objects("health", [&](Fields& at) { readHealth(at, task.health.emplace_back()); });
  in.object("backup", [&](Fields& at) { readBackup(at, task.backup); });
  in.integer("parallel", task.parallel, 1, 64);
  in.texts("otherClients", task.otherClients);
  in.texts("extensions", task.extensions);
}

}  // namespace

Result<Task> decodeTask(const std::string& text) {
  const json document = json::parse(text, nullptr, false);
  if (document.is_discarded())
    return problem(ErrorCode::BadInput, "BadTask",
                   "the task is not JSON; the operator and the mover are of different versions");
  Task task;
  std::string wrong;
  Fields fields(document, "", wrong);
  readTask(fields, task);
  if (!wrong.empty()) return problem(ErrorCode::BadInput, "BadTask", "the task cannot be meant: " + wrong);
  return task;
}

std::string tokenOf(const std::string& text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains("token") || !document["token"].is_string()) return {};
  return document["token"].get<std::string>();
}

}  // namespace rollback::mover
