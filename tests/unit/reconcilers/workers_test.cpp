// A framework of two Deployments, the second of which depends on the first: they are stopped, changed and started
// together, forward and backward.
#include <catch2/catch.hpp>

#include "endings.h"

using rollback::api::Phase;
using rollback::test::kNew;
using rollback::test::kOld;
using rollback::test::World;

namespace {

constexpr const char* kWorkerOld = "localhost/demo-worker:1.0.0";
constexpr const char* kWorkerNew = "localhost/demo-worker:2.0.0";

void requireBack(const World& world, bool target) {
  requireTidy(world);
  REQUIRE(world.deployment.containers[0].image == (target ? kOld : kNew));
  REQUIRE(world.worker->containers[0].image == (target ? kWorkerOld : kWorkerNew));
}

}  // namespace

TEST_CASE("Given two Deployments, when rolled back, then the dependent one is stopped first and started last") {
  World world;
  world.addWorker();
  bool stopped = false;
  for (int i = 0; i < 400 && !world.ended(); ++i) {
    world.pass();
    INFO(world.story());
    const bool mainRuns = world.deployment.replicas > 0, workerRuns = world.worker->replicas > 0;
    REQUIRE((mainRuns || !workerRuns));
    if (!mainRuns) stopped = true;
    if (stopped && workerRuns) REQUIRE(world.deployment.readyReplicas == 2);
  }
  INFO(world.story());
  REQUIRE(stopped);
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireBack(world, true);
}

TEST_CASE("Given two Deployments, when the rollback is aborted or lost at every third pass, then both are as before") {
  const bool lost = GENERATE(false, true);
  for (int at = 0; at < 400; at += 3) {
    World world;
    world.addWorker();
    int passes = 0;
    while (!world.ended() && passes < at) world.pass(), ++passes;
    if (world.ended()) {
      REQUIRE(at > 20);
      return;
    }
    const bool over = world.lockFree() && world.framework.status.kept.size() == 1;  // asked for too late
    if (lost)
      world.loseRollback(true);
    else
      world.rollback->spec.abort = true;
    const bool ended = lost ? world.runFramework() : world.run();
    INFO("at pass " << at << "\n" << world.story());
    REQUIRE(ended);
    requireBack(world, over || (!lost && world.rollback->status.phase == Phase::Succeeded));
  }
  FAIL("it never ended");
}

TEST_CASE("Given a dependent Deployment that does not start on the target, when rolled back, then both go back") {
  const std::size_t most = GENERATE(0U, 1U);
  for (int at = 0; at < 400; at += 3) {
    World world;
    world.addWorker();
    world.brokenImages = {kWorkerOld};
    int passes = 0;
    while (!world.ended() && passes < at) world.pass(), ++passes;
    if (world.ended()) {
      REQUIRE(at > 30);
      return;
    }
    world.pass(most);  // what more it decided is lost
    REQUIRE(world.run());
    INFO("at pass " << at << "\n" << world.story());
    REQUIRE(world.rollback->status.phase == Phase::Reverted);
    REQUIRE(world.rollback->status.reason == "NotReady");
    requireBack(world, false);
  }
  FAIL("it never ended");
}

TEST_CASE("Given a first Deployment that was broken before, when aborted while it is stopped, then both are started") {
  World world;
  world.addWorker();
  for (int i = 0; i < 100 && world.rollback->status.step != "Quiesce"; ++i) world.pass();
  while (world.deployment.replicas != 0) world.pass();
  world.brokenImages = {kNew};
  world.rollback->spec.abort = true;
  REQUIRE(world.run(2000));
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.message.find("Deployment/shop does not become ready") != std::string::npos);
  REQUIRE(world.lockFree());
  REQUIRE(world.deployment.replicas == 2);
  REQUIRE(world.worker->replicas == 1);
  REQUIRE(world.worker->readyReplicas == 1);
}
