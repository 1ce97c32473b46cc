// What a plan says, and that making one touches nothing.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "world.h"

using rollback::api::Phase;
using rollback::reconcilers::MeasuredDowntime;
using rollback::reconcilers::Outcome;
using rollback::reconcilers::RollbackSnapshot;
using rollback::test::World;
namespace kube = rollback::kube;

namespace {

World dryRun() {
  World world;
  world.rollback->spec.mode = "Plan";
  return world;
}

void requireUntouched(const World& world) {
  REQUIRE(world.violations.empty());
  REQUIRE(world.lockFree());
  REQUIRE_FALSE(world.ledger);
  REQUIRE(world.serving());
  REQUIRE(world.databases.size() == 1);
  REQUIRE(world.deployment.containers[0].image == "localhost/demo-app:2.0.0");
  for (const auto& [name, job] : world.jobs) {
    INFO(name);
    REQUIRE(job.effect == "read");
  }
}

// The task of the first Job that does `verb`.
nlohmann::json taskOf(const World& world, const std::string& verb) {
  for (const auto& [name, job] : world.jobs)
    if (job.verb == verb) return nlohmann::json::parse(job.task);
  return {};
}

}  // namespace

TEST_CASE(
    "Given mode Plan, when planned, then status.plan says all that is known, the backup was read and the image "
    "started") {
  World world = dryRun();
  world.deployment.fieldOwners = {{"kubectl-client-side-apply", "", true, {"app", "sidecar"}},
                                  {"framework-rollback-operator", "scale", true, {}}};
  world.inspectPatch =
      R"({"sessions": [{"user": "shop", "application": "app", "address": "10.0.0.7", "count": 3}],
          "live": {"tables": [{"name": "public.orders", "rows": 120, "exact": true}, {"name": "public.same", "rows": 7, "exact": true},
                              {"name": "public.big", "rows": 9000000, "exact": false}, {"name": "public.new", "rows": 4, "exact": true}]},
          "backup": {"manifest": {"stores": [{"name": "database",
             "schema": {"count": 1, "digest": "sha256:1.0.0", "structureDigest": "sha256:1.0.0"},
             "tables": [{"name": "public.orders", "rows": 100}, {"name": "public.same", "rows": 7}, {"name": "public.big", "rows": 8999000},
                        {"name": "public.gone", "rows": 2}]}]}}})";
  world.framework.spec.stores[0].postgres->capacityBytes = 5000000;
  REQUIRE(world.run());
  INFO(world.story());
  const auto& status = world.rollback->status;
  REQUIRE(status.phase == Phase::Planned);
  requireUntouched(world);
  REQUIRE(status.plan);
  const auto& plan = *status.plan;
  REQUIRE(plan.digest.rfind("sha256:", 0) == 0);
  REQUIRE(plan.backup);
  CHECK(plan.backup->name == "shop-1");
  CHECK(plan.backup->digest == "sha256:backup");
  CHECK(plan.images == std::vector<std::pair<std::string, std::string>>{{"main", "localhost/demo-app:1.0.0"}});
  CHECK(plan.steps ==
        std::vector<std::string>{"Lock", "VerifyBackup", "Stage", "Quiesce", "Switch", "Resume", "Verify", "Close"});
  CHECK(plan.checks ==
        std::vector<std::string>{"health main/ready", "schema of database", "invariant database/orders"});
  CHECK(plan.frozenClass.find("select name from migrations") != std::string::npos);
  REQUIRE(plan.writers.size() == 2);
  CHECK(plan.writers[0].field == "spec.replicas");
  CHECK(plan.writers[0].manager == "kubectl-client-side-apply");
  CHECK(plan.writers[1].field == "image of app");

  REQUIRE(plan.stores.size() == 1);
  const auto& store = plan.stores[0];
  CHECK(store.action == "Restore");
  CHECK(store.reason.find("drop_note") != std::string::npos);
  CHECK(store.requiredBytes == 1000);
  CHECK(store.availableBytes == 100000);
  CHECK(store.capacityBytes == 5000000);
  CHECK(store.capacityFrom.find("stores[].postgres.capacity") != std::string::npos);
  REQUIRE(store.clients.size() == 1);
  CHECK(store.clients[0].count == 3);
  REQUIRE(store.tables.size() == 4);
  CHECK(store.tablesDiffering == 4);
  CHECK(store.tables[0].name == "public.big");
  CHECK(store.tables[0].estimated);
  CHECK(store.tables[1].name == "public.orders");
  CHECK(store.tables[1].rowsNow == 120);
  CHECK(store.tables[1].rowsInBackup == 100);
  CHECK_FALSE(store.tables[1].estimated);
  CHECK(store.tables[2].name == "public.new");
  CHECK_FALSE(store.tables[2].rowsInBackup);
  CHECK(store.tables[3].name == "public.gone");
  CHECK_FALSE(store.tables[3].rowsNow);
  CHECK(plan.dataLoss.find("public.big: about 9000000 → 8999000, public.orders: 120 → 100") != std::string::npos);
  CHECK(plan.dataLoss.find("2026-11-24T02:00:00Z") != std::string::npos);
  CHECK(status.message.find("mode: Execute") != std::string::npos);

  const auto* verified = kube::findCondition(status.conditions, "BackupVerified");
  REQUIRE(verified);
  CHECK(verified->status == "True");
  CHECK(taskOf(world, "verify").at("repository").at("digest") == "sha256:backup");
  bool started = false;
  for (const auto& [name, job] : world.jobs)
    started = started || (job.verb == "noop" && job.image == "localhost/demo-app:1.0.0");
  CHECK(started);
}

