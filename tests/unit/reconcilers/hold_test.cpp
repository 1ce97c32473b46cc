// onFailure: Hold, and the handles abort, suspend, deletion and the deadline, wherever the engine stands.
#include <algorithm>
#include <catch2/catch.hpp>

#include "api/resources.h"
#include "endings.h"

using namespace rollback;
using api::Phase;
using reconcilers::Outcome;
using rollback::test::kNew;
using rollback::test::kOld;
using rollback::test::refusal;
using rollback::test::undoOf;
using rollback::test::World;

namespace {

struct Failure {
  const char* name;
  void (*arrange)(World&);
  bool switched;  // the data, when it is held
};

const Failure kFailures[] = {
    {"the switch is refused", [](World& w) { w.scripted["switch"] = refusal("ForeignSession"); }, false},
    {"the target does not become ready", [](World& w) { w.brokenImages.insert(kOld); }, true},
    {"the target is unhealthy", [](World& w) { w.checkHealthy = false; }, true},
};

World heldBy(const Failure& failure) {
  World world;
  world.rollback->spec.onFailure = "Hold";
  failure.arrange(world);
  REQUIRE(world.run());
  return world;
}

void requireAsBefore(const World& world) {
  REQUIRE(world.violations.empty());
  REQUIRE(world.lockFree());
  REQUIRE(world.liveJobs() == 0);
  REQUIRE(world.serving());
  REQUIRE(world.deployment.containers[0].image == kNew);
  REQUIRE(world.databases.at("shop").content == "written by 2.0.0");
  for (const auto& [name, database] : world.databases) {
    INFO(name);
    REQUIRE(database.open == (name == "shop"));
    if (name != "shop") REQUIRE(world.keeps(name, database.oid));
  }
}

}  // namespace

TEST_CASE("Given onFailure Hold, when it fails after Quiesce, then everything is left, locked, with both copies") {
  for (const auto& failure : kFailures) {
    World world = heldBy(failure);
    INFO(failure.name << "\n" << world.story());
    const auto& status = world.rollback->status;
    REQUIRE(status.phase == Phase::Failed);
    REQUIRE(status.reason == "Held");
    REQUIRE(world.violations.empty());
    REQUIRE_FALSE(world.lockFree());
    REQUIRE(world.liveJobs() == 0);
    REQUIRE(world.deployment.containers[0].image == kOld);
    REQUIRE(world.databases.at("shop").content == (failure.switched ? "as backed up" : "written by 2.0.0"));
    REQUIRE(world.databases.at(failure.switched ? "shop_prev_ab12cd34" : "shop_stage_ab12cd34_1").oid != 0);
    REQUIRE(world.databases.size() == 2);
    REQUIRE(status.message.find(failure.switched ? "what was live before is kept, closed, as shop_prev_ab12cd34"
                                                 : "database shop") != std::string::npos);
    REQUIRE(status.message.find("Deployment/shop") != std::string::npos);
    REQUIRE(status.message.find("\"to\":{\"undo\":\"back-to-1\"}") != std::string::npos);
    REQUIRE(status.message.find("rollback.pa-ecosystem.io/unlock=" + world.rollback->meta.uid) != std::string::npos);
    REQUIRE(world.decide().requests.empty());
    world.framePass();
    world.framePass();
    const auto* stalled = kube::findCondition(world.framework.status.conditions, "Stalled");
    REQUIRE(stalled);
    REQUIRE(stalled->reason == "RollbackHeld");
  }
}

TEST_CASE("Given onFailure Hold, when it fails before Quiesce, then nothing was touched and nothing is held") {
  World world;
  world.rollback->spec.onFailure = "Hold";
  world.scripted["stage"] = refusal("BackupDamaged");
  REQUIRE(world.run());
  REQUIRE(world.rollback->status.reason == "NothingTouched");
  requireAsBefore(world);
}

TEST_CASE("Given a held rollback, when undone, then everything is as before it; nothing has to be accepted") {
  for (const auto& failure : kFailures) {
    World world = heldBy(failure);
    world.brokenImages.clear();
    auto undo = undoOf(World::kName);
    undo.spec.acceptDataLoss = false;
    world.apply(undo);
    const bool ended = world.run();
    for (int i = 0; i < 4; ++i) world.step();
    INFO(failure.name << "\n" << world.story());
    REQUIRE(ended);
    REQUIRE(world.rollback->status.phase == Phase::Succeeded);
    requireAsBefore(world);
    REQUIRE(world.databases.count("shop_reverted_ab12cd34") == (failure.switched ? 1 : 0));
    REQUIRE_FALSE(world.framework.status.lastRollback);
    // The held one lets go of its finalizer now.
    world.apply(world.past.at(World::kName));
    world.run();
    REQUIRE(world.rollback->meta.finalizers.empty());
  }
}

TEST_CASE("Given a held rollback, when it is deleted, then its framework takes it back") {
  for (const auto& failure : kFailures) {
    World world = heldBy(failure);
    world.brokenImages.clear();
    world.rollback->meta.deletionTimestamp = "2026-11-24T04:00:00Z";
    for (int i = 0; i < 3; ++i) world.pass();
    REQUIRE_FALSE(world.rollback);
    REQUIRE(world.runFramework(600));
    for (int i = 0; i < 4; ++i) world.step();
    INFO(failure.name << "\n" << world.story());
    requireAsBefore(world);
  }
}

