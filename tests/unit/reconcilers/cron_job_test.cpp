// A component that is a CronJob: suspended and its Jobs waited for while the application serves, its image switched
// with the others, resumed with the application, forward and backward.
#include <algorithm>
#include <catch2/catch.hpp>

#include "endings.h"
#include "rollback/target.h"

using rollback::api::Phase;
using rollback::test::abortedOrLostTooLate;
using rollback::test::atEveryThirdPass;
using rollback::test::kNew;
using rollback::test::kOld;
using rollback::test::somebodyScales;
using rollback::test::undoOf;
using rollback::test::World;

namespace {

void requireBack(const World& world, const char* image) {
  requireAtRest(world);
  REQUIRE(world.deployment.containers[0].image == image);
  REQUIRE(world.cronJob->containers[0].image == image);
  REQUIRE(world.cronJob->replicas == 1);
}

// Where in the log a line begins so, or npos.
std::size_t at(const World& world, const std::string& line) {
  const auto found =
      std::find_if(world.log.begin(), world.log.end(), [&](const auto& each) { return each.rfind(line, 0) == 0; });
  return found == world.log.end() ? std::string::npos : static_cast<std::size_t>(found - world.log.begin());
}

}  // namespace

TEST_CASE("Given a CronJob whose Job runs, when rolled back, then the application serves until that has ended") {
  World world;
  world.addCronJob(30000);
  const bool ended = world.run();
  INFO(world.story());
  REQUIRE(ended);
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireBack(world, kOld);
  REQUIRE(at(world, "PATCH cronjobs") < at(world, "the Job of CronJob/report ends"));
  REQUIRE(at(world, "the Job of CronJob/report ends") < at(world, "PATCH deployments/scale"));
  REQUIRE(world.rollback->status.downtime->milliseconds < 20000);
}

TEST_CASE("Given a CronJob that its owner had suspended, when rolled back, then it stays so, with the target's image") {
  World world;
  world.addCronJob(0);
  world.cronJob->replicas = 0;
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireAtRest(world);
  REQUIRE(world.cronJob->replicas == 0);
  REQUIRE(world.cronJob->containers[0].image == kOld);
}

TEST_CASE("Given a CronJob, when the rollback is aborted or lost at every third pass, then it goes on as before") {
  const bool lost = GENERATE(false, true);
  const auto arrange = [](World& world) { world.addCronJob(4000); };
  atEveryThirdPass(20, arrange, [&](World& world) {
    const bool target = abortedOrLostTooLate(world, lost);
    INFO(world.story());
    requireBack(world, target ? kOld : kNew);
  });
}

TEST_CASE("Given a CronJob, when the target is unhealthy and writes are lost on their way, then it goes on as before") {
  const std::size_t most = GENERATE(0U, 1U);
  const auto arrange = [](World& world) {
    world.addCronJob(4000);
    world.brokenImages = {kOld};
  };
  atEveryThirdPass(30, arrange, [&](World& world) {
    world.pass(most);  // what more it decided is lost
    REQUIRE(world.run());
    INFO(world.story());
    REQUIRE(world.rollback->status.phase == Phase::Reverted);
    requireBack(world, kNew);
  });
}

TEST_CASE(
    "Given a CronJob that is deleted while it is suspended, when the rollback ends, then the ending names its image") {
  const bool back = GENERATE(false, true);
  World world;
  world.addCronJob(0);
  for (int i = 0; i < 300 && world.rollback->status.step != "Verify"; ++i) world.pass();
  world.goneWorkload = "CronJob/report";
  if (back) world.rollback->spec.abort = true;
  const bool ended = world.run();
  INFO(world.story());
  REQUIRE(ended);
  REQUIRE(world.lockFree());
  REQUIRE(world.rollback->status.phase == (back ? Phase::Reverted : Phase::Succeeded));
  REQUIRE(world.rollback->status.message.find("CronJob/report is gone: re-create it with image " +
                                              std::string(back ? kNew : kOld)) != std::string::npos);
}

TEST_CASE("Given an application that was broken before, when the rollback is aborted, then its CronJob goes on") {
  World world;
  world.addCronJob(4000);
  world.brokenImages = {kNew};
  world.pods.clear();  // those that ran become ready no more
  for (int i = 0; i < 100 && world.rollback->status.step != "Quiesce"; ++i) world.pass();
  REQUIRE(world.rollback->status.step == "Quiesce");
  while (world.cronJob->replicas != 0) world.pass();
  world.rollback->spec.abort = true;
  REQUIRE(world.run(2000));
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.message.find("but not ready") != std::string::npos);
  REQUIRE(world.lockFree());
  REQUIRE(world.cronJob->replicas == 1);
}

TEST_CASE("Given a Job that does not end, when what is held is undone, then it is waited for and nothing is stopped") {
  World world;
  world.addCronJob(100000000);
  world.rollback->spec.onFailure = "Hold";
  world.rollback->spec.timeoutSeconds = 60;
  REQUIRE(world.run(2000));
  INFO(world.story());
  REQUIRE(world.rollback->status.reason == "Held");
  REQUIRE(world.rollback->status.message.find("kubectl delete job report-29 -n demo") != std::string::npos);
  auto undo = undoOf(World::kName);
  undo.spec.timeoutSeconds = 600;
  world.apply(undo);
  for (int i = 0; i < 300; ++i) world.pass();
  REQUIRE(world.serving());
  REQUIRE(world.rollback->status.message.find("kubectl delete job report-29 -n demo") != std::string::npos);
  world.cronRunMillis = 0;  // somebody does
  REQUIRE(world.run(2000));
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireBack(world, kNew);
}

TEST_CASE(
    "Given somebody who resumes the CronJob each time, when quiescing, then it is said, and nothing was stopped") {
  World world;
  world.addCronJob(0);
  for (int i = 0; i < 400 && !world.ended(); ++i) {
    world.pass();
    if (world.cronJob->replicas != 0 || world.rollback->status.step != "Quiesce") continue;
    somebodyScales(*world.cronJob, 1);
  }
  INFO(world.story());
  REQUIRE(world.run());
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.reason == "ReplicasContested");
  REQUIRE(at(world, "PATCH deployments/scale") == std::string::npos);
  requireBack(world, kNew);
}

TEST_CASE(
    "Given a CronJob, when planned, then the plan says what becomes of its schedule, and nobody waits for its start") {
  World world;
  world.addCronJob(0);
  world.rollback->spec.mode = "Plan";
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Planned);
  const auto& plan = *world.rollback->status.plan;
  REQUIRE(plan.schedules.size() == 1);
  CHECK(plan.schedules[0].find("CronJob/report (*/5 * * * *) is suspended from Quiesce until the target is verified") ==
        0);
  CHECK(plan.downtime.startLimitSeconds == 60);  // the Deployment's alone
  CHECK(world.cronJob->replicas == 1);
}

TEST_CASE(
    "Given a component whose image is of no version of the framework, when rolled back, then it keeps its image") {
  World world;
  world.addCronJob(0);
  const std::string image =
      GENERATE("docker.io/curlimages/curl:8.10.1", "localhost/demo-app:1.9.9", "localhost/job:2.0.0");
  world.cronJob->containers[0].image = image;
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  const std::string expected = image == "localhost/demo-app:1.9.9" ? kOld
                               : image == "localhost/job:2.0.0"    ? "localhost/job:1.0.0"
                                                                   : image;
  REQUIRE(world.cronJob->containers[0].image == expected);
}
