// What Flux, kpt and other readers of kstatus see of every kind at every phase: the objects are what the reconcilers
// write in model worlds, the rules are kstatus' generic ones, in own words. tests/kstatus asks Flux's library itself
// about the same objects: with FROLLBACK_EXAMPLES=FOLDER set, they are written there as "<expected>.<name>.json".
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "api/resources.h"
#include "catalog_model.h"
#include "repository/repository.h"
#include "world.h"

using namespace rollback;
using api::Phase;
using nlohmann::json;
using test::CatalogModel;
using test::World;

namespace {

// cli-utils pkg/kstatus: deletion, generation, Reconciling, Stalled, Ready, in this order; none of them: Current.
std::string kstatus(const json& object) {
  if (object["metadata"].contains("deletionTimestamp")) return "Terminating";
  const json status = object.value("status", json::object());
  if (status.contains("observedGeneration") && status["observedGeneration"] != object["metadata"]["generation"])
    return "InProgress";
  std::string ready;
  for (const auto& condition : status.value("conditions", json::array())) {
    if (condition["type"] == "Reconciling" && condition["status"] == "True") return "InProgress";
    if (condition["type"] == "Stalled" && condition["status"] == "True") return "Failed";
    if (condition["type"] == "Ready") ready = condition["status"];
  }
  return ready.empty() || ready == "True" ? "Current" : "InProgress";
}

std::string conditionOf(const json& object, const std::string& type) {
  for (const auto& condition : object["status"].value("conditions", json::array()))
    if (condition["type"] == type) return condition["status"];
  return "";
}

// The object as the API server gives it back: the status that was written, and the metadata around it.
json served(const std::string& written, const kube::ObjectMeta& meta) {
  json object = json::parse(written);
  object["metadata"]["generation"] = meta.generation;
  if (meta.deleting()) object["metadata"]["deletionTimestamp"] = meta.deletionTimestamp;
  return object;
}

void expect(const std::string& name, const std::string& wanted, const json& object) {
  INFO(name << "\n" << object.dump(1).substr(0, 4000));
  CHECK(kstatus(object) == wanted);
  if (const char* folder = std::getenv("FROLLBACK_EXAMPLES")) {
    std::ofstream file(std::string(folder) + "/" + wanted + "." + name + ".json");
    file << object.dump(1);
    REQUIRE(file.good());
  }
}

std::string wanted(Phase phase) {
  switch (phase) {
    case Phase::Succeeded:
    case Phase::Planned:
    case Phase::Skipped:
      return "Current";
    case Phase::Reverted:
    case Phase::Failed:
    case Phase::Aborted:
      return "Failed";
    default:
      return "InProgress";
  }
}

json servedRollback(const World& world) {
  return served(api::encodeFrameworkRollbackStatus(*world.rollback), world.rollback->meta);
}

// Runs the rollback to its end and looks at every status that was written on the way, once for each phase and reason.
std::set<Phase> look(World& world, const std::string& scenario) {
  std::set<Phase> phases;
  std::set<std::string> seen;
  for (int pass = 0; pass < 3000 && world.rollback; ++pass) {
    const auto decision = world.decide();
    for (const auto& request : decision.requests)
      if (!world.send(request)) break;
    if (!world.rollback || !world.rollback->status.phase) continue;
    const auto& status = world.rollback->status;
    phases.insert(*status.phase);
    const std::string name = std::string("frameworkrollback-") + api::toString(*status.phase) + "-" + status.reason;
    if (seen.insert(name).second) {
      const json object = servedRollback(world);
      expect(scenario + "." + name, wanted(*status.phase), object);
      const bool over = api::isEnding(*status.phase);
      CHECK(conditionOf(object, "Completed") == (over ? "True" : "False"));
      CHECK((conditionOf(object, "Succeeded") == "True") == (*status.phase == Phase::Succeeded));
    }
    if (api::isEnding(*status.phase) && decision.requests.empty()) return phases;
    world.step();
  }
  return phases;
}

}  // namespace

