// Runs one mover Job for one line of the journal, whatever may die in between. Pure: looks at the record and at the
// Jobs the snapshot shows, and says the one next thing.
//
//   nothing recorded       → Record  (attempt, name and token are journaled first)
//   recorded, no Job       → Act     (create it, suspended)
//   Job seen, uid unknown  → Record  (its uid is journaled)
//   suspended              → Act     (start exactly that Job: uid and resourceVersion tested)
//   running                → Wait
//   ended with an outcome  → Done
//   vanished or crashed    → Record  (a new attempt, once no pod of the old one is alive), or GaveUp after maxAttempts
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/journal.h"
#include "base/clock.h"
#include "jobs/job.h"
#include "jobs/outcome.h"

namespace rollback::reconcilers {

struct JobRun {
  enum class State { Record, Act, Wait, Done, GaveUp };
  State state = State::Wait;
  std::vector<kube::Request> requests;  // Act
  std::optional<Outcome> outcome;       // Done
  std::string message;                  // Wait: what it waits for; GaveUp: why
  std::optional<Millis> recheck;        // Wait: look again after
  const JobView* view = nullptr;
};

struct JobRunInput {
  WallTime now;
  std::string newToken;  // fresh randomness, used if an attempt begins
  const std::vector<JobView>* jobs = nullptr;
  const std::vector<kube::Pod>* orphans = nullptr;  // pods with our labels whose Job is gone
  int maxAttempts = 3;
  // The Job of an attempt; `record` has name, token and attempt filled in.
  std::function<JobSpec(const api::StepRecord& record)> spec;
  std::function<std::string(int attempt)> name;
};

// Updates `record` where the answer is Record, Done or GaveUp (state stays Running at Done: the caller decides what the
// outcome means); the caller writes the status before anything else.
JobRun runJob(api::StepRecord& record, const JobRunInput& input, const Settings& settings);

// runJob, where Done is final: after a transient outcome another attempt begins, once a pause that doubles from 1 s to
// 30 s has passed since the last one's pod ended; Done with a transient outcome when maxAttempts are used up.
JobRun runJobToVerdict(api::StepRecord& record, const JobRunInput& input, const Settings& settings);

// Transient outcomes are tried again with a new attempt: the server was away, not wrong.
bool isTransient(const Outcome& outcome);

// Begins a new attempt of a record whose last one ended with a transient outcome; false when maxAttempts are used up.
bool nextAttempt(api::StepRecord& record, const JobRunInput& input, const std::string& why);

const JobView* findJob(const std::vector<JobView>& jobs, const std::string& name);

}  // namespace rollback::reconcilers
