// to.undo: the kept data swapped back after a success, or the lock of a held rollback taken over.
#include <algorithm>
#include <catch2/catch.hpp>

#include "api/resources.h"
#include "endings.h"

using namespace rollback;
using api::Phase;
using rollback::test::kNew;
using rollback::test::kOld;
using rollback::test::requireTidy;
using rollback::test::undoOf;
using rollback::test::World;

namespace {

void requireRuns(const World& world, const char* image, const char* content) {
  REQUIRE(world.deployment.containers[0].image == image);
  REQUIRE(world.databases.at("shop").content == content);
}

// A world whose rollback to 1.0.0 succeeded, and whose undo is applied.
World undoing() {
  World world;
  REQUIRE(world.run());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  world.databases["shop"].content = "as backed up, and written since";
  world.apply(undoOf(World::kName));
  return world;
}

// A world whose rollback is held after its target came up unhealthy, and whose undo is applied.
World held() {
  World world;
  world.rollback->spec.onFailure = "Hold";
  world.checkHealthy = false;
  REQUIRE(world.run());
  REQUIRE(world.rollback->status.reason == "Held");
  world.checkHealthy = true;
  world.apply(undoOf(World::kName));
  return world;
}

}  // namespace

TEST_CASE(
    "Given a rollback that succeeded, when undone, then data and version are back, and what was written is kept") {
  World world = undoing();
  const auto before = world.log.size();
  const bool ended = world.run();
  INFO(world.story());
  REQUIRE(ended);
  requireTidy(world);
  const auto& status = world.rollback->status;
  REQUIRE(status.phase == Phase::Succeeded);
  requireRuns(world, kNew, "written by 2.0.0");
  REQUIRE(world.databases.at("shop").oid == 16385);
  REQUIRE(world.databases.at("shop_reverted_cd56ef78").content == "as backed up, and written since");
  REQUIRE(world.restores == 1);
  for (auto line = world.log.begin() + static_cast<std::ptrdiff_t>(before); line != world.log.end(); ++line) {
    REQUIRE(*line != "mover stage: ok");
    REQUIRE(*line != "mover verify: ok");
  }
  REQUIRE(status.plan->stores[0].action == "Undo");
  REQUIRE(status.plan->stores[0].writtenFrom == world.past.at(World::kName).status.downtime->endedAt);
  REQUIRE(status.plan->dataLoss.find(status.plan->stores[0].writtenFrom) != std::string::npos);
  REQUIRE(status.plan->dataLoss.find("shop_reverted_cd56ef78") != std::string::npos);
  REQUIRE(status.downtime->milliseconds > 0);
  REQUIRE(status.previous.at(0).name == "shop_reverted_cd56ef78");
  const auto& kept = world.framework.status.kept.at(0);
  REQUIRE(kept.kind == "reverted");
  REQUIRE(kept.writtenFrom == status.plan->stores[0].writtenFrom);
  REQUIRE(kept.writtenTo == status.downtime->startedAt);
  REQUIRE(world.framework.status.lastRollback->name == world.rollback->meta.name);
}

TEST_CASE("Given a success, when its message is read, then it names the one command that undoes it") {
  World world;
  REQUIRE(world.run());
  REQUIRE(world.rollback->status.message.find(
              R"(echo '{"apiVersion":"rollback.pa-ecosystem.io/v1alpha1","kind":"FrameworkRollback","metadata":)"
              R"({"name":"undo-back-to-1","namespace":"demo"},"spec":{"frameworkRef":{"name":"shop"},"to":)"
              R"({"undo":"back-to-1"},"accept":{"dataLoss":true}}}' | kubectl create -f -)") != std::string::npos);
}

TEST_CASE(
    "Given an undo, when it is undone, then what was written in between is back; the first cannot be undone again") {
  World world = undoing();
  REQUIRE(world.run());
  const std::string first = world.rollback->meta.name;
  world.databases["shop"].content = "written by 2.0.0, again";
  world.apply(undoOf(World::kName, "ee000001"));
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.message.find("NotLatest") != std::string::npos);
  world.apply(undoOf(first, "ee000002"));
  REQUIRE(world.run());
  requireTidy(world);
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireRuns(world, kOld, "as backed up, and written since");
  REQUIRE(world.databases.at("shop_reverted_ee000002").content == "written by 2.0.0, again");
  REQUIRE(world.restores == 1);
}

