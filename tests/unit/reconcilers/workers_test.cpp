// A framework of several Deployments, all but the first dependent on that: they are stopped, changed and started
// together, forward and backward.
#include <algorithm>
#include <catch2/catch.hpp>

#include "endings.h"

using rollback::api::Phase;
using rollback::test::abortedOrLostTooLate;
using rollback::test::atEveryThirdPass;
using rollback::test::kNew;
using rollback::test::kOld;
using rollback::test::somebodyScales;
using rollback::test::somebodySetsImage;
using rollback::test::undoOf;
using rollback::test::World;

namespace {

constexpr const char* kWorkerOld = "localhost/demo-worker:1.0.0";
constexpr const char* kWorkerNew = "localhost/demo-worker:2.0.0";

const std::string& workerImage(const World& world) { return world.workers.at(0).workload.containers[0].image; }

void requireBack(const World& world, bool target) {
  requireTidy(world);
  REQUIRE(world.deployment.containers[0].image == (target ? kOld : kNew));
  REQUIRE(workerImage(world) == (target ? kWorkerOld : kWorkerNew));
}

// Where in the log that line stands for the first time, or the last.
std::ptrdiff_t first(const World& world, const std::string& line) {
  return std::find_if(world.log.begin(), world.log.end(), [&](const auto& each) { return each.rfind(line, 0) == 0; }) -
         world.log.begin();
}

void passUntil(World& world, const std::function<bool()>& seen) {
  for (int i = 0; i < 300 && !seen(); ++i) world.pass();
  INFO(world.story());
  REQUIRE(seen());
}

}  // namespace

TEST_CASE("Given two Deployments, when rolled back, then the dependent one is stopped first and started last") {
  World world;
  world.addWorker();
  bool stopped = false;
  for (int i = 0; i < 400 && !world.ended(); ++i) {
    world.pass();
    INFO(world.story());
    if (world.deployment.replicas == 0) stopped = true;
    if (stopped && world.workers[0].workload.replicas > 0) REQUIRE(world.deployment.readyReplicas == 2);
  }
  INFO(world.story());
  REQUIRE(stopped);
  REQUIRE(first(world, "PATCH deployments/scale demo/worker") < first(world, "PATCH deployments/scale demo/shop"));
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireBack(world, true);
}

TEST_CASE("Given two Deployments, when the rollback is aborted or lost at every third pass, then both are as before") {
  const bool lost = GENERATE(false, true);
  const auto arrange = [](World& world) { world.addWorker(); };
  atEveryThirdPass(20, arrange, [&](World& world) {
    const bool target = abortedOrLostTooLate(world, lost);
    INFO(world.story());
    requireBack(world, target);
  });
}

TEST_CASE("Given a dependent Deployment that does not start on the target, when rolled back, then both go back") {
  const std::size_t most = GENERATE(0U, 1U);
  const auto arrange = [](World& world) {
    world.addWorker();
    world.brokenImages = {kWorkerOld};
  };
  atEveryThirdPass(30, arrange, [&](World& world) {
    world.pass(most);  // what more it decided is lost
    REQUIRE(world.run());
    INFO(world.story());
    REQUIRE(world.rollback->status.phase == Phase::Reverted);
    REQUIRE(world.rollback->status.reason == "NotReady");
    requireBack(world, false);
  });
}

TEST_CASE("Given a first Deployment that was broken before, when aborted while it is stopped, then both are started") {
  World world;
  world.addWorker();
  passUntil(world, [&] { return world.deployment.replicas == 0; });
  world.brokenImages = {kNew};
  world.rollback->spec.abort = true;
  REQUIRE(world.run(2000));
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.message.find("Deployment/shop does not become ready") != std::string::npos);
  REQUIRE(world.lockFree());
  REQUIRE(world.deployment.replicas == 2);
  REQUIRE(world.deployment.containers[0].image == kNew);
  REQUIRE(world.workers[0].workload.readyReplicas == 1);
  REQUIRE(workerImage(world) == kWorkerNew);
}

