#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "mover/database.h"
#include "mover/manifest.h"
#include "mover/outcome.h"
#include "mover/task.h"

using namespace rollback;
using namespace rollback::mover;
using nlohmann::json;

TEST_CASE("the task of the documentation is read whole") {
  const auto task =
      decodeTask(R"({"version": 1, "verb": "stage", "id": "ab12cd34", "attempt": 3, "token": "t", "deadlineSeconds": 60,
    "postgres": {"host": "db", "port": 5433, "directHost": "db-direct", "database": "shop", "maintenanceDatabase": "", "sslMode": "verify-full", "capacityBytes": 7, "spaceCheck": "Skip"},
    "repository": {"path": "shop/b", "digest": "sha256:d"}, "schema": {"query": "select 1"}, "checks": [{"name": "a", "query": "q", "min": 1.5}, {"name": "b", "query": "r"}],
    "afterStage": [{"name": "a", "statement": "delete from a"}, {"name": "b", "statement": "delete from b"}],
    "keys": [{"name": "k"}], "expect": {"systemIdentifier": "7", "liveOid": 4294967295, "stageOid": 2, "schemaDigest": "s", "structureDigest": "u"},
    "names": {"stage": "s", "prev": "p", "reverted": "r"}, "drop": [{"name": "x", "oid": 9}],
    "health": [{"name": "ready", "url": "http://x", "status": [200, 401], "timeoutSeconds": 5}],
    "backup": {"framework": "shop", "class": "c", "namespace": "n", "version": "1", "store": "database", "images": [{"component": "main", "container": "app", "image": "i", "imageID": "d"}], "reason": "Manual"},
    "parallel": 4, "otherClients": ["a*"], "extensions": ["bloom"], "unknown": {}})");
  REQUIRE(task.ok());
  REQUIRE(task->postgres.sessionHost() == "db-direct");
  REQUIRE(task->postgres.maintenanceDatabase == "postgres");
  REQUIRE_FALSE(task->postgres.spaceCheckRequired);
  REQUIRE(task->checks[0].min == 1.5);
  REQUIRE_FALSE(task->checks[1].min.has_value());
  REQUIRE(task->afterStage.size() == 2);
  REQUIRE(task->afterStage[1].name == "b");
  REQUIRE(task->afterStage[1].statement == "delete from b");
  REQUIRE(task->expect.liveOid == 4294967295u);
  REQUIRE(task->health[0].status == std::vector<int>{200, 401});
  REQUIRE(task->drop[0].oid == 9);
  REQUIRE(task->backup.images[0].imageID == "d");
  REQUIRE(task->otherClients == std::vector<std::string>{"a*"});
}

TEST_CASE("absent fields have their defaults") {
  const auto task = decodeTask(R"({"version": 1, "verb": "check"})");
  REQUIRE(task->postgres.port == 5432);
  REQUIRE(task->postgres.spaceCheckRequired);
  REQUIRE(task->parallel == 1);
  REQUIRE(task->deadlineSeconds == 3600);
}

TEST_CASE("a task that cannot be meant is refused, and its token known all the same") {
  for (const char* text : {"", "[]", "{", R"({"version": 2})", R"({"verb": 1})", R"({"deadlineSeconds": 0})",
                           R"({"expect": {"liveOid": -1}})", R"({"expect": {"liveOid": 4294967296}})",
                           R"({"postgres": []})", R"({"postgres": {"spaceCheck": "Maybe"}})", R"({"checks": {}})",
                           R"({"checks": [1]})", R"({"afterStage": ["delete from a"]})",
                           R"({"afterStage": [{"name": "a", "statement": 1}]})", R"({"health": [{"status": ["a"]}]})",
                           R"({"names": {"prev": "0123456789012345678901234567890123456789012345678901234567890123"}})",
                           R"({"token": "a\u0000b"})"}) {
    INFO(text);
    const auto task = decodeTask(text);
    REQUIRE_FALSE(task.ok());
    REQUIRE(task.error().reason == "BadTask");
  }
  REQUIRE(decodeTask(R"({"checks": [{"name": "a"}, {"name": 7}]})").error().message.find("checks[1].name") !=
          std::string::npos);
  REQUIRE(tokenOf(R"({"version": 99, "token": "t"})") == "t");
  REQUIRE(tokenOf("x").empty());
}

