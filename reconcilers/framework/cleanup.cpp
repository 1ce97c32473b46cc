// Databases kept for undo whose time is over: dropped by one Job per store, which checks name, OID and "not live" of
// each.
#include <algorithm>
#include <limits>

#include "api/digest.h"
#include "common/journal.h"
#include "framework/pass.h"
#include "jobs/run.h"

namespace rollback::reconcilers {
namespace {

constexpr int kBurst = 3;  // attempts before a pause
constexpr Millis kPause{10 * 60 * 1000};
constexpr std::int64_t kSeconds = 600;

void sooner(std::optional<Millis>& recheck, Millis time) { recheck = recheck ? std::min(*recheck, time) : time; }

bool due(const api::KeptCopy& copy, WallTime now) {
  WallTime until{};
  return parseTime(copy.until, until) && now >= until;
}

std::string namesOf(const std::vector<api::KeptCopy>& copies) {
  std::string names;
  for (const auto& copy : copies) names += (names.empty() ? "" : ", ") + copy.name;
  return names;
}

// Of which copies a journal line is: other copies, another Job.
std::string stepOf(const std::vector<api::KeptCopy>& copies) {
  std::string what;
  for (const auto& copy : copies) what += copy.name + "\n" + std::to_string(copy.oid) + "\n";
  return "cleanup-" + api::sha256Hex(what).substr(0, 8);
}

FrameworkAnswer drop(FrameworkPass& pass, const PostgresDriver& driver, const std::vector<api::KeptCopy>& copies) {
  FrameworkAnswer answer;
  auto& steps = pass.draft.status.steps;
  const std::string store = driver.store.name, step = stepOf(copies);
  auto& record = recordOf(steps, "Cleanup", store);
  if (record.attempt > 0 && record.jobName != pass.jobNameOf(step, store, record.attempt)) {
    record = api::StepRecord{};
    record.name = "Cleanup";
    record.store = store;
  }
  auto input = pass.jobInput(step, store, std::max(1, (record.attempt + kBurst - 1) / kBurst) * kBurst);
  input.spec = [&](const api::StepRecord& line) { return driver.cleanup(line, copies, kSeconds); };
  if (record.state == "Failed") {
    WallTime failed{};
    if (parseTime(record.completedAt, failed) && pass.in.ns.now < failed + kPause) {
      sooner(answer.recheck, std::chrono::duration_cast<Millis>(failed + kPause - pass.in.ns.now));
      return answer;
    }
    input.maxAttempts = std::numeric_limits<int>::max();
    answer.again = nextAttempt(record, input, record.message.substr(0, 512));
    return answer;
  }
  JobRun run = runJobToVerdict(record, input, pass.settings);
  std::string why;
  switch (run.state) {
    case JobRun::State::Record:
      if (record.message.empty()) record.message = ("dropping " + namesOf(copies)).substr(0, 1024);
      answer.again = true;
      return answer;
    case JobRun::State::Act:
      answer.requests = std::move(run.requests);
      return answer;
    case JobRun::State::Wait:
      answer.recheck = run.recheck;
      return answer;
    case JobRun::State::GaveUp:
      why = run.message;
      break;
    case JobRun::State::Done:
      if (run.outcome->kind != Outcome::Kind::Succeeded) why = run.outcome->code + ": " + run.outcome->message;
      break;
  }
  answer.again = true;
  if (!why.empty()) {
    record.state = "Failed";
    record.completedAt = pass.nowText();
    record.message = why;
    answer.events.push_back({"Warning", "CleanupFailed", "Cleanup",
                             "databases kept for undo, " + namesOf(copies) + ", could not be dropped: " + why});
    return answer;
  }
  answer.events.push_back({"Normal", "KeptCopiesDropped", "Cleanup",
                           "databases kept for undo, " + namesOf(copies) + ", are dropped: their time is over"});
  const WallTime now = pass.in.ns.now;
  auto& kept = pass.draft.status.kept;
  kept.erase(
      std::remove_if(kept.begin(), kept.end(), [&](const auto& copy) { return copy.store == store && due(copy, now); }),
      kept.end());
  steps.erase(std::remove_if(steps.begin(), steps.end(),
                             [&](const auto& r) { return r.name == "Cleanup" && r.store == store; }),
              steps.end());
  return answer;
}

}  // namespace

FrameworkAnswer cleanUp(FrameworkPass& pass) {
  FrameworkAnswer all;
  const auto& kept = pass.in.object.status.kept;
  for (const auto& copy : kept) {
    WallTime until{};
    if (parseTime(copy.until, until) && pass.in.ns.now < until)
      sooner(all.recheck, std::chrono::duration_cast<Millis>(until - pass.in.ns.now));
  }
  for (const auto& store : pass.spec().stores) {
    std::vector<api::KeptCopy> copies;
    for (const auto& copy : kept)
      if (copy.store == store.name && due(copy, pass.in.ns.now)) copies.push_back(copy);
    const auto driver = pass.driver(store);
    if (copies.empty() || !driver) continue;
    FrameworkAnswer answer = drop(pass, *driver, copies);
    if (answer.recheck) sooner(all.recheck, *answer.recheck);
    if (answer.requests.empty() && !answer.again) continue;
    answer.recheck = all.recheck;
    return answer;
  }
  return all;
}

}  // namespace rollback::reconcilers
