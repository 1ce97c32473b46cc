// Which entries of the catalogue a rollback may go to: proven ones by themselves, listed ones when they are named, a
// script's folders only for their version and only when that is accepted.
#include <catch2/catch.hpp>

#include "rollback/step.h"
#include "rollback/target.h"
#include "world.h"

using namespace rollback;
using namespace rollback::reconcilers;

namespace {

api::FrameworkBackup listed(const std::string& name) {
  api::FrameworkBackup backup;
  backup.meta.name = name;
  backup.meta.namespace_ = "demo";
  backup.spec.frameworkName = "shop";
  backup.status.phase = "Listed";
  backup.status.version = "1.0.0";
  backup.status.path = "shop/" + name;
  backup.status.digest = "sha256:listed";
  backup.status.createdAt = "2026-11-24T03:00:00Z";
  backup.status.manifestVersion = 2;
  backup.status.restores = {"database"};
  kube::setCondition(backup.status.conditions, {"Ready", "True", "Listed", "", "", 0});
  return backup;
}

api::FrameworkBackup script() {
  auto backup = listed("script");
  backup.status.manifestVersion = 1;
  backup.status.digest.clear();
  backup.status.restores.clear();
  kube::setCondition(backup.status.conditions, {"Ready", "False", "Unverified", "", "", 0});
  return backup;
}

Result<Target> resolve(const api::FrameworkBackup& entry, bool named, bool accept = false) {
  test::World world;
  world.backupExists = false;
  auto in = world.snapshot();
  in.backups = {entry};
  if (named) {
    in.rollback.spec.to = {};
    in.rollback.spec.to.backupName = entry.meta.name;
  }
  in.rollback.spec.acceptUnverifiedBackup = accept;
  const Settings settings;
  const StepContext context(in, settings);
  return resolveTarget(context);
}

}  // namespace

TEST_CASE("Given an entry that a scan listed, when it is named, then it is the target; by itself it is never chosen") {
  const auto named = resolve(listed("found"), true);
  REQUIRE(named);
  REQUIRE(named->version == "1.0.0");
  REQUIRE(named->backup);
  REQUIRE(named->backup->digest == "sha256:listed");
  REQUIRE(named->withoutData.empty());
  const auto byVersion = resolve(listed("found"), false);
  REQUIRE(byVersion);
  REQUIRE_FALSE(byVersion->backup);
}

TEST_CASE("Given an entry that is not fit, when it is named, then it is refused by name") {
  struct Case {
    const char* code;
    void (*spoil)(api::FrameworkBackup&);
  };
  const auto c = GENERATE(
      Case{"BackupNotUsable", [](api::FrameworkBackup& b) { b.status.phase = "Missing"; }},
      Case{"BackupNotUsable", [](api::FrameworkBackup& b) { b.status.phase = "Failed"; }},
      Case{"BackupNotUsable", [](api::FrameworkBackup& b) { b.status.phase.clear(); }},
      Case{"BackupNotUsable", [](api::FrameworkBackup& b) { b.status.digest.clear(); }},
      Case{"BackupNotUsable",
           [](api::FrameworkBackup& b) {
             kube::setCondition(b.status.conditions, {"Ready", "False", "BackupDamaged", "", "", 0});
           }},
      Case{"BackupNotUsable", [](api::FrameworkBackup& b) { b.meta.deletionTimestamp = "2026-11-24T03:00:00Z"; }},
      Case{"BackupUnsettled", [](api::FrameworkBackup& b) { b.status.unsettled = true; }},
      Case{"BackupOfAnotherFramework", [](api::FrameworkBackup& b) { b.spec.frameworkName = "letta"; }});
  auto entry = listed("found");
  c.spoil(entry);
  const auto target = resolve(entry, true);
  REQUIRE_FALSE(target);
  REQUIRE(target.error().reason == c.code);
}

TEST_CASE(
    "Given a script's folder, when it is named, then it is refused with the line to add, and accepted it gives a "
    "version and no data") {
  const auto refused = resolve(script(), true);
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().reason == "BackupUnverified");
  REQUIRE(refused.error().message.find("accept: {unverifiedBackup: true}") != std::string::npos);
  const auto accepted = resolve(script(), true, true);
  REQUIRE(accepted);
  REQUIRE(accepted->version == "1.0.0");
  REQUIRE_FALSE(accepted->backup);
  REQUIRE(accepted->withoutData == "script");
  auto nameless = script();
  nameless.status.version.clear();
  REQUIRE(resolve(nameless, true, true).error().reason == "BackupNotUsable");
}