TEST_CASE(
    "Given a rollback that left the data alone, when undone, then only the version goes, and no loss is to accept") {
  World world;
  world.databases["shop"].schema = "1.0.0";
  REQUIRE(world.run());
  auto undo = undoOf(World::kName);
  undo.spec.acceptDataLoss = false;
  SECTION("the schema is as it was") {
    world.apply(undo);
    REQUIRE(world.run());
    INFO(world.story());
    requireTidy(world);
    REQUIRE(world.rollback->status.phase == Phase::Succeeded);
    requireRuns(world, kNew, "written by 2.0.0");
    REQUIRE(world.rollback->status.plan->dataLoss == "none: the data stays as it is");
  }
  SECTION("the schema has changed since") {
    world.databases["shop"].schema = "1.5.0";
    world.apply(undo);
    REQUIRE(world.run());
    INFO(world.story());
    requireTidy(world);
    REQUIRE(world.rollback->status.message.find("SchemaChanged") != std::string::npos);
  }
}

TEST_CASE("Given an undo to what was unhealthy, when it starts, then it stays and its message says what is wrong") {
  World world = undoing();
  world.checkHealthy = false;
  REQUIRE(world.run());
  INFO(world.story());
  requireTidy(world);
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE_FALSE(world.rollback->status.applicationHealthy);
  REQUIRE(world.rollback->status.message.find("as before, it is not healthy: health check main/ready failed") !=
          std::string::npos);
  requireRuns(world, kNew, "written by 2.0.0");
}

TEST_CASE(
    "Given an undo that fails after its switch, then it is taken back, and can be tried again under another name") {
  World world = undoing();
  world.brokenImages.insert(kNew);
  REQUIRE(world.run());
  INFO(world.story());
  requireTidy(world);
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  requireRuns(world, kOld, "as backed up, and written since");
  const auto& kept = world.framework.status.kept.at(0);
  REQUIRE(kept.name == "shop_prev_cd56ef78");
  REQUIRE(kept.ofName == World::kName);
  REQUIRE(kept.until == world.past.at(World::kName).status.previous.at(0).until);
  world.brokenImages.clear();
  world.apply(undoOf(World::kName, "ee000001"));
  REQUIRE(world.run());
  requireTidy(world);
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireRuns(world, kNew, "written by 2.0.0");
}

TEST_CASE("Given mode Plan, when an undo is planned, then the window of writes is in the plan, accepted or not") {
  World world = undoing();
  world.rollback->spec.mode = "Plan";
  world.rollback->spec.acceptDataLoss = false;
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Planned);
  REQUIRE(world.rollback->status.plan->dataLoss.find("needs spec.accept.dataLoss: true") != std::string::npos);
  requireTidy(world);
  requireRuns(world, kOld, "as backed up, and written since");
}

TEST_CASE("Given mode Plan, when the undo of a held rollback is planned, then the held one keeps its lock") {
  World world = held();
  world.rollback->spec.mode = "Plan";
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Planned);
  REQUIRE(world.rollback->status.plan->dataLoss.find("shop_reverted_ab12cd34") != std::string::npos);
  REQUIRE(world.framework.status.activeRollback->name == World::kName);
  REQUIRE(world.databases.at("shop").content == "as backed up");
  REQUIRE(world.violations.empty());
}

