// The engine from apply to end in a model world, and again with the process dying at every point.
#include <catch2/catch.hpp>

#include "endings.h"
#include "rollback/rollback.h"

using rollback::api::Phase;
using rollback::reconcilers::Outcome;
using rollback::test::somebodyScales;
using rollback::test::somebodySetsImage;
using rollback::test::World;

namespace {

void requireNothingStaged(const World& world) {
  requireAtRest(world);
  for (const auto& [name, database] : world.databases) {
    INFO(name);
    REQUIRE(database.open == world.isLive(name));
    REQUIRE(name.find("_stage_") == std::string::npos);
  }
}

void requireRolledBack(const World& world) {
  requireNothingStaged(world);
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE(world.deployment.containers[0].image == "localhost/demo-app:1.0.0");
  const auto& stores = world.framework.spec.stores;
  for (const auto& store : stores) {
    const std::string name = store.postgres->database, prev = name + "_prev_ab12cd34";
    REQUIRE(world.databases.at(name).content == "as backed up");
    REQUIRE(world.databases.at(prev).content == "written by 2.0.0");
    REQUIRE(world.keeps(prev, world.databases.at(prev).oid));
  }
  REQUIRE(world.framework.status.kept.size() == stores.size());
  REQUIRE(world.restores == static_cast<int>(stores.size()));
}

void requireAsBefore(const World& world) {
  requireNothingStaged(world);
  REQUIRE(world.deployment.containers[0].image == "localhost/demo-app:2.0.0");
  for (const auto& store : world.framework.spec.stores)
    REQUIRE(world.databases.at(store.postgres->database).content == "written by 2.0.0");
}

}  // namespace

TEST_CASE("Given a live schema the target never had, when rolled back, then version and data go back together") {
  World world;
  const bool ended = world.run();
  INFO(world.story());
  REQUIRE(ended);
  requireRolledBack(world);
  const auto& status = world.rollback->status;
  REQUIRE(status.fromVersion == "2.0.0");
  REQUIRE(status.toVersion == "1.0.0");
  REQUIRE(status.downtime);
  REQUIRE(status.downtime->milliseconds > 0);
  REQUIRE(status.plan->stores[0].action == "Restore");
  REQUIRE(status.previous.size() == 1);
}

TEST_CASE("Given the target's schema is live already, when rolled back, then the database is left alone") {
  World world;
  world.databases["shop"].schema = "1.0.0";
  const bool ended = world.run();
  INFO(world.story());
  REQUIRE(ended);
  requireNothingStaged(world);
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE(world.databases.at("shop").content == "written by 2.0.0");
  REQUIRE(world.restores == 0);
  REQUIRE(world.rollback->status.message.find("was left alone") != std::string::npos);
}

TEST_CASE(
    "Given a target that never becomes ready, when rolled back, then everything returns as it was and the restored "
    "copy is kept") {
  World world;
  world.brokenImages.insert("localhost/demo-app:1.0.0");
  const bool ended = world.run();
  INFO(world.story());
  REQUIRE(ended);
  requireAsBefore(world);
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.databases.at("shop_reverted_ab12cd34").content == "as backed up");
  REQUIRE(world.framework.status.kept.size() == 1);
  REQUIRE(world.framework.status.kept[0].kind == "reverted");
}

TEST_CASE("Given a check that fails after Resume, when verifying, then it reverts") {
  World world;
  world.checkHealthy = false;
  const bool ended = world.run();
  INFO(world.story());
  REQUIRE(ended);
  requireAsBefore(world);
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.reason == "Unhealthy");
}

TEST_CASE("Given a step that fails before Quiesce, when rolled back, then nothing was touched and nothing is left") {
  const std::string verb = GENERATE("verify", "stage");
  World world;
  Outcome bad;
  bad.kind = Outcome::Kind::Failed;
  bad.code = "BackupDamaged";
  bad.message = "toc.dat: SHA-256 differs";
  world.scripted[verb] = bad;
  const bool ended = world.run();
  INFO(verb << "\n" << world.story());
  REQUIRE(ended);
  requireAsBefore(world);
  REQUIRE(world.rollback->status.phase == Phase::Failed);
  REQUIRE(world.rollback->status.reason == "NothingTouched");
  REQUIRE(world.rollback->status.message.find("toc.dat") != std::string::npos);
  REQUIRE(world.databases.size() == 1);
  REQUIRE_FALSE(world.rollback->status.downtime);
}