TEST_CASE("kstatus: given rollbacks with every ending, when read at every write, then tools see what is so") {
  std::set<Phase> phases;
  const auto run = [&](const std::string& scenario, const std::function<void(World&)>& arrange) {
    World world;
    arrange(world);
    const auto seen = look(world, scenario);
    phases.insert(seen.begin(), seen.end());
  };
  run("success", [](World&) {});
  run("revert", [](World& w) { w.checkHealthy = false; });
  run("plan", [](World& w) { w.rollback->spec.mode = "Plan"; });
  run("skip", [](World& w) { w.rollback->spec.fromVersion = "3.0.0"; });
  run("refusal", [](World& w) { w.keyState = "Differ", w.frameworkClass.spec.keys = {{"key", "main", "KEY"}}; });
  run("abandon", [](World& w) { w.unpullableImages.insert("localhost/demo-app:1.0.0"); });
  run("abort", [](World& w) { w.rollback->spec.abort = true; });
  CHECK(phases == std::set<Phase>{Phase::Pending, Phase::Planning, Phase::Planned, Phase::Preparing, Phase::Switching,
                                  Phase::Verifying, Phase::Succeeded, Phase::Reverting, Phase::Reverted, Phase::Failed,
                                  Phase::Aborted, Phase::Skipped});
}

TEST_CASE("kstatus: given a rollback that waits, when read, then it is in progress") {
  World world;
  SECTION("for another rollback") {
    world.framework.status.activeRollback = api::ActiveRollback{"other", "other-uid", "t", "", {}, {}, ""};
  }
  SECTION("suspended") { world.rollback->spec.suspend = true; }
  world.run(30);
  expect(world.rollback->spec.suspend ? "frameworkrollback-suspended" : "frameworkrollback-waiting", "InProgress",
         servedRollback(world));
}

TEST_CASE("kstatus: given an object the operator has not seen, when read, then it is in progress") {
  // The definitions give a new object this status.
  const auto& resource =
      GENERATE_REF(api::kFrameworkRollbacks, api::kFrameworkBackups, api::kFrameworks, api::kBackupRepositories);
  std::ifstream file(std::string(FROLLBACK_SOURCE_DIR) + "/crds/" + resource.plural + ".yaml");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  CHECK(text.find("            default: {observedGeneration: -1}\n") != std::string::npos);
  expect(resource.plural + "-new", "InProgress",
         {{"apiVersion", resource.apiVersion()},
          {"kind", resource.kind},
          {"metadata", {{"name", "a"}, {"namespace", "demo"}, {"generation", 1}}},
          {"status", {{"observedGeneration", -1}}}});
}

TEST_CASE("kstatus: given a change after the end, when looked at again, then it is seen and the end stays") {
  World world;
  REQUIRE(world.run());
  world.rollback->spec.suspend = true;
  ++world.rollback->meta.generation;
  CHECK(kstatus(servedRollback(world)) == "InProgress");
  for (const auto& request : world.decide().requests) REQUIRE(world.send(request));
  expect("frameworkrollback-changed-after-the-end", "Current", servedRollback(world));
  CHECK(world.decide().requests.empty());
  CHECK(world.violations.empty());
  CHECK(world.rollback->status.phase == Phase::Succeeded);
}

TEST_CASE("kstatus: given an object that is being deleted, when read, then it is terminating") {
  World world;
  REQUIRE(world.run());
  world.rollback->meta.deletionTimestamp = "2026-11-24T04:00:00Z";
  expect("frameworkrollback-deleting", "Terminating", servedRollback(world));
}

TEST_CASE("kstatus: given a FrameworkRollback taken apart by hand, when it cannot be reverted, then it is failed") {
  World world;
  world.checkHealthy = false;
  world.rollback->spec.timeoutSeconds = 120;
  reconcilers::Outcome bad;
  bad.kind = reconcilers::Outcome::Kind::Failed;
  bad.code = "WrongDatabase";
  bad.message = "live is neither";
  for (int pass = 0; pass < 1000; ++pass) {
    world.scripted["switchback"] = bad;
    const auto decision = world.decide();
    for (const auto& request : decision.requests)
      if (!world.send(request)) break;
    if (api::isEnding(world.rollback->status.phase.value_or(Phase::Pending))) break;
    world.step(2000);
  }
  REQUIRE(world.rollback->status.reason == "RevertFailed");
  expect("frameworkrollback-Failed-RevertFailed", "Failed", servedRollback(world));
}