TEST_CASE(
    "Given mode Plan and data that stays, when planned, then the plan says why, and what no rollback would lose") {
  World world = dryRun();
  world.databases["shop"].schema = "1.0.0";
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Planned);
  requireUntouched(world);
  const auto& plan = *world.rollback->status.plan;
  CHECK(plan.stores[0].action == "Keep");
  CHECK(plan.stores[0].reason.find("equals the backup's") != std::string::npos);
  CHECK_FALSE(plan.backup);
  CHECK(plan.dataLoss == "none: the data stays as it is");
  CHECK(plan.stores[0].tables.empty());
  CHECK(taskOf(world, "verify").is_null());
}

TEST_CASE(
    "Given mode Plan and a backup whose bytes were flipped, when planned, then it is refused and nothing was touched") {
  World world = dryRun();
  Outcome bad;
  bad.kind = Outcome::Kind::Failed;
  bad.code = "BackupDamaged";
  bad.message = "toc.dat is not what SHA256SUMS says";
  world.scripted["verify"] = bad;
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Failed);
  REQUIRE(world.rollback->status.reason == "NothingTouched");
  REQUIRE(world.rollback->status.message.find("toc.dat") != std::string::npos);
  REQUIRE(world.rollback->status.message.find("kubectl get frameworkbackups -n demo") != std::string::npos);
  const auto* verified = kube::findCondition(world.rollback->status.conditions, "BackupVerified");
  REQUIRE(verified);
  REQUIRE(verified->reason == "BackupDamaged");
  requireUntouched(world);
}

TEST_CASE(
    "Given mode Plan and an image that cannot be pulled, when planned, then it is refused and nothing was touched") {
  World world = dryRun();
  world.unpullableImages.insert("localhost/demo-app:1.0.0");
  REQUIRE(world.run(2000));
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Failed);
  REQUIRE(world.rollback->status.reason == "NothingTouched");
  REQUIRE(world.rollback->status.message.find("ImagePullBackOff") != std::string::npos);
  bool told = false;
  for (const auto& record : world.rollback->status.steps)
    told = told || (record.name == "StartTarget" && record.store.empty() && record.token == "TargetImageUnusable");
  REQUIRE(told);
  requireUntouched(world);
  REQUIRE(world.liveJobs() == 0);
}

