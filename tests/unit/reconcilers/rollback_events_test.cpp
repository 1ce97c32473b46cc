// What a change of a rollback's status is told as.
#include <algorithm>
#include <catch2/catch.hpp>

#include "rollback/events.h"

using namespace rollback;
using namespace rollback::reconcilers;

TEST_CASE("Given a staged copy that could not be dropped, when it is given up, then an Event names it, once") {
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
  const auto told = [](const api::FrameworkRollback& from, const api::FrameworkRollback& to) {
    const auto events = eventsOf(from, to);
    const auto found =
        std::find_if(events.begin(), events.end(), [](const Event& e) { return e.reason == "StagedCopyLeft"; });
    return found == events.end() ? std::string() : found->note;
  };
  SECTION("it was dropped") {
    after.status.steps.push_back(record);
    REQUIRE(told(before, after).empty());
  }
  SECTION("it was not") {
    record.message = "the staged copy could not be dropped and is still there, closed: killed";
    after.status.steps.push_back(record);
    REQUIRE(told(before, after) == "store database, database shop_stage_ab12cd34_1: " + record.message);
    REQUIRE(told(after, after).empty());
  }
}
