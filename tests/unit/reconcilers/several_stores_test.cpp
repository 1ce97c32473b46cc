// A framework of two databases, on one server or on two: they go back together, or neither does.
#include <algorithm>
#include <catch2/catch.hpp>

#include "api/digest.h"
#include "api/resources.h"
#include "endings.h"
#include "stores/postgres.h"

using namespace rollback;
using api::Phase;
using reconcilers::Outcome;
using rollback::test::kNew;
using rollback::test::kOld;
using rollback::test::refusal;
using rollback::test::requireTidy;
using rollback::test::undoOf;
using rollback::test::World;

namespace {

const std::string kBoth[] = {"shop", "audit"};

World twoStores(bool ownServer = false) {
  World world;
  world.addStore("audit", ownServer);
  return world;
}

void requireBoth(const World& world, const char* image, const char* content) {
  requireTidy(world);
  REQUIRE(world.deployment.containers[0].image == image);
  for (const auto& name : kBoth) REQUIRE(world.databases.at(name).content == content);
}

World heldAfterSwitch() {
  World world = twoStores();
  world.rollback->spec.onFailure = "Hold";
  world.checkHealthy = false;
  REQUIRE(world.run());
  REQUIRE(world.rollback->status.reason == "Held");
  world.checkHealthy = true;
  return world;
}

int said(const World& world, const std::string& line) {
  return static_cast<int>(std::count(world.log.begin(), world.log.end(), line));
}

}  // namespace

TEST_CASE("Given two stores, when rolled back, then both go back, in one switch, and both copies are kept") {
  World world = twoStores(GENERATE(false, true));
  const bool ended = world.run();
  INFO(world.story());
  REQUIRE(ended);
  const auto& status = world.rollback->status;
  REQUIRE(status.phase == Phase::Succeeded);
  requireBoth(world, kOld, "as backed up");
  REQUIRE(world.restores == 2);
  REQUIRE(status.plan->stores.size() == 2);
  REQUIRE(status.previous.size() == 2);
  for (const auto& name : kBoth) {
    REQUIRE(world.databases.at(name + "_prev_ab12cd34").content == "written by 2.0.0");
    REQUIRE(status.message.find(name + "_prev_ab12cd34") != std::string::npos);
  }
  REQUIRE(status.plan->dataLoss.find("store database") != std::string::npos);
  REQUIRE(status.plan->dataLoss.find("store audit") != std::string::npos);
  // Each store's part of the backup is read with the tools of that store; health is asked for once.
  REQUIRE(said(world, "mover verify: ok") == 1);
  REQUIRE(said(world, "mover verify audit: ok") == 1);
  REQUIRE(said(world, "mover check: ok") == 1);
  REQUIRE(said(world, "mover check audit: ok") == 1);
}

TEST_CASE("Given two stores of which one is the target's already, when rolled back, then only the other goes back") {
  World world = twoStores();
  const std::string stays = GENERATE(as<std::string>(), "shop", "audit");
  world.databases[stays].schema = "1.0.0";
  const std::string goes = stays == "shop" ? "audit" : "shop";
  // What stays needs no dump.
  world.missingFromBackup.insert(stays == "shop" ? "database" : "audit");
  world.framework.status.history = {{"1.0.0", {}, {}, "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"}};
  for (const char* store : {"database", "audit"})
    world.framework.status.history[0].schemas.push_back({store, {2, "sha256:schema-1.0.0", "sha256:schema-1.0.0", ""}});
  const bool ended = world.run();
  INFO(world.story());
  REQUIRE(ended);
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireTidy(world);
  REQUIRE(world.databases.at(stays).content == "written by 2.0.0");
  REQUIRE(world.databases.at(goes).content == "as backed up");
  REQUIRE(world.framework.status.kept.size() == 1);
  REQUIRE(world.rollback->status.message.find(" was left alone: ") != std::string::npos);
}

TEST_CASE("Given a backup without the dump of a store, when that store must go back, then it is refused by its name") {
  World world = twoStores();
  world.missingFromBackup.insert("audit");
  SECTION("asked for") { world.rollback->spec.scope = {"Version", "Databases"}; }
  SECTION("as nothing else tells its schema") {}
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.reason == "NothingTouched");
  REQUIRE(world.rollback->status.message.find("StoreMissing") != std::string::npos);
  REQUIRE(world.rollback->status.message.find("audit") != std::string::npos);
  requireBoth(world, kNew, "written by 2.0.0");
}