namespace {

Manifest full() {
  Manifest m;
  m.timestamp = "20261124-030000";
  m.framework = "shop";
  m.currentVersion = "1.0.0";
  m.backupType = "pre_upgrade";
  m.files = {"postgres/database/toc.dat"};
  m.id = "id";
  m.createdAt = "2026-11-24T03:00:00Z";
  m.images = {{"main", "app", "shop:1", "shop@sha256:x"}};
  StoreRecord s;
  s.name = "database";
  s.driver = "postgres";
  s.path = "postgres/database";
  s.catalogPath = "postgres/database-catalog.txt";
  s.format = "pg_directory";
  s.snapshotAt = "2026-11-24T03:00:01Z";
  s.lsn = "0/1";
  s.serverVersion = "15.18";
  s.serverVersionNum = 150018;
  s.systemIdentifier = "7";
  s.toolsVersion = "15.18";
  s.database.name = "shop";
  s.database.oid = 5;
  s.database.owner = "shop";
  s.database.connectionLimit = 3;
  s.database.aclIsDefault = false;
  s.database.acl = {"=T/shop"};
  s.database.settings = {{"reader", {"work_mem=1MB"}}};
  s.database.extensions = {{"bloom", "1.0", "public"}};
  s.schema = {{"0001", "0002"}, "sha256:s", "sha256:u", ""};
  s.tables = {{"public.orders", 12, "-5"}};
  s.sequences = {{"public.q", -3, true, true}};
  s.largeObjects = 2;
  s.largeObjectsHash = "h";
  s.owners = "sha256:o";
  s.roles = {{"shop", true}, {"reader", false}};
  s.checks = {{"orders", "12", ""}, {"broken", "", "why"}};
  m.stores = {s};
  m.keys = {{"k", "00ff", "aa", {16384, 8, 1}}, {"unknown", "", "", {}}};
  return m;
}

}  // namespace

TEST_CASE("a manifest survives being written and read, byte for byte") {
  const std::string text = encodeManifest(full());
  const auto read = decodeManifest(text);
  REQUIRE(read.ok());
  REQUIRE(encodeManifest(*read) == text);
  REQUIRE(read->store("database")->sequences[0].behind);
  REQUIRE(read->store("nobody") == nullptr);
  // What readers of version 1 look for.
  const json v1 = json::parse(text);
  for (const char* key : {"timestamp", "framework", "current_version", "target_version", "backup_type", "files"})
    REQUIRE(v1.contains(key));
}

TEST_CASE("the summary tells what a plan needs, without names and hashes") {
  const json summary = json::parse(encodeManifestSummary(full()));
  REQUIRE(summary["current_version"] == "1.0.0");
  REQUIRE(summary["stores"][0]["schema"]["count"] == 2);
  REQUIRE(summary["stores"][0]["schema"]["digest"] == "sha256:s");
  REQUIRE(summary["stores"][0]["tables"][0]["rows"] == 12);
  REQUIRE_FALSE(summary["stores"][0]["schema"].contains("names"));
  REQUIRE_FALSE(summary.contains("keys"));
}