TEST_CASE("Given an undo that cannot be, when planned, then it says why and nothing was touched") {
  struct Case {
    const char* code;
    void (*arrange)(World&);
  };
  const auto c = GENERATE(
      Case{"UndoTargetMissing", [](World& w) { w.rollback->spec.to.undo = "nobody"; }},
      Case{"UndoTargetOfAnotherFramework", [](World& w) { w.past.at(World::kName).spec.frameworkName = "another"; }},
      Case{"NothingToUndo", [](World& w) { w.past.at(World::kName).status.phase = Phase::Reverted; }},
      Case{"NothingToUndo", [](World& w) { w.past.at(World::kName).status.phase = Phase::Planning; }},
      Case{"NotLatest",
           [](World& w) {
             w.framework.status.lastRollback = api::LastRollback{"later", "later-uid", ""};
           }},
      Case{"NotLatest", [](World& w) { w.framework.status.lastRollback.reset(); }},
      Case{"KeptCopyGone", [](World& w) { w.framework.status.kept.clear(); }},
      Case{"KeptCopyGone", [](World& w) { w.databases.erase("shop_prev_ab12cd34"); }},
      Case{"KeptCopyGone", [](World& w) { w.now += std::chrono::hours(25); }},
      Case{"KeptCopyGone",
           [](World& w) {
             api::StepRecord cleanup;
             cleanup.name = "Cleanup";
             cleanup.store = "database";
             cleanup.state = "Running";
             cleanup.message = "dropping shop_prev_ab12cd34";
             w.framework.status.steps = {cleanup};
           }},
      Case{"KeptCopyReplaced", [](World& w) { w.databases["shop_prev_ab12cd34"].oid = 7; }},
      Case{"DatabaseReplaced", [](World& w) { w.databases["shop"].oid = 8; }},
      Case{"DatabaseReplaced",
           [](World& w) { w.past.at(World::kName).status.plan->stores[0].systemIdentifier = "7001"; }},
      Case{"DataLossNotAccepted", [](World& w) { w.rollback->spec.acceptDataLoss = false; }},
      Case{"StoreChanged", [](World& w) { w.framework.spec.stores[0].postgres->database = "shop2"; }},
      Case{"StoreChanged", [](World& w) { w.past.at(World::kName).status.plan->stores.clear(); }},
      Case{"PreparedTransaction",
           [](World& w) {
             w.blockers = {{"PreparedTransaction", "one is there"}};
           }},
      Case{"WorkloadPaused", [](World& w) { w.deployment.paused = true; }});
  World world = undoing();
  const auto databases = world.databases.size();
  c.arrange(world);
  const auto kept = world.databases.size();
  const bool ended = world.run();
  INFO(c.code << "\n" << world.story());
  REQUIRE(ended);
  REQUIRE(world.rollback->status.phase == Phase::Failed);
  REQUIRE(world.rollback->status.reason == "NothingTouched");
  REQUIRE(world.rollback->status.message.find(std::string("(") + c.code + ")") != std::string::npos);
  REQUIRE(world.databases.size() == kept);
  REQUIRE(kept + 1 >= databases);
  REQUIRE(world.lockFree());
  REQUIRE(world.deployment.containers[0].image == kOld);
  REQUIRE(world.violations.empty());
}

TEST_CASE("Given blockers that stand only in the way of staging, when undone, then they do not matter") {
  World world = undoing();
  world.blockers = {{"SpaceUnknown", "capacity is not declared"}, {"MayNotCreateDatabase", "role shop may not"}};
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
}

TEST_CASE("Given a kept copy whose time ends between plan and lock, when undone, then it is refused, not half done") {
  World world = undoing();
  world.rollback->spec.suspend = false;
  while (!world.rollback->status.plan) world.pass();
  const auto until = world.framework.status.kept.at(0).until;
  parseTime(until, world.now);
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.message.find("KeptCopyGone") != std::string::npos);
  REQUIRE(world.databases.count("shop_prev_ab12cd34"));
  REQUIRE(world.lockFree());
}

TEST_CASE("Given an undo in flight, when the kept copy's time ends, then Cleanup does not drop it") {
  World world = undoing();
  while (world.lockFree()) world.pass();
  world.now += std::chrono::hours(30);
  world.rollback->status.deadline.clear();
  for (int i = 0; i < 5; ++i) world.framePass();
  INFO(world.story());
  for (const auto& [name, job] : world.jobs) REQUIRE(job.verb != "cleanup");
  REQUIRE(world.databases.count("shop_prev_ab12cd34"));
}