TEST_CASE(
    "Given what is known of the downtime, when planned, then it is told with what it rests on, or said to be unknown") {
  World world = dryRun();
  SECTION("nothing") {
    REQUIRE(world.run());
    const auto& downtime = world.rollback->status.plan->downtime;
    CHECK(downtime.expectedMilliseconds == 0);
    CHECK(downtime.basis.rfind("unknown: ", 0) == 0);
    CHECK(downtime.startLimitSeconds > 0);
  }
  SECTION("how long the pods took to start") {
    world.changeSnapshot = [](RollbackSnapshot& in) {
      for (auto& pod : in.ns.workloads["Deployment/shop"].pods) {
        pod.meta.creationTimestamp = "2026-11-24T01:00:00Z";
        pod.readySince = "2026-11-24T01:00:07Z";
      }
    };
    REQUIRE(world.run());
    const auto& downtime = world.rollback->status.plan->downtime;
    CHECK(downtime.expectedMilliseconds == 7000);
    CHECK(downtime.basis.find("the pods that run") != std::string::npos);
  }
  SECTION("pods that tell nothing: ready again after hours") {
    world.changeSnapshot = [](RollbackSnapshot& in) {
      for (auto& pod : in.ns.workloads["Deployment/shop"].pods) {
        pod.meta.creationTimestamp = "2026-11-24T01:00:00Z";
        pod.readySince = "2026-11-24T09:00:00Z";
      }
    };
    REQUIRE(world.run());
    CHECK(world.rollback->status.plan->downtime.expectedMilliseconds == 0);
  }
  SECTION("an earlier rollback") {
    world.changeSnapshot = [](RollbackSnapshot& in) {
      in.measured = MeasuredDowntime{"earlier", "2026-11-20T00:00:00Z", 4894};
    };
    REQUIRE(world.run());
    const auto& downtime = world.rollback->status.plan->downtime;
    CHECK(downtime.expectedMilliseconds == 4894);
    CHECK(downtime.basis.find("rollback earlier") != std::string::npos);
  }
}

TEST_CASE(
    "Given the same wish on the same world, then the digest is the same whatever the time and the rows; else another") {
  const auto digestOf = [](void (*arrange)(World&)) {
    World world = dryRun();
    arrange(world);
    REQUIRE(world.run());
    INFO(world.story());
    REQUIRE(world.rollback->status.plan);
    return world.rollback->status.plan->digest;
  };
  const std::string base = digestOf([](World&) {});
  CHECK(digestOf([](World& w) {
          w.now += std::chrono::hours(1);
          w.changeSnapshot = [](RollbackSnapshot& in) { in.measured = MeasuredDowntime{"e", "x", 1}; };
          w.inspectPatch = R"({"live": {"sizeBytes": 77, "tables": []}, "space": {"available": 12345}})";
        }) == base);
  CHECK(digestOf([](World& w) { w.framework.meta.generation = 2; }) != base);
  CHECK(digestOf([](World& w) { w.frameworkClass.meta.generation = 2; }) != base);
  CHECK(digestOf([](World& w) { w.databases["shop"].oid = 999; }) != base);
  CHECK(digestOf([](World& w) { w.rollback->specDigest = "another"; }) != base);
  CHECK(digestOf([](World& w) { w.deployment.containers[0].image = "localhost/demo-app:2.0.1"; }) != base);
}

TEST_CASE(
    "Given no declared capacity, when planned, then the one claim of the tools' workload tells it, and nothing else "
    "does") {
  World world = dryRun();
  world.database.volumeClaimTemplates = {"data"};
  const auto claim = [](const char* name, const char* capacity) {
    return [=](RollbackSnapshot& in) { in.ns.claims[name].capacity = capacity; };
  };
  std::int64_t expected = 0;
  SECTION("bound") {
    world.changeSnapshot = claim("data-db-0", "5Gi");
    expected = std::int64_t{5} << 30;
  }
  SECTION("not bound yet") { world.changeSnapshot = claim("data-db-0", ""); }
  SECTION("another claim") { world.changeSnapshot = claim("data-other-0", "5Gi"); }
  SECTION("two claims: which one is the server's?") {
    world.database.volumeClaimTemplates = {"data", "wal"};
    world.changeSnapshot = claim("data-db-0", "5Gi");
  }
  SECTION("a claim of its pod template") {
    world.database.volumeClaimTemplates.clear();
    world.database.claimNames = {"pgdata"};
    world.changeSnapshot = claim("pgdata", "1Gi");
    expected = std::int64_t{1} << 30;
  }
  SECTION("declared: that is what counts") {
    world.framework.spec.stores[0].postgres->capacityBytes = 4096;
    world.changeSnapshot = claim("data-db-0", "5Gi");
    expected = 4096;
  }
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Planned);
  CHECK(taskOf(world, "inspect").at("postgres").at("capacityBytes") == expected);
  CHECK(world.rollback->status.plan->stores[0].capacityBytes == expected);
  CHECK_FALSE(world.rollback->status.plan->stores[0].capacityFrom.empty());
}

