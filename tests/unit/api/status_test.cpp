// Statuses against the definitions: whatever a definition has, the codec reads and writes; whatever the codec writes,
// the API server keeps.
#include <catch2/catch.hpp>
#include <functional>
#include <nlohmann/json.hpp>

#include "api/backup.h"
#include "api/definition.h"
#include "api/framework.h"
#include "api/framework_rollback.h"

namespace rollback::api {
namespace {

using nlohmann::json;
using testing::exampleOf;
using testing::faultsOf;
using testing::schemaOf;

struct StatusKind {
  const char* plural;
  const char* kind;
  std::function<std::string(const std::string&)> recode;  // decodes an object, encodes its status
};

template <typename Decode, typename Encode>
std::function<std::string(const std::string&)> recode(Decode decode, Encode encode) {
  return [=](const std::string& document) {
    const auto object = decode(document);
    if (!object) FAIL(object.error().message);
    return encode(*object);
  };
}

const StatusKind kKinds[] = {
    {"frameworks", "Framework", recode(decodeFramework, encodeFrameworkStatus)},
    {"backuprepositories", "BackupRepository", recode(decodeBackupRepository, encodeBackupRepositoryStatus)},
    {"frameworkbackups", "FrameworkBackup", recode(decodeFrameworkBackup, encodeFrameworkBackupStatus)},
    {"frameworkrollbacks", "FrameworkRollback", recode(decodeFrameworkRollback, encodeFrameworkRollbackStatus)},
};

json objectOf(const StatusKind& kind, const json& status) {
  return {{"apiVersion", "rollback.pa-ecosystem.io/v1alpha1"},
          {"kind", kind.kind},
          {"metadata",
           {{"name", "n"},
            {"namespace", "ns"},
            {"uid", "u"},
            {"resourceVersion", "7"},
            {"generation", 3},
            {"labels", {{"a", "b"}}}}},
          {"spec", exampleOf(schemaOf(kind.plural, "spec"))},
          {"status", status}};
}

TEST_CASE("given a status with every field of the definition, when it is read and written, then it is the same") {
  for (const auto& kind : kKinds) {
    INFO(kind.kind);
    const json schema = schemaOf(kind.plural, "status");
    const json status = exampleOf(schema);
    const json written = json::parse(kind.recode(objectOf(kind, status).dump()));
    CHECK(json::diff(status, written.at("status")) == json::array());
    CHECK(faultsOf(schema, written.at("status")) == std::vector<std::string>{});
  }
}

TEST_CASE(
    "given an object, when its status is written, then the write names it and its resourceVersion, and no spec or "
    "label") {
  for (const auto& kind : kKinds) {
    INFO(kind.kind);
    json written = json::parse(kind.recode(objectOf(kind, json::object()).dump()));
    written.erase("status");
    CHECK(written == json{{"apiVersion", "rollback.pa-ecosystem.io/v1alpha1"},
                          {"kind", kind.kind},
                          {"metadata", {{"name", "n"}, {"namespace", "ns"}, {"uid", "u"}, {"resourceVersion", "7"}}}});
  }
}

TEST_CASE("given an object without a status, when it is read and written, then the definition lets it through") {
  for (const auto& kind : kKinds) {
    INFO(kind.kind);
    json object = objectOf(kind, json::object());
    object.erase("status");
    const json written = json::parse(kind.recode(object.dump()));
    CHECK(faultsOf(schemaOf(kind.plural, "status"), written.at("status")) == std::vector<std::string>{});
  }
}

TEST_CASE(
    "given words without end from programs and servers, when a rollback's status is written, then it is one the API "
    "server takes") {
  std::string words;
  for (int i = 0; i < 20000; ++i) words += "ä€ ";
  FrameworkRollback rollback;
  rollback.meta.name = "n";
  auto& status = rollback.status;
  status.reason = status.progress = status.fromVersion = status.toVersion = status.applicationVersion = status.message =
      words;
  status.phase = Phase::Failed;
  status.fromImages = {{"main", words}};
  status.conditions = {{"Ready", "False", "no such thing: " + words, words, "2026-11-24T00:00:00Z", 1},
                       {"Stalled", "True", "1", words, "2026-11-24T00:00:00Z", 1}};
  StepRecord step;
  step.name = "Stage";
  step.state = "Failed";
  step.token = step.message = words;
  step.progress = StepProgress{1, 2, words};
  status.steps = {step};
  RollbackPlan plan;
  plan.backup = PlannedBackup{"b", "p", "d", words, ""};
  PlannedStore store;
  store.name = "database";
  store.action = "Restore";
  store.reason = store.liveSchema.unknownReason = store.capacityFrom = words;
  store.tables.assign(1000, PlannedTable{words, 9000000000, 1, true});
  store.tablesDiffering = 1000;
  store.clients.assign(1000, PlannedClient{words, words, words, 3});
  plan.stores = {store};
  plan.dataLoss = plan.downtime.basis = words;
  plan.checks.assign(1000, words);
  plan.schedules.assign(1000, words);
  plan.writers.assign(1000, PlannedWriter{words, words, words});
  status.plan = plan;
  status.previous = {{"database", "shop_prev_1", "2026-11-25T00:00:00Z", words}};
  const json written = json::parse(encodeFrameworkRollbackStatus(rollback));
  CHECK(faultsOf(schemaOf("frameworkrollbacks", "status"), written.at("status")) == std::vector<std::string>{});
  CHECK(written["status"]["message"].get<std::string>().size() > 4000);
  CHECK(written["status"]["conditions"][1]["reason"] == "Unknown");
}

TEST_CASE("given bytes that are no UTF-8, when they are written, then the document still is") {
  FrameworkBackup backup;
  backup.status.phase = "Failed";
  backup.status.message = "psql said \xff\xfe";
  CHECK(json::parse(encodeFrameworkBackupStatus(backup))["status"]["message"] == "psql said \xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_CASE(
    "given a list of Kubernetes, whose elements have no kind, when an element is read, then it is taken as of the kind "
    "asked for") {
  CHECK(decodeFramework(R"({"metadata": {"name": "n"}})").ok());
}

TEST_CASE("given something else, when it is read as an object, then the error says what it is") {
  const auto other = decodeFramework(R"({"kind": "Pod", "metadata": {"name": "n"}})");
  REQUIRE_FALSE(other);
  CHECK(other.error().code == ErrorCode::Protocol);
  CHECK(other.error().message == "not a Framework but a Pod");
  for (const char* text : {"", "[]", "null", "{\"metadata\": ", "7"}) {
    const auto broken = decodeFrameworkRollback(text);
    REQUIRE_FALSE(broken);
    CHECK(broken.error().code == ErrorCode::Protocol);
  }
}

TEST_CASE("given a member of another type than the definition's, when it is read, then it counts as absent") {
  const auto framework = decodeFramework(
      R"({"metadata": {"name": "n"}, "spec": {"classRef": 7, "components": "x", "stores": [3, null], "policy": []}, "status": []})");
  REQUIRE(framework);
  CHECK(framework->spec.className.empty());
  CHECK(framework->spec.policy.maxDataLoss == "24h");
}

TEST_CASE("given every phase, when it is written and read, then it is the same, and the ends are ends") {
  const json phases = schemaOf("frameworkrollbacks", "status").at("properties").at("phase").at("enum");
  CHECK(phases.size() == 12);
  for (const auto& name : phases) {
    const auto phase = parsePhase(name.get<std::string>());
    REQUIRE(phase);
    CHECK(name == toString(*phase));
    const bool end = name == "Planned" || name == "Succeeded" || name == "Reverted" || name == "Failed" ||
                     name == "Aborted" || name == "Skipped";
    CHECK(isEnding(*phase) == end);
  }
  CHECK_FALSE(parsePhase("Running"));
  CHECK_FALSE(parsePhase(""));
}

}  // namespace
}  // namespace rollback::api
