#include "jobs/run.h"

#include <algorithm>

namespace rollback::reconcilers {
namespace {

void begin(api::StepRecord& record, const JobRunInput& input, const std::string& message) {
  record.state = "Running";
  record.attempt += 1;
  record.jobName = input.name(record.attempt);
  record.jobUid.clear();
  record.token = input.newToken;
  record.progress.reset();
  record.message = message;
  record.completedAt.clear();
  if (record.startedAt.empty()) record.startedAt = formatTime(input.now);
}

JobRun giveUpOrRetry(api::StepRecord& record, const JobRunInput& input, const std::string& why) {
  JobRun run;
  if (nextAttempt(record, input, why)) {
    run.state = JobRun::State::Record;
  } else {
    run.state = JobRun::State::GaveUp;
    run.message = why + " (" + std::to_string(record.attempt) + " attempts)";
    record.message = run.message;
  }
  return run;
}

}  // namespace

const JobView* findJob(const std::vector<JobView>& jobs, const std::string& name) {
  const auto it =
      std::find_if(jobs.begin(), jobs.end(), [&](const JobView& view) { return view.job.meta.name == name; });
  return it == jobs.end() ? nullptr : &*it;
}

bool isTransient(const Outcome& outcome) {
  static const char* codes[] = {"CannotConnect", "ConnectionLost", "ServerStarting", "TooManyConnections",
                                "Cancelled",     "Locked",         "TablesBusy",     "Timeout"};
  return outcome.kind != Outcome::Kind::Succeeded &&
         std::any_of(std::begin(codes), std::end(codes), [&](const char* code) { return outcome.code == code; });
}

bool nextAttempt(api::StepRecord& record, const JobRunInput& input, const std::string& why) {
  if (record.attempt >= input.maxAttempts) return false;
  begin(record, input, "attempt " + std::to_string(record.attempt + 1) + " after: " + why);
  return true;
}

JobRun runJob(api::StepRecord& record, const JobRunInput& input, const Settings& settings) {
  JobRun run;
  if (record.attempt == 0) {
    begin(record, input, "");
    run.state = JobRun::State::Record;
    return run;
  }
  const JobView* view = findJob(*input.jobs, record.jobName);
  if (!view) {
    if (record.jobUid.empty()) {  // announced, not created yet
      run.state = JobRun::State::Act;
      run.requests.push_back(createJob(input.spec(record), settings));
      return run;
    }
    // It was there and is gone (deleted, or its time to live is over). Whoever of its pods still lives could still
    // write.
    if (input.orphans)
      for (const auto& pod : *input.orphans) {
        const auto label = pod.meta.labels.find("batch.kubernetes.io/job-name");
        if (!pod.ended() && label != pod.meta.labels.end() && label->second == record.jobName) {
          run.message = "Job " + record.jobName + " vanished; waiting for its pod " + pod.meta.name + " to go";
          run.recheck = Millis(1000);
          return run;
        }
      }
    return giveUpOrRetry(record, input, "Job " + record.jobName + " vanished before it reported");
  }
  run.view = view;
  const kube::Job& job = view->job;
  if (record.jobUid.empty()) {
    record.jobUid = job.meta.uid;
    run.state = JobRun::State::Record;
    return run;
  }
  if (record.jobUid != job.meta.uid) {
    // Somebody else's Job under our name: ours is gone. A new attempt has a new name.
    return giveUpOrRetry(record, input, "Job " + record.jobName + " was replaced by another of the same name");
  }
  if (view->outcome && view->outcome->token == record.token && view->moversGone()) {
    run.outcome = view->outcome;
    if (run.outcome->resultMissing)
      return giveUpOrRetry(record, input, "the result in the log of Job " + record.jobName + " could not be read");
    run.state = JobRun::State::Done;
    return run;
  }
  if (job.suspended && !job.meta.deleting()) {
    run.state = JobRun::State::Act;
    run.requests.push_back(unsuspendJob(job));
    return run;
  }
  if ((job.ended() || job.meta.deleting()) && view->podsGone()) {
    std::string why = "Job " + record.jobName + " ended without a report";
    if (!job.failedReason.empty())
      why += ": " + job.failedReason + (job.failedMessage.empty() ? "" : ": " + job.failedMessage);
    for (const auto& pod : view->pods)
      for (const auto& status : pod.containers)
        if (status.terminated && status.terminatedReason != "Completed")
          why += "; its container ended with " + status.terminatedReason + " (exit code " +
                 std::to_string(status.exitCode) + ")";
    if (job.meta.deleting()) {  // wait until the name is free and nothing can start any more
      run.message = "waiting for deleted Job " + record.jobName + " to go";
      run.recheck = Millis(1000);
      return run;
    }
    return giveUpOrRetry(record, input, why);
  }
  if (view->progress) record.progress = view->progress->progress;
  run.message = view->trouble();
  run.recheck = Millis(view->pods.empty() ? 2000 : 5000);
  return run;
}

JobRun runJobToVerdict(api::StepRecord& record, const JobRunInput& input, const Settings& settings) {
  JobRun run = runJob(record, input, settings);
  if (run.state != JobRun::State::Done || !isTransient(*run.outcome)) return run;
  const Millis pause = std::min(Millis(1000) * (1 << std::min(record.attempt - 1, 5)), Millis(30000));
  WallTime ended = input.now - pause;  // nobody says when: long enough ago
  for (const auto& pod : run.view->pods)
    for (const auto& container : pod.containers)
      if (container.terminated) parseTime(container.finishedAt, ended);
  if (input.now < ended + pause) {
    run.state = JobRun::State::Wait;
    run.message = run.outcome->message;
    run.recheck = std::chrono::duration_cast<Millis>(ended + pause - input.now);
    return run;
  }
  if (nextAttempt(record, input, run.outcome->message)) run.state = JobRun::State::Record;
  return run;
}

}  // namespace rollback::reconcilers