TEST_CASE("Given a claim that told the capacity, when staged, then the Job is told what the plan was told") {
  World world;
  world.database.volumeClaimTemplates = {"data"};
  // Claims are read for the plan only.
  world.changeSnapshot = [](RollbackSnapshot& in) {
    if (!in.rollback.status.plan) in.ns.claims["data-db-0"].capacity = "5Gi";
  };
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  CHECK(taskOf(world, "stage").at("postgres").at("capacityBytes") == std::int64_t{5} << 30);
}

TEST_CASE(
    "Given afterStage of the class, when rolled back, then the plan names it, and only staging runs what was planned") {
  World world;
  world.frameworkClass.spec.stores[0].afterStage = {{"mark-crashed", "update executions set status = 'crashed'"},
                                                    {"outbox", "delete from outbox"}};
  // Whoever changes the class after the plan changes nothing of this rollback.
  world.changeSnapshot = [](RollbackSnapshot& in) {
    if (in.rollback.status.plan && in.ns.frameworkClass)
      in.ns.frameworkClass->spec.stores[0].afterStage = {{"drop", "drop table orders"}};
  };
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  CHECK(world.rollback->status.plan->stores[0].afterStage == std::vector<std::string>{"mark-crashed", "outbox"});
  CHECK(taskOf(world, "stage").at("afterStage") ==
        nlohmann::json::parse(R"([{"name": "mark-crashed", "statement": "update executions set status = 'crashed'"},
                                  {"name": "outbox", "statement": "delete from outbox"}])"));
  for (const char* verb : {"inspect", "verify", "switch", "check"}) {
    INFO(verb);
    CHECK_FALSE(taskOf(world, verb).contains("afterStage"));
  }
}

TEST_CASE("Given afterStage of the class and data that stays, when planned, then nothing of it is announced") {
  World world = dryRun();
  world.databases["shop"].schema = "1.0.0";
  world.frameworkClass.spec.stores[0].afterStage = {{"outbox", "delete from outbox"}};
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Planned);
  CHECK(world.rollback->status.plan->stores[0].afterStage.empty());
}

TEST_CASE("Given a statement of afterStage that fails, when staged, then nothing was touched and the message has why") {
  World world;
  Outcome bad;
  bad.kind = Outcome::Kind::Failed;
  bad.code = "AfterStageFailed";
  bad.message = "statement \"outbox\" of afterStage failed on the staged copy: relation \"outbox\" does not exist";
  world.scripted["stage"] = bad;
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Failed);
  REQUIRE(world.rollback->status.reason == "NothingTouched");
  REQUIRE(world.rollback->status.message.find("relation \"outbox\" does not exist") != std::string::npos);
  REQUIRE(world.serving());
  REQUIRE(world.lockFree());
}

TEST_CASE("Given otherClients, when planned and switched, then the Jobs may end sessions of others, or may not") {
  World world;
  const std::string what = GENERATE("Refuse", "Terminate");
  world.framework.spec.stores[0].postgres->otherClients = what;
  REQUIRE(world.run());
  INFO(world.story());
  for (const char* verb : {"inspect", "switch"}) {
    const auto task = taskOf(world, verb);
    INFO(verb << " " << task.dump());
    if (what == "Terminate")
      CHECK(task.at("otherClients") == nlohmann::json::array({"*"}));
    else
      CHECK_FALSE(task.contains("otherClients"));
  }
}

TEST_CASE("Given the target runs already, by tag and by the digest behind it, when planned, then it is skipped") {
  World world;
  world.deployment.containers[0].image = "localhost/demo-app:1.0.0";
  world.databases["shop"].schema = "1.0.0";
  world.changeBackup = [](rollback::api::FrameworkBackup& backup) {
    backup.status.images = {{"main", "localhost/demo-app:1.0.0@sha256:11"}};
  };
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Skipped);
  REQUIRE(world.rollback->status.reason == "AlreadyAtTarget");
}