TEST_CASE(
    "Given somebody who scales up again at once, when quiescing, then a few writes later it says so and reverts") {
  World world;
  for (int i = 0; i < 400 && !world.ended(); ++i) {
    world.pass();
    if (world.deployment.replicas != 0 || world.rollback->status.step != "Quiesce") continue;
    somebodyScales(world.deployment, 2);
  }
  INFO(world.story());
  REQUIRE(world.run());
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  const auto writes = std::count_if(world.log.begin(), world.log.end(), [](const std::string& line) {
    return line.find("PATCH deployments/scale") != std::string::npos;
  });
  REQUIRE(writes > 2);
  REQUIRE(writes <= 10);
  requireAsBefore(world);
  REQUIRE(world.rollback->status.reason == "ReplicasContested");
  REQUIRE(world.rollback->status.message.find("--show-managed-fields") != std::string::npos);
}

TEST_CASE("Given a kubelet that does not show the go token, when the application waits, then it is said again") {
  World world;
  world.goesMissed = 2;
  REQUIRE(world.run());
  INFO(world.story());
  requireNothingStaged(world);
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE(world.goesMissed == 0);
  REQUIRE(world.rollback->status.downtime->milliseconds < 20000);
  const auto said = std::count_if(world.log.begin(), world.log.end(),
                                  [](const std::string& line) { return line.rfind("PATCH pods", 0) == 0; });
  REQUIRE(said == 3);
}

TEST_CASE(
    "Given a deposed leader's write that stops the application, when it arrives after another went back, then it "
    "misses") {
  World world;
  std::optional<rollback::kube::Request> late;
  for (int i = 0; i < 200 && !late; ++i) {
    for (const auto& request : world.decide().requests)
      if (request.subresource == "scale") late = request;
    if (!late) world.pass();
  }
  REQUIRE(late);
  const bool lost = GENERATE(false, true);
  if (lost) {
    world.loseRollback(true);
    REQUIRE(world.runFramework());
  } else {
    world.rollback->spec.abort = true;
    REQUIRE(world.run());
    REQUIRE(world.rollback->status.phase == Phase::Reverted);
  }
  INFO(world.story());
  REQUIRE(world.lockFree());
  REQUIRE_FALSE(world.send(*late));
  REQUIRE(world.serving());
}

TEST_CASE("Given somebody who sets the image back at once, when switching, then a few writes later it says so") {
  World world;
  for (int i = 0; i < 400 && !world.ended(); ++i) {
    world.pass();
    if (world.rollback->status.step != "Switch" || world.deployment.containers[0].image != "localhost/demo-app:1.0.0")
      continue;
    somebodySetsImage(world.deployment, "localhost/demo-app:2.0.0");
  }
  INFO(world.story());
  REQUIRE(world.run());
  requireAsBefore(world);
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.reason == "ImageContested");
}

TEST_CASE("Given a target image that cannot be pulled, when staging, then nothing was touched") {
  World world;
  world.unpullableImages.insert("localhost/demo-app:1.0.0");
  const bool ended = world.run(2000);
  INFO(world.story());
  REQUIRE(ended);
  requireAsBefore(world);
  REQUIRE(world.rollback->status.phase == Phase::Failed);
  REQUIRE(world.rollback->status.message.find("ImagePullBackOff") != std::string::npos);
}

TEST_CASE("Given an ended rollback, when it is applied again under the same name and spec, then it is skipped") {
  World world;
  REQUIRE(world.run());
  const auto databases = world.databases.size();
  world.rollback = rollback::test::wish();
  world.rollback->meta.uid = "ffffffff-0000-0000-0000-000000000002";
  const bool ended = world.run();
  INFO(world.story());
  REQUIRE(ended);
  REQUIRE(world.rollback->status.phase == Phase::Skipped);
  REQUIRE(world.rollback->status.reason == "AlreadyExecuted");
  REQUIRE(world.databases.size() == databases);
  REQUIRE(world.restores == 1);
}

TEST_CASE("Given another rollback holds the lock, when planned, then it waits visibly and touches nothing") {
  World world;
  world.framework.status.activeRollback = rollback::api::ActiveRollback{"other", "other-uid", "t", "", {}, {}, ""};
  REQUIRE_FALSE(world.run(50));
  REQUIRE(world.rollback->status.message.find("waiting for rollback other") != std::string::npos);
  REQUIRE(world.jobs.empty());
  world.framework.status.activeRollback.reset();
  REQUIRE(world.run());
  requireRolledBack(world);
}

TEST_CASE("Given mode Plan, when planned, then the plan is written and nothing else happens") {
  World world;
  world.rollback->spec.mode = "Plan";
  REQUIRE(world.run());
  requireAsBefore(world);
  REQUIRE(world.rollback->status.phase == Phase::Planned);
  REQUIRE(world.rollback->status.plan->stores[0].action == "Restore");
  REQUIRE_FALSE(world.ledger);
}