TEST_CASE(
    "Given a Deployment that is deleted on the way, when it cannot go on, then the other is as before, and it says "
    "so") {
  const bool workerGoes = GENERATE(true, false);
  const bool lost = GENERATE(false, true);
  World world;
  world.addWorker();
  world.brokenImages = {kWorkerOld};
  passUntil(world, [&] { return world.deployment.containers[0].image == kOld; });
  world.goneWorkload = workerGoes ? "Deployment/worker" : "Deployment/shop";
  if (lost) world.loseRollback(true);
  const bool ended = lost ? world.runFramework() : world.run();
  INFO(world.story());
  REQUIRE(ended);
  REQUIRE(world.lockFree());
  REQUIRE(world.databases.at("shop").oid == 16385);
  REQUIRE(world.databases.at("shop").open);
  if (!lost) {
    REQUIRE(world.rollback->status.phase == Phase::Reverted);
    const std::string gone = workerGoes
                                 ? "Deployment/worker is gone: re-create it with image localhost/demo-worker:2.0.0"
                                 : "Deployment/shop is gone: re-create it with image localhost/demo-app:2.0.0";
    REQUIRE(world.rollback->status.message.find(gone) != std::string::npos);
  }
  if (workerGoes) {
    REQUIRE(world.deployment.replicas == 2);
    REQUIRE(world.deployment.containers[0].image == kNew);
  } else {
    REQUIRE(world.workers[0].workload.replicas == 1);
    REQUIRE(workerImage(world) == kWorkerNew);
  }
}

TEST_CASE(
    "Given a Deployment that is deleted while it runs, when going back, then its pods have ended before the switch") {
  World world;
  world.addWorker();
  passUntil(world, [&] { return world.rollback->status.step == "Resume" && world.workers[0].workload.replicas == 1; });
  world.step();
  world.goneWorkload = "Deployment/worker";
  world.workers[0].workload.replicas = 0;
  world.workers[0].endsSlowly = 20;
  const std::string pod = world.workers[0].pods.at(0).meta.name;
  passUntil(world, [&] {
    return world.rollback->status.message.find("waiting for pod " + pod + " of Deployment/worker, which is gone") !=
           std::string::npos;
  });
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.violations.empty());
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.deployment.containers[0].image == kNew);
  REQUIRE(world.databases.at("shop").oid == 16385);
}

TEST_CASE(
    "Given a newer image that somebody sets before Quiesce is done, when aborted, then it is left and all is started") {
  World world;
  world.addWorker();
  passUntil(world, [&] { return world.rollback->status.downtime.has_value(); });
  world.pass(2);  // the record, and one of two scale writes
  REQUIRE(world.workers[0].workload.replicas + world.deployment.replicas < 3);
  auto& changed = world.workers[0].workload.replicas > 0 ? world.workers[0].workload : world.deployment;
  somebodySetsImage(changed, "localhost/demo-app:2.0.1");
  world.rollback->spec.abort = true;
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(changed.containers[0].image == "localhost/demo-app:2.0.1");
  REQUIRE(world.rollback->status.message.find(
              "the application is back as it was before, but Deployment/" + changed.meta.name +
              " runs localhost/demo-app:2.0.1, which somebody set meanwhile") != std::string::npos);
  requireAtRest(world);
}

TEST_CASE("Given ten Deployments, when rolled back, then each is started, and nobody is blamed for it") {
  World world;
  for (int i = 0; i < 9; ++i) world.addWorker("worker-" + std::to_string(i));
  REQUIRE(world.run(1000));
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireBack(world, true);
}

TEST_CASE(
    "Given somebody who scales one of two Deployments to 0 each time, when starting, then a few writes later it says "
    "so") {
  World world;
  world.addWorker();
  int contested = 0;
  for (int i = 0; i < 600 && !world.ended(); ++i) {
    world.pass();
    auto& worker = world.workers[0].workload;
    if (world.rollback->status.step != "Resume" || worker.replicas == 0) continue;
    somebodyScales(worker, 0);
    ++contested;
  }
  INFO(world.story());
  REQUIRE(contested == 8);
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.reason == "ReplicasContested");
}