TEST_CASE("Given two stores on one server, when they cannot go back together, then it is refused") {
  struct Case {
    const char* code;
    const char* says;
    void (*arrange)(World&);
  };
  const auto c = GENERATE(
      Case{"NotEnoughSpace", "1600 bytes", [](World& w) { w.inspectPatch = R"({"space": {"available": 1500}})"; }},
      Case{"DatabaseShared", "one and the same database",
           [](World& w) { w.framework.spec.stores[1].postgres->database = "shop"; }},
      Case{"ReservedDatabase", "maintenanceDatabase of store audit",
           [](World& w) { w.framework.spec.stores[1].postgres->maintenanceDatabase = "shop"; }});
  World world = twoStores();
  c.arrange(world);
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.reason == "NothingTouched");
  REQUIRE(world.rollback->status.message.find(c.code) != std::string::npos);
  REQUIRE(world.rollback->status.message.find(c.says) != std::string::npos);
  REQUIRE(world.restores == 0);
  REQUIRE(world.violations.empty());
}

TEST_CASE("Given two stores on two servers, when each fits, then their room is not added up") {
  World world = twoStores(true);
  world.inspectPatch = R"({"space": {"available": 1500}})";
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
}

TEST_CASE("Given a store that fails before Quiesce, when rolled back, then the other's copy goes too") {
  const std::string verb = GENERATE(as<std::string>(), "verify audit", "stage audit", "stage shop");
  World world = twoStores();
  world.scripted[verb] = refusal("BackupDamaged");
  REQUIRE(world.run());
  INFO(verb << "\n" << world.story());
  REQUIRE(world.rollback->status.reason == "NothingTouched");
  requireBoth(world, kNew, "written by 2.0.0");
  REQUIRE(world.databases.size() == 2);
}

TEST_CASE("Given a store that takes its time to be staged, then no switch waits with a session for hours") {
  World world = twoStores();
  Outcome away = refusal("CannotConnect");
  away.kind = Outcome::Kind::Failed;
  world.scripted["stage audit"] = away;
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  int staged = 0, armed = 0;
  for (const auto& line : world.log) {
    if (line.rfind("mover stage", 0) == 0 && line.find(": ok") != std::string::npos) ++staged;
    if (line.rfind("PATCH jobs ", 0) != 0 || line.find("-switch-") == std::string::npos) continue;
    ++armed;
    REQUIRE(staged == 2);
  }
  REQUIRE(armed == 2);
}

TEST_CASE("Given the swap of one store fails after the other's succeeded, then the revert switches that one back") {
  const std::string fails = GENERATE(as<std::string>(), "audit", "shop");
  const std::string other = fails == "audit" ? "shop" : "audit";
  World world = twoStores(GENERATE(false, true));
  world.scripted["switch " + fails] = refusal("ForeignSession");
  bool wasSwitched = false;
  for (int i = 0; i < 600 && !world.ended(); ++i) {
    world.pass();
    wasSwitched = wasSwitched || (world.databases.count(other + "_prev_ab12cd34") &&
                                  world.databases.at(other).content == "as backed up");
    REQUIRE(world.databases.at(fails).content == "written by 2.0.0");
  }
  INFO(world.story());
  REQUIRE(world.ended());
  REQUIRE(wasSwitched);
  REQUIRE(world.rollback->status.phase == Phase::Reverted);
  REQUIRE(world.rollback->status.reason == "ForeignSession");
  requireBoth(world, kNew, "written by 2.0.0");
  // What had been live is kept; what never was is dropped.
  REQUIRE(world.databases.count(other + "_reverted_ab12cd34"));
  REQUIRE(world.databases.size() == 3);
}

TEST_CASE(
    "Given a swap that fails once and Hold, then it is held with the one switched and the other not, and undone") {
  World world = twoStores();
  world.rollback->spec.onFailure = "Hold";
  world.scripted["switch audit"] = refusal("ForeignSession");
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.reason == "Held");
  REQUIRE(world.databases.at("shop").content == "as backed up");
  REQUIRE(world.databases.at("audit").content == "written by 2.0.0");
  REQUIRE(world.databases.size() == 4);
  world.apply(undoOf(World::kName));
  REQUIRE(world.run());
  for (int i = 0; i < 4; ++i) world.step();
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireBoth(world, kNew, "written by 2.0.0");
}

TEST_CASE("Given two stores went back, when undone and undone again, then both follow each time") {
  World world = twoStores(GENERATE(false, true));
  REQUIRE(world.run());
  for (const auto& name : kBoth) world.databases[name].content = "as backed up, and written since";
  world.apply(undoOf(World::kName));
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireBoth(world, kNew, "written by 2.0.0");
  const std::string first = world.rollback->meta.name;
  world.apply(undoOf(first, "ee000001"));
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  requireBoth(world, kOld, "as backed up, and written since");
}

TEST_CASE("Given the kept copy of one store is gone, when undone, then it is refused and neither is touched") {
  World world = twoStores();
  REQUIRE(world.run());
  world.databases.erase("audit_prev_ab12cd34");
  world.apply(undoOf(World::kName));
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.message.find("KeptCopyGone") != std::string::npos);
  for (const auto& name : kBoth) REQUIRE(world.databases.at(name).content == "as backed up");
}

