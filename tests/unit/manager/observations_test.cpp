// What a status write tells: from the object before and after it.
#include "manager/observations.h"

#include <catch2/catch.hpp>

using namespace rollback;
using namespace rollback::manager;
using api::Phase;

namespace {

WallTime at(const std::string& text) {
  WallTime out{};
  parseTime(text, out);
  return out;
}

const WallTime kNow = at("2026-11-24T03:10:00Z");

api::StepRecord step(const std::string& name, const std::string& state, const std::string& startedAt,
                     const std::string& completedAt = "", const std::string& store = "") {
  api::StepRecord record;
  record.name = name;
  record.store = store;
  record.state = state;
  record.startedAt = startedAt;
  record.completedAt = completedAt;
  return record;
}

api::FrameworkRollback inPhase(Phase phase, std::vector<api::StepRecord> steps = {}) {
  api::FrameworkRollback rollback;
  rollback.status.phase = phase;
  rollback.status.steps = std::move(steps);
  return rollback;
}

}  // namespace

TEST_CASE("given a step that ended with a write, when observed, then its time and outcome are told, and only then") {
  const auto before =
      inPhase(Phase::Preparing, {step("Plan", "Succeeded", "2026-11-24T03:00:00Z", "2026-11-24T03:00:05Z"),
                                 step("Stage", "Running", "2026-11-24T03:01:00Z"),
                                 step("Stage", "Running", "2026-11-24T03:01:00Z", "", "database")});
  auto after = before;
  CHECK(observe(before, after, kNow).steps.empty());
  after.status.steps[2] = step("Stage", "Succeeded", "2026-11-24T03:01:00Z", "2026-11-24T03:03:00Z", "database");
  const auto seen = observe(before, after, kNow);
  REQUIRE(seen.steps.size() == 1);
  CHECK(seen.steps[0].step == "Stage");
  CHECK(seen.steps[0].ofStore);
  CHECK(seen.steps[0].succeeded);
  CHECK(seen.steps[0].seconds == 120);
  CHECK(observe(after, after, kNow).steps.empty());
}

TEST_CASE("given a step that was cut off, when observed, then its time ends now") {
  const auto before = inPhase(Phase::Preparing, {step("Stage", "Running", "2026-11-24T03:09:00Z")});
  const auto after = inPhase(Phase::Preparing, {step("Stage", "Failed", "2026-11-24T03:09:00Z")});
  const auto seen = observe(before, after, kNow);
  REQUIRE(seen.steps.size() == 1);
  CHECK_FALSE(seen.steps[0].succeeded);
  CHECK(seen.steps[0].seconds == 60);
}

TEST_CASE("given a backward step that failed again after it was tried again, when observed, then it is told again") {
  const auto first =
      inPhase(Phase::Reverting, {step("SwitchBack", "Failed", "2026-11-24T03:00:00Z", "2026-11-24T03:01:00Z")});
  const auto second =
      inPhase(Phase::Reverting, {step("SwitchBack", "Failed", "2026-11-24T03:00:00Z", "2026-11-24T03:02:00Z")});
  CHECK(observe(first, second, kNow).steps.size() == 1);
}

TEST_CASE("given a clock that was set back, when observed, then no time is negative") {
  const auto before = inPhase(Phase::Planning);
  const auto after =
      inPhase(Phase::Planning, {step("Plan", "Succeeded", "2026-11-24T03:05:00Z", "2026-11-24T03:04:00Z")});
  CHECK(observe(before, after, kNow).steps.at(0).seconds == 0);
}

TEST_CASE("given a step line without a beginning, when observed, then nothing is made up") {
  CHECK(
      observe(inPhase(Phase::Planning), inPhase(Phase::Planning, {step("Plan", "Succeeded", "")}), kNow).steps.empty());
}

TEST_CASE("given an ending, when observed, then it is told once, with the downtime if the application serves again") {
  auto before = inPhase(Phase::Verifying);
  auto after = inPhase(Phase::Succeeded);
  after.status.downtime = api::Downtime{"2026-11-24T03:01:00.000000Z", "2026-11-24T03:01:04.894000Z", 4894};
  before.status.downtime = after.status.downtime;
  const auto seen = observe(before, after, kNow);
  CHECK(seen.ended == Phase::Succeeded);
  CHECK(seen.downtimeSeconds == Approx(4.894));
  CHECK_FALSE(seen.reverting);
  CHECK_FALSE(observe(after, after, kNow).ended);
  CHECK_FALSE(observe(after, after, kNow).downtimeSeconds);

  auto failed = inPhase(Phase::Failed);
  failed.status.downtime = api::Downtime{"2026-11-24T03:01:00.000000Z", "", 0};  // it never came back
  CHECK(observe(inPhase(Phase::Reverting), failed, kNow).ended == Phase::Failed);
  CHECK_FALSE(observe(inPhase(Phase::Reverting), failed, kNow).downtimeSeconds);
}

TEST_CASE(
    "given a revert, when observed, then its beginning is told once, and a downtime that ended before it is not") {
  auto before = inPhase(Phase::Verifying);
  before.status.downtime = api::Downtime{"2026-11-24T03:01:00.000000Z", "2026-11-24T03:01:04.000000Z", 4000};
  auto after = before;
  after.status.phase = Phase::Reverting;
  CHECK(observe(before, after, kNow).reverting);
  CHECK_FALSE(observe(before, after, kNow).downtimeSeconds);
  CHECK_FALSE(observe(after, after, kNow).reverting);
}

TEST_CASE("given a backup's writes, when observed, then its steps and its end are told once") {
  api::FrameworkBackup before;
  before.status.phase = "Verifying";
  before.status.steps = {step("Verify", "Running", "2026-11-24T03:00:00Z", "", "database")};
  auto after = before;
  after.status.phase = "Completed";
  after.status.steps[0] = step("Verify", "Succeeded", "2026-11-24T03:00:00Z", "2026-11-24T03:00:30Z", "database");
  const auto seen = observe(before, after, kNow);
  CHECK(seen.ended == "Completed");
  REQUIRE(seen.steps.size() == 1);
  CHECK(seen.steps[0].seconds == 30);
  CHECK(observe(after, after, kNow).ended.empty());
}