TEST_CASE("Given the process dies at any pass of an undo, then it ends in the same place") {
  struct Scenario {
    const char* name;
    World (*begin)();
    void (*arrange)(World&);
    Phase end;
    const char *image, *content;
  };
  const auto scenario =
      GENERATE(Scenario{"undo", undoing, [](World&) {}, Phase::Succeeded, kNew, "written by 2.0.0"},
               Scenario{"undo that fails", undoing, [](World& w) { w.brokenImages.insert(kNew); }, Phase::Reverted,
                        kOld, "as backed up, and written since"},
               Scenario{"undo of a held one", held, [](World&) {}, Phase::Succeeded, kNew, "written by 2.0.0"});
  World probe = scenario.begin();
  scenario.arrange(probe);
  int die = 0;
  for (; !probe.ended(); probe.pass(), ++die) {
    for (std::size_t most = 0; most <= 1; ++most) {
      // After its only write is before the next pass.
      if (most == 1 && probe.decide().requests.size() < 2) continue;
      World world = probe;
      world.pass(most, 30000);
      const bool ended = world.run(1000);
      for (int i = 0; i < 4; ++i) world.step();
      INFO(scenario.name << ", dead at pass " << die << " after " << most << " writes\n" << world.story());
      REQUIRE(ended);
      REQUIRE(world.rollback->status.phase == scenario.end);
      requireTidy(world);
      requireRuns(world, scenario.image, scenario.content);
      REQUIRE(world.restores == 1);
    }
  }
  REQUIRE(die > 10);
}

TEST_CASE("Given an undo is deleted, aborted or lost at any pass, then the application is returned to service") {
  const std::string what = GENERATE("deleted", "aborted", "lost");
  const bool ofHeld = GENERATE(false, true);
  World start = ofHeld ? held() : undoing();
  const std::string before = start.databases.at("shop").content;
  int at = 0;
  for (; !start.ended(); start.pass(), ++at) {
    World world = start;
    if (what == "deleted") {
      if (world.rollback->meta.finalizers.empty()) continue;  // it would be gone at once, and had touched nothing
      world.rollback->meta.deletionTimestamp = "2026-11-24T03:10:00Z";
    } else if (what == "aborted") {
      world.rollback->spec.abort = true;
    } else {
      if (!world.framework.status.activeRollback ||
          world.framework.status.activeRollback->uid != world.rollback->meta.uid)
        continue;
      world.loseRollback(true);
      REQUIRE(world.runFramework(600));
    }
    const bool ended = world.run(1000);
    for (int i = 0; i < 4; ++i) world.step();
    INFO(what << " at pass " << at << (ofHeld ? ", of a held one" : "") << "\n" << world.story());
    REQUIRE(ended);
    if (ofHeld && !world.lockFree()) {
      // Not begun: the held one still has the lock, and is as it was.
      REQUIRE(world.framework.status.activeRollback->name == World::kName);
      REQUIRE(world.databases.at("shop").content == before);
      continue;
    }
    requireTidy(world);
    if (ofHeld)
      requireRuns(world, kNew, "written by 2.0.0");  // once begun it is gone through with: that is the way back
    else if (world.databases.at("shop").content == before)
      requireRuns(world, kOld, "as backed up, and written since");
    else  // it was closing already
      requireRuns(world, kNew, "written by 2.0.0");
    if (what == "lost" && !ofHeld) REQUIRE(world.databases.at("shop").content == before);
  }
  REQUIRE(at > 10);
}

TEST_CASE("Given an undo that ended, when it is applied again under the same name and spec, then it is skipped") {
  World world = undoing();
  REQUIRE(world.run());
  const auto ledger = world.ledger;
  auto again = *world.rollback;
  again.status = {};
  again.meta.uid = "ffffffff-0000-0000-0000-000000000003";
  world.apply(again);
  world.ledger = ledger;
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Skipped);
  REQUIRE(world.rollback->status.reason == "AlreadyExecuted");
  requireRuns(world, kNew, "written by 2.0.0");
}

TEST_CASE("Given the rollback to undo is still at work, when planned, then the undo waits") {
  World world;
  while (world.lockFree()) world.pass();
  world.apply(undoOf(World::kName));
  REQUIRE_FALSE(world.run(20));
  INFO(world.story());
  REQUIRE(world.rollback->status.message.find("waiting for rollback back-to-1") != std::string::npos);
  REQUIRE(world.framework.status.activeRollback->name == World::kName);
}
