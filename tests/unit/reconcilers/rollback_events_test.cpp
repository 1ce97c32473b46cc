// The Events of whole rollbacks: read in order they are the story, and none is told twice.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <map>

#include "rollback/events.h"
#include "world.h"

using namespace rollback;
using test::World;

namespace {

std::vector<reconcilers::Event> told(World& world) {
  std::vector<reconcilers::Event> events;
  for (int pass = 0; pass < 3000 && world.rollback; ++pass) {
    const auto decision = world.decide();
    bool sent = true;
    for (const auto& request : decision.requests) sent = sent && world.send(request);
    if (sent) events.insert(events.end(), decision.events.begin(), decision.events.end());
    if (!world.rollback ||
        (world.rollback->status.phase && api::isEnding(*world.rollback->status.phase) && decision.requests.empty()))
      break;
    world.step();
  }
  return events;
}

std::vector<std::string> reasonsOf(const std::vector<reconcilers::Event>& events) {
  std::vector<std::string> out;
  for (const auto& event : events) out.push_back((event.type == "Warning" ? "!" : "") + event.reason);
  return out;
}

std::string noteOf(const std::vector<reconcilers::Event>& events, const std::string& reason) {
  for (const auto& event : events)
    if (event.reason == reason) return event.note;
  return "";
}

using Reasons = std::vector<std::string>;
using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("events: given a rollback with data, when it succeeds, then its Events tell the story") {
  World world;
  const auto events = told(world);
  CHECK(reasonsOf(events) == Reasons{"RollbackPlanning", "RollbackPreparing", "BackupVerified", "Staged",
                                     "RollbackSwitching", "Switched", "RollbackVerifying", "RollbackSucceeded"});
  CHECK_THAT(noteOf(events, "RollbackPreparing"), Contains("shop from 2.0.0 to 1.0.0") && Contains("serves"));
  CHECK_THAT(noteOf(events, "BackupVerified"), Contains("shop-1"));
  CHECK_THAT(noteOf(events, "RollbackSwitching"), Contains("stopping the application") && Contains("1.0.0"));
  CHECK_THAT(noteOf(events, "RollbackVerifying"), Contains(" ms of downtime"));
  CHECK_THAT(noteOf(events, "RollbackSucceeded"), Contains("runs 1.0.0") && Contains("is kept, closed"));
}

TEST_CASE(
    "events: given a target that is not healthy, when reverted, then its Events say what failed and that it is back") {
  World world;
  world.checkHealthy = false;
  const auto events = told(world);
  const auto reasons = reasonsOf(events);
  REQUIRE(reasons.size() > 3);
  CHECK(Reasons(reasons.end() - 3, reasons.end()) ==
        Reasons{"RollbackVerifying", "!RollbackReverting", "!RollbackReverted"});
  CHECK_THAT(noteOf(events, "RollbackReverting"), Contains("health check"));
  CHECK_THAT(noteOf(events, "RollbackReverted"), Contains("is back as it was before"));
}

TEST_CASE("events: given a wait that lasts, when looked at again and again, then nothing is told again") {
  World world;
  SECTION("suspended") { world.rollback->spec.suspend = true; }
  SECTION("behind another rollback") {
    world.framework.status.activeRollback = api::ActiveRollback{"other", "other-uid", "t", "", {}, {}, ""};
  }
  std::map<std::string, int> times;
  for (int pass = 0; pass < 200; ++pass) {
    const auto decision = world.decide();
    for (const auto& request : decision.requests) world.send(request);
    for (const auto& event : decision.events) ++times[event.reason];
    world.step(5000);
  }
  CHECK_FALSE(times.empty());
  for (const auto& [reason, count] : times) {
    INFO(reason);
    CHECK(count == 1);
  }
}

TEST_CASE("events: given rollbacks with any end, when told, then each reason comes once and each note says something") {
  const std::function<void(World&)> arrange =
      GENERATE(std::function<void(World&)>([](World&) {}),
               std::function<void(World&)>([](World& w) { w.brokenImages.insert("localhost/demo-app:1.0.0"); }),
               std::function<void(World&)>([](World& w) { w.unpullableImages.insert("localhost/demo-app:1.0.0"); }),
               std::function<void(World&)>([](World& w) { w.databases["shop"].schema = "1.0.0"; }),
               std::function<void(World&)>([](World& w) { w.rollback->spec.mode = "Plan"; }),
               std::function<void(World&)>([](World& w) { w.rollback->spec.abort = true; }),
               std::function<void(World&)>([](World& w) { w.rollback->spec.fromVersion = "3.0.0"; }));
  World world;
  arrange(world);
  const auto events = told(world);
  REQUIRE_FALSE(events.empty());
  auto reasons = reasonsOf(events);
  std::sort(reasons.begin(), reasons.end());
  CHECK(std::adjacent_find(reasons.begin(), reasons.end()) == reasons.end());
  CHECK(events.size() <= 12);
  for (const auto& event : events) {
    CHECK(event.note.size() > 20);
    CHECK(event.action == "Rollback");
  }
}

TEST_CASE("events: given a staged copy that could not be dropped, when it is given up, then one names it, once") {
  api::FrameworkRollback before;
  before.status.phase = api::Phase::Preparing;
  api::PlannedStore store;
  store.name = "database";
  store.stageName = "shop_stage_ab12cd34_1";
  api::RollbackPlan plan;
  plan.stores.push_back(store);
  before.status.plan = plan;
  api::FrameworkRollback after = before;
  api::StepRecord record;
  record.name = "Discard";
  record.store = "database";
  record.state = "Succeeded";
  const auto leftover = [](const api::FrameworkRollback& from, const api::FrameworkRollback& to) {
    return noteOf(reconcilers::eventsOf(from, to), "StagedCopyLeft");
  };
  SECTION("it was dropped") {
    after.status.steps.push_back(record);
    REQUIRE(leftover(before, after).empty());
  }
  SECTION("it was not") {
    record.message = "the staged copy could not be dropped and is still there, closed: killed";
    after.status.steps.push_back(record);
    REQUIRE(leftover(before, after) == "store database, database shop_stage_ab12cd34_1: " + record.message);
    REQUIRE(leftover(after, after).empty());
  }
}