TEST_CASE("kstatus: given backups of every kind, when read, then tools see what is so") {
  struct Case {
    const char* name;
    const char* wanted;
    void (*arrange)(CatalogModel&);
    int passes;
  };
  const char* const v1 =
      R"({"digest":"sha256:b","files":3,"bytes":5,"manifest":{"manifestVersion":1,"framework":"shop","current_version":"1.0.0"}})";
  const char* const unsettled =
      R"({"path":"shop/x","digest":"sha256:backup","sizeBytes":5,"schema":{"count":2,"digest":"sha256:s","structureDigest":"sha256:t"},"unsettled":true,"snapshotAt":"2026-11-24T03:00:07Z"})";
  static const std::string kV1 = v1, kUnsettled = unsettled;
  const auto c = GENERATE(Case{"Completed", "Current", [](CatalogModel&) {}, 60},
                          Case{"Completed-Unsettled", "Failed",
                               [](CatalogModel& m) {
                                 m.answers["backup"] = {"", kUnsettled};
                               },
                               60},
                          Case{"Completed-Unverified", "Failed",
                               [](CatalogModel& m) {
                                 m.backup->spec.path = "shop/old", m.answers["verify"] = {"", kV1};
                               },
                               60},
                          Case{"Failed", "Failed",
                               [](CatalogModel& m) {
                                 m.answers["backup"] = {"MayNotRead", "no"};
                               },
                               200},
                          Case{"Running", "InProgress", [](CatalogModel& m) { m.moverHangs = true; }, 12},
                          Case{"Pending", "InProgress", [](CatalogModel& m) { m.classExists = false; }, 12});
  CatalogModel model;
  model.backup.emplace();
  model.backup->meta.name = "before-upgrade";
  model.backup->meta.namespace_ = "demo";
  model.backup->meta.uid = "bb12cd34-0000-0000-0000-000000000001";
  model.backup->meta.generation = 1;
  model.backup->meta.resourceVersion = "1";
  model.backup->spec.frameworkName = "shop";
  c.arrange(model);
  model.runBackup(c.passes);
  INFO(model.story());
  REQUIRE(std::string(c.name).rfind(model.backup->status.phase, 0) == 0);
  expect(std::string("frameworkbackup-") + c.name, c.wanted,
         served(api::encodeFrameworkBackupStatus(*model.backup), model.backup->meta));
}

TEST_CASE("kstatus: given a Framework in every state, when read, then tools see what is so") {
  struct Case {
    const char* reason;
    const char* wanted;
    void (*arrange)(CatalogModel&);
    int passes;
  };
  const auto c = GENERATE(
      Case{"Healthy", "Current", [](CatalogModel&) {}, 60},
      Case{"Inspecting", "InProgress", [](CatalogModel& m) { m.moverHangs = true; }, 10},
      Case{"RolloutUnsettled", "InProgress", [](CatalogModel& m) { m.deployment.updatedReplicas = 1; }, 10},
      Case{"ScaledToZero", "Failed", [](CatalogModel& m) { m.scale(0); }, 10},
      Case{"NotOptedIn", "Failed", [](CatalogModel& m) { m.optedIn = false; }, 10},
      Case{"ClassMissing", "Failed", [](CatalogModel& m) { m.classExists = false; }, 10},
      Case{"StoresUnsupported", "Failed", [](CatalogModel& m) { m.framework.spec.stores[0].name = "files"; }, 10},
      Case{"RollbackActive", "InProgress",
           [](CatalogModel& m) {
             m.framework.status.activeRollback =
                 api::ActiveRollback{"back", "uid", "t", "2026-11-24T03:00:00Z", {}, {}, ""};
           },
           10});
  CatalogModel model;
  c.arrange(model);
  model.runFramework(c.passes);
  INFO(model.story());
  REQUIRE(model.condition("Ready").reason == c.reason);
  expect(std::string("framework-") + c.reason, c.wanted,
         served(api::encodeFrameworkStatus(model.framework), model.framework.meta));
}

TEST_CASE("kstatus: given a repository, when read, then it is current or failed") {
  const bool claim = GENERATE(true, false);
  reconcilers::RepositorySnapshot in;
  parseTime("2026-11-24T03:00:00Z", in.ns.now);
  in.ns.optIn.allowed = true;
  in.ns.repositoryClaimExists = claim;
  in.object.meta.name = "backups";
  in.object.meta.namespace_ = "demo";
  in.object.meta.generation = 1;
  in.object.spec.claimName = "backups";
  const auto decision = reconcilers::reconcileRepository(in, {});
  REQUIRE_FALSE(decision.requests.empty());
  expect(claim ? "backuprepository-ready" : "backuprepository-claim-missing", claim ? "Current" : "Failed",
         served(decision.requests.back().body, in.object.meta));
}