TEST_CASE("Given the process dies at any pass of an undo of two stores, then it ends in the same place") {
  World start = twoStores();
  REQUIRE(start.run());
  start.apply(undoOf(World::kName));
  for (int die = 0; !start.ended(); start.pass(), ++die)
    for (std::size_t most = 0; most <= 1; ++most) {
      World world = start;
      world.pass(most, 30000);
      REQUIRE(world.run(1000));
      INFO("dead at pass " << die << " after " << most << " writes\n" << world.story());
      REQUIRE(world.rollback->status.phase == Phase::Succeeded);
      requireBoth(world, kNew, "written by 2.0.0");
    }
}

TEST_CASE("Given a held rollback of two stores, when undone and the process dies at any pass, then both are back") {
  World start = heldAfterSwitch();
  start.apply(undoOf(World::kName));
  for (int die = 0; !start.ended(); start.pass(), ++die)
    for (std::size_t most = 0; most <= 1; ++most) {
      World world = start;
      world.pass(most, 30000);
      REQUIRE(world.run(1000));
      for (int i = 0; i < 4; ++i) world.step();
      INFO("dead at pass " << die << " after " << most << " writes\n" << world.story());
      REQUIRE(world.rollback->status.phase == Phase::Succeeded);
      requireBoth(world, kNew, "written by 2.0.0");
    }
}

TEST_CASE("Given a rollback of two stores is lost at any pass, then its framework takes both back") {
  struct Scenario {
    const char* name;
    void (*arrange)(World&);
  };
  const auto scenario = GENERATE(
      Scenario{"success", [](World&) {}},
      Scenario{"one is not switched", [](World& w) { w.scripted["switch audit"] = refusal("ForeignSession"); }});
  World start = twoStores();
  scenario.arrange(start);
  int at = 0;
  for (; !start.ended(); start.pass(), ++at) {
    if (start.lockFree()) continue;
    for (std::size_t death = 0; death < 3; ++death) {
      World world = start;
      world.loseRollback((at + static_cast<int>(death)) % 2 == 0);
      for (int i = 0; i < 600 && !world.lockFree(); ++i) {
        const bool dies = death > 0 && i % 3 == 2;
        world.framePass(dies ? death - 1 : 100, dies ? 20000 : 500);
      }
      for (int i = 0; i < 4; ++i) world.step();
      INFO(scenario.name << ", lost at pass " << at << ", death " << death << "\n" << world.story());
      requireBoth(world, kNew, "written by 2.0.0");
    }
  }
  REQUIRE(at > 10);
}

TEST_CASE("Given two stores went back, when the time of their copies is over, then both copies are dropped") {
  World world = twoStores(GENERATE(false, true));
  REQUIRE(world.run());
  world.rollback.reset();
  world.now += std::chrono::hours(25);
  for (int i = 0; i < 100 && !world.framework.status.kept.empty(); ++i) world.framePass();
  INFO(world.story());
  requireBoth(world, kOld, "as backed up");
  REQUIRE(world.framework.status.kept.empty());
}

TEST_CASE(
    "Given databases of one name and OID on two servers, when the lock is given up, then both's copies are kept") {
  World world = heldAfterSwitch();
  auto& stores = world.framework.status.activeRollback->stores;
  const std::string audit = stores[1].store;
  stores[1] = stores[0];
  stores[1].store = audit;
  stores[1].systemIdentifier = "7001";
  world.framework.meta.annotations[api::kAnnotationUnlock] = world.rollback->meta.uid;
  REQUIRE(world.runFramework(5));
  INFO(world.story());
  const auto& kept = world.framework.status.kept;
  for (const char* store : {"database", "audit"})
    REQUIRE(std::count_if(kept.begin(), kept.end(), [&](const auto& copy) {
              return copy.store == store && copy.name == "shop_prev_ab12cd34" && copy.oid == 16385;
            }) == 1);
}

TEST_CASE("Given databases of one server whose long names begin alike, then their copies have names of their own") {
  World world = twoStores();
  const auto in = world.snapshot();
  auto store = world.framework.spec.stores[0];
  const std::string alike(60, 'x');
  const auto namesOf = [&](const std::string& database) {
    store.postgres->database = database;
    const reconcilers::PostgresDriver driver{
        {}, in.ns, world.framework.spec, world.frameworkClass.spec, store, world.frameworkClass.spec.stores[0]};
    return driver.names("ab12cd34-0000-0000-0000-000000000001");
  };
  const auto one = namesOf(alike + "1"), other = namesOf(alike + "2");
  // As the mover makes it (tests/unit/mover/text_test.cpp).
  REQUIRE(one.prev == std::string(40, 'x') + "_" + api::sha256Hex(alike + "1").substr(0, 8) + "_prev_ab12cd34");
  REQUIRE(one.prev != other.prev);
  REQUIRE(one.reverted != other.reverted);
  REQUIRE(one.stage(1) != other.stage(1));
  for (const auto& name : {one.prev, one.reverted, one.stage(12)}) {
    REQUIRE(name.size() == 63);
    REQUIRE(name.rfind("xxxxxxxx", 0) == 0);
  }
}
