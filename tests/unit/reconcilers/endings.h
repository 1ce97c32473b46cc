// What tests of whole rollbacks share: the two images, an outcome that refuses, and what must hold at an end.
#pragma once

#include <catch2/catch.hpp>

#include "world.h"

namespace rollback::test {

inline constexpr const char* kOld = "localhost/demo-app:1.0.0";
inline constexpr const char* kNew = "localhost/demo-app:2.0.0";

inline reconcilers::Outcome refusal(const char* code) {
  reconcilers::Outcome outcome;
  outcome.kind = reconcilers::Outcome::Kind::Refused;
  outcome.code = code;
  outcome.message = "on purpose";
  return outcome;
}

// As the API server has it after somebody's own write.
inline void somebodyWrote(kube::ObjectMeta& meta) {
  ++meta.generation;
  meta.resourceVersion += "0";
}

inline void somebodyScales(kube::Workload& workload, int replicas) {
  workload.replicas = replicas;
  somebodyWrote(workload.meta);
}

inline void somebodySetsImage(kube::Workload& workload, const std::string& image) {
  workload.containers[0].image = image;
  somebodyWrote(workload.meta);
}

// Nothing at work, nothing locked, the application serving.
inline void requireAtRest(const World& world) {
  REQUIRE(world.violations.empty());
  REQUIRE(world.lockFree());
  REQUIRE(world.liveJobs() == 0);
  REQUIRE(world.serving());
}

// At rest, the live databases open, every other one closed and known to the framework.
inline void requireTidy(const World& world) {
  requireAtRest(world);
  for (const auto& [name, database] : world.databases) {
    INFO(name);
    REQUIRE(database.open == world.isLive(name));
    if (!world.isLive(name)) REQUIRE(world.keeps(name, database.oid));
  }
  REQUIRE(world.framework.status.kept.size() + world.framework.spec.stores.size() == world.databases.size());
}

// Calls `then` with a world that `arrange` made ready and that has made 0, 3, 6, … passes, as long as it has not ended;
// it must take more than `least` of them, and fewer than 400.
template <typename Arrange, typename Then>
void atEveryThirdPass(int least, Arrange arrange, Then then) {
  for (int at = 0; at < 400; at += 3) {
    World world;
    arrange(world);
    for (int passes = 0; !world.ended() && passes < at; ++passes) world.pass();
    if (world.ended()) {
      REQUIRE(at > least);
      return;
    }
    INFO("at pass " << at);
    then(world);
  }
  FAIL("it never ended");
}

// Aborts the rollback, or loses its object, and lets it be taken back. True: it was too late, the target stays.
inline bool abortedOrLostTooLate(World& world, bool lost) {
  const bool over = world.lockFree() && world.framework.status.kept.size() == 1;
  if (lost)
    world.loseRollback(true);
  else
    world.rollback->spec.abort = true;
  const bool ended = lost ? world.runFramework() : world.run();
  INFO(world.story());
  REQUIRE(ended);
  return over || (!lost && world.rollback->status.phase == api::Phase::Succeeded);
}

}  // namespace rollback::test