TEST_CASE("Given a precondition that does not hold, when planned, then it is skipped") {
  World world;
  SECTION("another version runs") { world.rollback->spec.fromVersion = "3.0.0"; }
  SECTION("validUntil has passed") { world.rollback->spec.validUntil = "2026-11-24T01:00:00Z"; }
  SECTION("target runs with equal data") {
    world.deployment.containers[0].image = "localhost/demo-app:1.0.0";
    world.databases["shop"].schema = "1.0.0";
  }
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Skipped);
  REQUIRE(world.rollback->status.message.find(
              " · the application was not touched and serves as before · nothing more is done · kubectl ") !=
          std::string::npos);
  REQUIRE(world.databases.size() == 1);
}

TEST_CASE("Given one whose validUntil passes between plan and lock, when it goes on, then it is skipped") {
  World world;
  world.rollback->spec.validUntil = "2026-11-24T06:00:00Z";
  world.changeSnapshot = [](rollback::reconcilers::RollbackSnapshot& in) {
    if (in.rollback.status.plan) rollback::parseTime("2026-11-24T06:00:01Z", in.ns.now);
  };
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.plan);
  REQUIRE(world.rollback->status.phase == Phase::Skipped);
  REQUIRE(world.rollback->status.reason == "Expired");
  REQUIRE_FALSE(world.framework.status.activeRollback);
  requireAsBefore(world);
}

TEST_CASE("Given somebody changes the databases after the switch, when it succeeds, then it says so") {
  World world;
  while (!world.databases.count("shop_prev_ab12cd34")) world.pass();
  const char* told = nullptr;
  SECTION("nobody does") { told = "the previous database is kept, closed, as shop_prev_ab12cd34 until"; }
  SECTION("the previous one is opened") {
    world.databases["shop_prev_ab12cd34"].open = true;
    told =
        "shop_prev_ab12cd34, is open, somebody opened it; to close it: psql -c 'alter database "
        "\"shop_prev_ab12cd34\" with allow_connections false'";
  }
  SECTION("the previous one is dropped") {
    world.databases.erase("shop_prev_ab12cd34");
    told = "shop_prev_ab12cd34, is not there any more";
  }
  SECTION("another takes its name") {
    world.databases["shop_prev_ab12cd34"].oid = 99999;
    told = "shop_prev_ab12cd34, is not there any more";
  }
  SECTION("another takes the place of live") {
    world.databases["shop"].oid = 99999;
    told =
        "database shop is not the one that was switched in, somebody put another in its place; the previous "
        "database, shop_prev_ab12cd34, is kept, closed";
  }
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE(world.rollback->status.message.find(told) != std::string::npos);
  REQUIRE(world.deployment.replicas > 0);
  REQUIRE(world.lockFree());
}

TEST_CASE("Given a framework without stores, when rolled back, then its health is asked from its own image") {
  World world;
  world.framework.spec.stores.clear();
  world.frameworkClass.spec.stores.clear();
  world.checkHealthy = GENERATE(true, false);
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == (world.checkHealthy ? Phase::Succeeded : Phase::Reverted));
  if (!world.checkHealthy) REQUIRE(world.rollback->status.reason == "Unhealthy");
  const auto check =
      std::find_if(world.jobs.begin(), world.jobs.end(), [](const auto& job) { return job.second.verb == "check"; });
  REQUIRE(check != world.jobs.end());
  REQUIRE(check->second.image == "localhost/demo-app:1.0.0");
}

// How often the world is asked for a decision until the end, undisturbed.
static int passesOf(void (*arrange)(World&)) {
  World world;
  arrange(world);
  int passes = 0;
  while (world.rollback && !(world.rollback->status.phase && rollback::api::isEnding(*world.rollback->status.phase)) &&
         passes < 1000) {
    for (const auto& request : world.decide().requests)
      if (!world.send(request)) break;
    world.step();
    ++passes;
  }
  return passes;
}