TEST_CASE("Given somebody who scales two Deployments up in turn, when quiescing, then a few writes later it says so") {
  World world;
  world.addWorker();
  bool mains = true;
  int contested = 0;
  for (int i = 0; i < 600 && !world.ended(); ++i) {
    world.pass();
    const bool stopped = world.deployment.replicas + world.workers[0].workload.replicas == 0;
    if (world.rollback->status.step != "Quiesce" || !stopped) continue;
    auto& one = mains ? world.deployment : world.workers[0].workload;
    somebodyScales(one, 1);
    mains = !mains;
    ++contested;
  }
  INFO(world.story());
  REQUIRE(contested == 8);
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.reason == "ReplicasContested");
}

TEST_CASE(
    "Given a first Deployment that is unready for good once the second starts, then it waits no longer than both may") {
  World world;
  world.addWorker();
  passUntil(world, [&] { return world.rollback->status.step == "Resume" && world.workers[0].workload.replicas == 1; });
  world.changeSnapshot = [](rollback::reconcilers::RollbackSnapshot& in) {
    auto& workload = *in.ns.workloads.at("Deployment/shop").workload;
    if (in.rollback.status.step == "Resume") workload.readyReplicas = 0;
  };
  world.now += std::chrono::seconds(350);
  world.pass();
  REQUIRE(world.rollback->status.phase == Phase::Switching);
  world.now += std::chrono::seconds(20);
  world.pass();
  INFO(world.story());
  REQUIRE(world.rollback->status.message.find("Deployment/shop does not become ready: not within 360 s") !=
          std::string::npos);
  world.pass();
  REQUIRE(world.rollback->status.phase == Phase::Reverting);
}

TEST_CASE("Given a Deployment that was deleted before Quiesce, when it is to be stopped, then nothing is") {
  World world;
  world.addWorker();
  passUntil(world, [&] { return world.rollback->status.step == "Stage"; });
  world.goneWorkload = "Deployment/worker";
  for (int i = 0; i < 300 && !world.ended(); ++i) {
    world.pass();
    REQUIRE(world.deployment.replicas == 2);
  }
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.reason == "WorkloadMissing");
  REQUIRE(world.lockFree());
}

TEST_CASE(
    "Given a Deployment that is deleted while the target is verified, when it comes back or not, then that counts") {
  const bool comesBack = GENERATE(true, false);
  const bool hold = GENERATE(false, true);
  World world;
  world.addWorker();
  if (hold) world.rollback->spec.onFailure = "Hold";
  passUntil(world, [&] { return world.rollback->status.step == "Verify"; });
  world.goneWorkload = "Deployment/worker";
  world.step();
  world.pass(3);
  INFO(world.story());
  REQUIRE(world.rollback->status.step == "Verify");
  REQUIRE(world.rollback->status.message.find(
              "waiting for Deployment/worker, which is gone: re-create it with image localhost/demo-worker:1.0.0") !=
          std::string::npos);
  if (comesBack) {
    world.goneWorkload.clear();
  } else {
    world.workers[0].workload.replicas = 0;  // its pods end
    world.now += std::chrono::seconds(301);
  }
  REQUIRE(world.run());
  INFO(world.story());
  if (hold && !comesBack) {
    REQUIRE(world.rollback->status.reason == "Held");
    REQUIRE(world.rollback->status.message.find(
                "Deployment/worker is gone: re-create it with image localhost/demo-worker:1.0.0") != std::string::npos);
    return;
  }
  REQUIRE(world.lockFree());
  if (comesBack) {
    REQUIRE(world.rollback->status.phase == Phase::Succeeded);
    return requireBack(world, true);
  }
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.reason == "WorkloadMissing");
  REQUIRE(world.rollback->status.message.find("Verify failed: Deployment/worker is gone") != std::string::npos);
  REQUIRE(world.rollback->status.message.find(
              "Deployment/worker is gone: re-create it with image localhost/demo-worker:2.0.0") != std::string::npos);
  REQUIRE(world.deployment.containers[0].image == kNew);
  REQUIRE(world.deployment.readyReplicas == 2);
}

