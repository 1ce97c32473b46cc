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

}  // namespace rollback::test