TEST_CASE(
    "Given the process dies at any pass, before, in the middle of or after its writes, then it ends in the same "
    "place") {
  struct Scenario {
    const char* name;
    void (*arrange)(World&);
    Phase end;
  };
  const auto scenario =
      GENERATE(Scenario{"success", [](World&) {}, Phase::Succeeded},
               Scenario{"revert", [](World& w) { w.brokenImages.insert("localhost/demo-app:1.0.0"); }, Phase::Reverted},
               Scenario{"unhealthy", [](World& w) { w.checkHealthy = false; }, Phase::Reverted},
               Scenario{"two stores", [](World& w) { w.addStore("audit", false); }, Phase::Succeeded},
               Scenario{"two stores, the second is not switched",
                        [](World& w) {
                          w.addStore("audit", true);
                          Outcome bad;
                          bad.kind = Outcome::Kind::Refused;
                          bad.code = "ForeignSession";
                          w.scripted["switch audit"] = bad;
                        },
                        Phase::Reverted});
  const int passes = passesOf(scenario.arrange);
  REQUIRE(passes < 1000);
  for (int die = 0; die < passes; ++die)
    for (int kept = 0; kept <= 1; ++kept) {
      World world;
      scenario.arrange(world);
      for (int pass = 0; pass < die; ++pass) {
        for (const auto& request : world.decide().requests)
          if (!world.send(request)) break;
        world.step();
      }
      // This pass dies after `kept` of its writes were executed; nothing it kept in memory survives.
      const auto decision = world.decide();
      for (int i = 0; i < kept && i < static_cast<int>(decision.requests.size()); ++i)
        world.send(decision.requests[static_cast<std::size_t>(i)]);
      world.step(30000);
      const bool ended = world.run(1000);
      INFO(scenario.name << ", dead at pass " << die << " after " << kept << " writes\n" << world.story());
      REQUIRE(ended);
      REQUIRE(world.rollback->status.phase == scenario.end);
      REQUIRE(world.restores == static_cast<int>(world.framework.spec.stores.size()));
      if (scenario.end == Phase::Succeeded)
        requireRolledBack(world);
      else
        requireAsBefore(world);
    }
}

TEST_CASE("Given the rollback is deleted or aborted at any pass, then the application is returned to service") {
  const bool deleting = GENERATE(true, false);
  const int passes = passesOf([](World&) {});
  for (int at = 0; at < passes; ++at) {
    World world;
    for (int pass = 0; pass < at; ++pass) {
      for (const auto& request : world.decide().requests)
        if (!world.send(request)) break;
      world.step();
    }
    if (deleting) {
      if (world.rollback->meta.finalizers.empty()) continue;  // it would be gone at once, and had touched nothing
      world.rollback->meta.deletionTimestamp = "2026-11-24T03:10:00Z";
    } else {
      world.rollback->spec.abort = true;
    }
    const bool ended = world.run(1000);
    INFO((deleting ? "deleted" : "aborted") << " at pass " << at << "\n" << world.story());
    REQUIRE(ended);
    REQUIRE(world.violations.empty());
    REQUIRE(world.lockFree());
    REQUIRE(world.serving());
    REQUIRE(world.liveJobs() == 0);
    REQUIRE(world.rollback.has_value() == !deleting);
  }
}

TEST_CASE(
    "Given one snapshot, when decided twice, then the answer is the same, and an act in it is one its record "
    "announces") {
  World world;
  int announced = 0;
  const rollback::reconcilers::Settings settings{"m", "Never"};
  for (int pass = 0;
       pass < 200 && !(world.rollback->status.phase && rollback::api::isEnding(*world.rollback->status.phase));
       ++pass) {
    const auto snapshot = world.snapshot();
    const auto first = rollback::reconcilers::reconcileRollback(snapshot, settings);
    const auto second = rollback::reconcilers::reconcileRollback(snapshot, settings);
    REQUIRE(first.requests.size() == second.requests.size());
    for (std::size_t i = 0; i < first.requests.size(); ++i) {
      REQUIRE(first.requests[i].describe() == second.requests[i].describe());
      REQUIRE(first.requests[i].body == second.requests[i].body);
      const bool records =
          first.requests[i].resource.plural == "frameworkrollbacks" && first.requests[i].subresource == "status";
      if (records) REQUIRE(i == 0);
      if (i == 1 && first.requests[0].resource.plural == "frameworkrollbacks") {
        // What a process does that dies between the two: the record alone leads to the same acts.
        const auto after = rollback::reconcilers::reconcileRollback(world.snapshot(), settings);
        REQUIRE(after.requests.size() == first.requests.size() - 1);
        for (std::size_t k = 0; k < after.requests.size(); ++k)
          REQUIRE(after.requests[k].body == first.requests[k + 1].body);
        ++announced;
      }
      REQUIRE(world.send(first.requests[i]));
    }
    world.step();
  }
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE(announced > 5);
}

TEST_CASE("Given a class that is changed between plan and lock, when locked, then it is planned again and succeeds") {
  World world;
  for (int pass = 0; pass < 50 && !world.framework.status.activeRollback; ++pass) world.pass();
  REQUIRE(world.framework.status.activeRollback);
  const std::string before = world.rollback->status.plan->digest;
  ++world.frameworkClass.meta.generation;
  world.pass();
  REQUIRE_FALSE(world.rollback->status.plan);  // all begins anew, under the lock
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE(world.rollback->status.plan->digest != before);
}
