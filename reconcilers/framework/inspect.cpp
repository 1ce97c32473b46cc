// The schema level of a healthy version, read once: by one read-only Job per store and image set.
#include "api/digest.h"
#include "common/journal.h"
#include "framework/pass.h"
#include "jobs/run.h"
#include "stores/inspection.h"

namespace rollback::reconcilers {
namespace {

constexpr int kAttempts = 10;  // with their pauses, minutes: a database that comes up after its application
constexpr std::int64_t kSeconds = 300;

std::string imagesText(const FrameworkPass& pass) {
  std::string text;
  for (const auto& component : pass.components)
    text += (text.empty() ? "" : ", ") + component.component->name + "=" +
            (component.container() ? component.container()->image : "");
  return text;
}

// What a reading is of: other images, another spec or another question make it stale.
std::string stepOf(const FrameworkPass& pass, const PostgresDriver& driver) {
  return "inspect-" + api::sha256Hex(imagesText(pass) + "\n" + std::to_string(pass.draft.meta.generation) + "\n" +
                                     driver.storeClass.schemaQuery)
                          .substr(0, 8);
}

void setSchema(api::RunningVersion& running, const std::string& store, const api::SchemaLevel& schema) {
  for (auto& entry : running.schemas)
    if (entry.store == store) {
      entry.schema = schema;
      return;
    }
  running.schemas.push_back({store, schema});
}

void finish(FrameworkPass& pass, api::StepRecord& record, const std::string& why, const api::SchemaLevel& schema) {
  record.state = why.empty() ? "Succeeded" : "Failed";
  record.completedAt = pass.nowText();
  if (!why.empty()) record.message = why;
  setSchema(*pass.draft.status.running, record.store, schema);
}

api::SchemaLevel unknown(const std::string& why) {
  api::SchemaLevel level;
  level.unknownReason = why.substr(0, 512);
  return level;
}

}  // namespace

FrameworkAnswer inspectStores(FrameworkPass& pass) {
  FrameworkAnswer answer;
  for (const auto& store : pass.spec().stores) {
    const auto driver = pass.driver(store);
    if (!driver) continue;
    const std::string step = stepOf(pass, *driver);
    auto& record = recordOf(pass.draft.status.steps, "Inspect", store.name);
    // The Job's name says what the line is about.
    if (record.attempt > 0 && record.jobName != pass.jobNameOf(step, store.name, record.attempt)) {
      record = api::StepRecord{};
      record.name = "Inspect";
      record.store = store.name;
    }
    if (record.state == "Succeeded" || record.state == "Failed") continue;
    answer.busy = "reading the schema of store " + store.name;
    auto input = pass.jobInput(step, store.name, kAttempts);
    input.spec = [&](const api::StepRecord& line) { return driver->inspect(line, "", kSeconds); };
    JobRun run = runJobToVerdict(record, input, pass.settings);
    switch (run.state) {
      case JobRun::State::Record:
        if (record.attempt == 1) record.message = imagesText(pass).substr(0, 1024);
        answer.again = true;
        return answer;
      case JobRun::State::Act:
        answer.requests = std::move(run.requests);
        return answer;
      case JobRun::State::Wait:
        if (!run.message.empty()) answer.busy += ": " + run.message;
        answer.recheck = run.recheck;
        return answer;
      case JobRun::State::GaveUp:
        finish(pass, record, run.message, unknown(run.message));
        break;
      case JobRun::State::Done: {
        const Outcome& outcome = *run.outcome;
        if (outcome.kind != Outcome::Kind::Succeeded) {
          const std::string why = outcome.code + (outcome.message.empty() ? "" : ": " + outcome.message);
          finish(pass, record, why, unknown(why));
          break;
        }
        const auto seen = decodeInspection(outcome.result);
        if (!seen)
          finish(pass, record, seen.error().message, unknown(seen.error().message));
        else
          finish(pass, record, "", seen->liveSchema);
        break;
      }
    }
    answer.busy.clear();
    answer.again = true;
    return answer;
  }
  return answer;
}

}  // namespace rollback::reconcilers