TEST_CASE("Given a held rollback, when the lock is given up by annotation, then it is left as it is") {
  World world = heldBy(kFailures[2]);
  world.framework.meta.annotations[api::kAnnotationUnlock] = world.rollback->meta.uid;
  REQUIRE(world.runFramework(5));
  INFO(world.story());
  REQUIRE(world.deployment.containers[0].image == kOld);
  REQUIRE(world.databases.at("shop").content == "as backed up");
  const auto& kept = world.framework.status.kept;
  REQUIRE(std::any_of(kept.begin(), kept.end(),
                      [](const auto& copy) { return copy.name == "shop_prev_ab12cd34" && copy.oid == 16385; }));
  world.run();
  REQUIRE(world.rollback->meta.finalizers.empty());
}

TEST_CASE("Given onFailure Hold, when it is aborted or deleted at any pass, then it is taken back all the same") {
  const bool deleting = GENERATE(true, false);
  World start;
  start.rollback->spec.onFailure = "Hold";
  for (int at = 0; !start.ended(); start.pass(), ++at) {
    World world = start;
    if (deleting && world.rollback->meta.finalizers.empty()) continue;
    if (deleting)
      world.rollback->meta.deletionTimestamp = "2026-11-24T03:10:00Z";
    else
      world.rollback->spec.abort = true;
    const bool ended = world.run(1000);
    INFO((deleting ? "deleted" : "aborted") << " at pass " << at << "\n" << world.story());
    REQUIRE(ended);
    REQUIRE(world.lockFree());
    REQUIRE(world.serving());
    REQUIRE(world.violations.empty());
  }
}

TEST_CASE("Given the process dies at any pass of a rollback that is held, then it is held in the same state") {
  for (const auto& failure : kFailures) {
    World probe;
    probe.rollback->spec.onFailure = "Hold";
    failure.arrange(probe);
    int die = 0;
    for (; !probe.ended(); probe.pass(), ++die)
      for (std::size_t most = 0; most <= 1; ++most) {
        // After its only write is before the next pass.
        if (most == 1 && probe.decide().requests.size() < 2) continue;
        World world = probe;
        world.pass(most, 30000);
        REQUIRE(world.run(1000));
        INFO(failure.name << ", dead at pass " << die << " after " << most << " writes\n" << world.story());
        REQUIRE(world.rollback->status.reason == "Held");
        REQUIRE_FALSE(world.lockFree());
        REQUIRE(world.databases.size() == 2);
        REQUIRE(world.databases.at("shop").content == (failure.switched ? "as backed up" : "written by 2.0.0"));
        REQUIRE(world.violations.empty());
      }
    REQUIRE(die > 10);
  }
}

TEST_CASE("Given a deadline that passes at any pass, then it ends: taken back, or held if so asked") {
  const bool hold = GENERATE(false, true);
  World start;
  if (hold) start.rollback->spec.onFailure = "Hold";
  for (int at = 0; !start.ended(); start.pass(), ++at) {
    World world = start;
    if (world.rollback->status.deadline.empty()) continue;
    world.now += std::chrono::hours(2);
    const bool ended = world.run(1000);
    INFO("deadline at pass " << at << (hold ? ", held" : "") << "\n" << world.story());
    REQUIRE(ended);
    REQUIRE(world.violations.empty());
    const auto& status = world.rollback->status;
    const bool success = status.phase == Phase::Succeeded;  // a switch that was begun, and closing, are not cut
    if (success || status.reason == "NothingTouched" || status.phase == Phase::Reverted) {
      REQUIRE(world.lockFree());
      REQUIRE(world.serving());
    } else {
      REQUIRE(hold);
      REQUIRE(status.reason == "Held");
      REQUIRE_FALSE(world.lockFree());
    }
  }
}

TEST_CASE("Given suspend at any pass, then it stops only while the application serves, and goes on to the same end") {
  World start;
  for (int at = 0; !start.ended(); start.pass(), ++at) {
    World world = start;
    world.rollback->spec.suspend = true;
    for (int i = 0; i < 60; ++i) world.pass();
    for (int i = 0; i < 4; ++i) world.step();
    INFO("suspended at pass " << at << "\n" << world.story());
    REQUIRE(world.serving());
    if (!world.ended()) {
      const auto* suspended = kube::findCondition(world.rollback->status.conditions, "Suspended");
      REQUIRE(suspended);
      REQUIRE(suspended->status == "True");
      world.rollback->spec.suspend = false;
    }
    REQUIRE(world.run());
    REQUIRE(world.rollback->status.phase == Phase::Succeeded);
    REQUIRE(world.violations.empty());
    REQUIRE(world.restores == 1);
  }
}

TEST_CASE("Given a suspended rollback, when it is aborted or deleted, then it does not stay suspended") {
  const bool deleting = GENERATE(true, false);
  World world;
  while (world.lockFree()) world.pass();
  world.rollback->spec.suspend = true;
  for (int i = 0; i < 5; ++i) world.pass();
  if (deleting)
    world.rollback->meta.deletionTimestamp = "2026-11-24T03:10:00Z";
  else
    world.rollback->spec.abort = true;
  REQUIRE(world.run());
  INFO(world.story());
  requireAsBefore(world);
}

TEST_CASE("Given the namespace goes, when a rollback in it is deleted, then it is let go at once, with a word") {
  World start;
  for (int at = 0; !start.ended(); start.pass(), ++at) {
    World world = start;
    if (world.rollback->meta.finalizers.empty()) continue;
    world.terminating = true;
    world.rollback->meta.deletionTimestamp = "2026-11-24T03:10:00Z";
    const bool locked = !world.lockFree();
    const auto decision = world.decide();
    INFO("at pass " << at << "\n" << world.story());
    REQUIRE(decision.requests.size() == 1);
    if (locked) {
      REQUIRE(decision.events.size() == 1);
      REQUIRE(decision.events[0].reason == "NamespaceTerminating");
      REQUIRE(decision.events[0].note.find("is let go in step") != std::string::npos);
    }
    world.pass();
    REQUIRE_FALSE(world.rollback);
  }
}