TEST_CASE("manifests that are damaged, newer or hostile have their code") {
  const auto reason = [](const std::string& text) { return decodeManifest(text).error().reason; };
  const std::string text = encodeManifest(full());
  for (std::size_t cut = 0; cut + 2 < text.size(); cut += 97) REQUIRE(reason(text.substr(0, cut)) == "BackupDamaged");
  REQUIRE(reason("{}") == "BackupDamaged");
  REQUIRE(reason(R"({"framework": "x", "stores": "many"})") == "BackupDamaged");
  REQUIRE(reason(R"({"framework": "x", "stores": "many", "manifestVersion": 3})") == "ManifestUnsupported");
  REQUIRE(reason(R"({"framework": "x", "manifestVersion": 2, "stores": [{"path": "../x"}]})") == "HostilePath");
  REQUIRE(reason(R"({"framework": "x", "manifestVersion": 2, "stores": [{"catalogPath": "/x"}]})") == "HostilePath");
  REQUIRE(reason(R"({"framework": "x", "stores": [{"sequences": [{"lastValue": 18446744073709551615}]}]})") ==
          "BackupDamaged");
  REQUIRE(reason(std::string(200'000, '[')) == "BackupDamaged");
  REQUIRE(decodeManifest(R"({"framework": "n8n", "current_version": "1.0", "files": []})")->manifestVersion == 1);
}

TEST_CASE("an outcome that fits is one message, a larger one is lines with a hash") {
  const auto small = report(succeeded(R"({"liveOid":1})"), "t", {});
  REQUIRE(small.resultLines.empty());
  const json message = json::parse(small.terminationMessage);
  REQUIRE(message["outcome"] == "Succeeded");
  REQUIRE(message["token"] == "t");
  REQUIRE(message["result"]["liveOid"] == 1);
  REQUIRE(small.lastLine() == "FRB-OUTCOME " + small.terminationMessage);

  const std::string big = json{{"names", std::string(20'000, 'x')}}.dump();
  const auto large = report(succeeded(big), "t", {});
  REQUIRE(large.terminationMessage.size() <= 3072);
  REQUIRE_FALSE(json::parse(large.terminationMessage).contains("result"));
  REQUIRE(json::parse(large.terminationMessage)["resultSize"] == big.size());
  REQUIRE(large.lastLine().empty());
  REQUIRE(large.resultLines.size() == 4);
  for (std::size_t i = 0; i < large.resultLines.size(); ++i) {
    REQUIRE(large.resultLines[i].size() <= 8192);
    REQUIRE(large.resultLines[i].rfind("FRB-RESULT " + std::to_string(i) + " ", 0) == 0);
  }
}

TEST_CASE("a message is short and holds no secret") {
  Error error = problem(ErrorCode::Conflict, "RestoreFailed",
                        "the password hunter22 in hunter22 " + std::string(5000, 'y') + "ü");
  const auto told = report(failed(error), "t", {"hunter22", "", "ab"});
  REQUIRE(told.terminationMessage.size() <= 3072);
  REQUIRE(told.terminationMessage.find("hunter22") == std::string::npos);
  REQUIRE(json::parse(told.terminationMessage)["code"] == "RestoreFailed");
}

TEST_CASE("a message fits whatever it is made of, and a secret may be what secrets are replaced by") {
  for (const std::string& text : {std::string(1000, '\x01'), std::string(1000, '\xff'), std::string(1000, '"')}) {
    const auto told = report(failed(problem(ErrorCode::Conflict, "RestoreFailed", text)), "t", {});
    REQUIRE(told.terminationMessage.size() <= 3072);
    REQUIRE(json::parse(told.terminationMessage)["code"] == "RestoreFailed");
  }
  REQUIRE(json::parse(
              report(failed(problem(ErrorCode::Conflict, "c", "a … b")), "t", {"…"}).terminationMessage)["message"] ==
          "a … b");
}

TEST_CASE("codes are ours, the server's, or the kind of error") {
  REQUIRE(codeOf(problem(ErrorCode::Conflict, "42501", "m")) == "SqlError");
  REQUIRE(codeOf(problem(ErrorCode::Conflict, "Locked", "m")) == "Locked");
  REQUIRE(codeOf(Error{ErrorCode::ConnectionLost, "m"}) == "ConnectionLost");
  REQUIRE(connectionLost(problem(ErrorCode::Conflict, "57P01", "m")));
  REQUIRE(connectionLost(problem(ErrorCode::Conflict, "08006", "m")));
  REQUIRE_FALSE(connectionLost(problem(ErrorCode::Conflict, "55006", "m")));
}