TEST_CASE(
    "Given a Deployment that is re-created late in a long soak, when it has another image, then the ending says so") {
  World world;
  world.addWorker();
  world.rollback->spec.soakSeconds = 600;
  passUntil(world, [&] { return world.rollback->status.step == "Verify"; });
  world.now += std::chrono::seconds(580);
  world.goneWorkload = "Deployment/worker";
  world.pass(3, 30000);
  REQUIRE(world.rollback->status.message.find("waiting for Deployment/worker, which is gone") != std::string::npos);
  world.goneWorkload.clear();
  somebodySetsImage(world.workers[0].workload, kWorkerNew);
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE(world.rollback->status.message.find("runs 1.0.0, but Deployment/worker runs localhost/demo-worker:2.0.0, "
                                              "which somebody set meanwhile") != std::string::npos);
  requireAtRest(world);
}

TEST_CASE("Given a rollback whose lock is taken while the target starts, when it goes back, then it sets no image") {
  World world;
  world.addWorker();
  passUntil(world, [&] { return world.rollback->status.step == "Resume" && world.workers[0].workload.replicas == 1; });
  world.framework.status.activeRollback.reset();
  const auto images = [&] { return std::pair(world.deployment.containers[0].image, workerImage(world)); };
  const auto before = images();
  for (int i = 0; i < 100 && !world.ended(); ++i) {
    world.pass();
    REQUIRE(images() == before);
  }
}

TEST_CASE("Given a rollback that is lost before Quiesce, when an image was set meanwhile, then that is left alone") {
  World world;
  world.addWorker();
  passUntil(world, [&] { return world.rollback->status.step == "Stage" && world.databases.size() == 2; });
  auto& changed = world.deployment;
  somebodySetsImage(changed, "localhost/demo-app:2.0.1");
  world.loseRollback(true);
  for (int i = 0; i < 400 && !world.lockFree(); ++i) {
    world.framePass();
    REQUIRE(world.deployment.replicas == 2);
  }
  INFO(world.story());
  REQUIRE(world.lockFree());
  REQUIRE(world.deployment.containers[0].image == "localhost/demo-app:2.0.1");
}

TEST_CASE("Given a first Deployment that is not ready for a moment, when the second starts, then nothing is reverted") {
  World world;
  world.addWorker();
  passUntil(world, [&] { return world.rollback->status.step == "Resume" && world.workers[0].workload.replicas == 1; });
  world.now += std::chrono::seconds(70);  // longer than the first may take to start
  world.changeSnapshot = [](rollback::reconcilers::RollbackSnapshot& in) {
    in.ns.workloads.at("Deployment/shop").workload->readyReplicas = 1;
  };
  world.pass();
  REQUIRE(world.rollback->status.message.find("waiting for Deployment/shop") != std::string::npos);
  world.changeSnapshot = nullptr;
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
}

TEST_CASE("Given a backup that names the image of each component, when rolled back to it, then each gets its own") {
  World world;
  world.addWorker();
  world.changeBackup = [](rollback::api::FrameworkBackup& backup) {
    backup.status.images = {{"main", kOld}, {"worker", "localhost/demo-worker:1.0.0-slim"}};
  };
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE(workerImage(world) == "localhost/demo-worker:1.0.0-slim");
}

TEST_CASE(
    "Given a component of another repository and tag, when rolled back, then it is not taken for one of no version") {
  World world;
  world.addWorker();
  world.workers[0].workload.containers[0].image = "localhost/worker:v2.0.0";
  world.unpullableImages = {"localhost/worker:1.0.0"};
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Failed);
  REQUIRE(world.rollback->status.reason == "NothingTouched");
  REQUIRE(world.rollback->status.message.find("localhost/worker:1.0.0") != std::string::npos);
}

TEST_CASE(
    "Given a component that came after the rollback, when that is undone, then it goes to the version undone to") {
  World world;
  REQUIRE(world.run());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  world.addWorker();
  world.workers[0].workload.containers[0].image = kWorkerOld;
  world.step();
  world.apply(undoOf(World::kName));
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireBack(world, false);
}
