// runJob: one next thing for every state of a Job, from the journal and what the snapshot shows.
#include <catch2/catch.hpp>

#include "jobs/run.h"

using namespace rollback;
using reconcilers::JobRun;
using reconcilers::JobView;
using reconcilers::Outcome;
using State = JobRun::State;

namespace {

struct Bench {
  Bench() {
    parseTime("2026-11-24T03:00:00Z", input.now);
    input.newToken = "fresh";
    input.jobs = &jobs;
    input.orphans = &orphans;
    input.maxAttempts = 2;
    input.name = [](int attempt) { return "job-" + std::to_string(attempt); };
    input.spec = [](const api::StepRecord& line) {
      reconcilers::JobSpec spec;
      spec.name = line.jobName;
      spec.owner.namespace_ = "demo";
      spec.owner.uid = "u";
      spec.image = "postgres:15";
      spec.task = "{}";
      return spec;
    };
  }
  // An attempt that was journaled, created, seen and started.
  void running() {
    record.state = "Running";
    record.attempt = 1;
    record.jobName = "job-1";
    record.jobUid = "uid-1";
    record.token = "t1";
    JobView view;
    view.job.meta.name = "job-1";
    view.job.meta.namespace_ = "demo";
    view.job.meta.uid = "uid-1";
    view.job.meta.resourceVersion = "7";
    jobs = {view};
  }
  kube::Pod pod(const std::string& phase) {
    kube::Pod made;
    made.meta.name = "job-1-x";
    made.meta.labels["batch.kubernetes.io/job-name"] = "job-1";
    made.phase = phase;
    return made;
  }
  void report(Outcome::Kind kind, const std::string& code = "") {
    Outcome outcome;
    outcome.kind = kind;
    outcome.code = code;
    outcome.message = "because";
    outcome.token = record.token;
    jobs[0].outcome = outcome;
    auto ended = pod("Succeeded");
    ended.containers = {{}};
    ended.containers[0].terminated = true;
    ended.containers[0].finishedAt = "2026-11-24T03:00:00Z";
    jobs[0].pods = {ended};
    jobs[0].job.complete = true;
  }
  JobRun run() { return reconcilers::runJob(record, input, settings); }
  JobRun verdict() { return reconcilers::runJobToVerdict(record, input, settings); }

  api::StepRecord record;
  std::vector<JobView> jobs;
  std::vector<kube::Pod> orphans;
  reconcilers::JobRunInput input;
  reconcilers::Settings settings{"mover:test", "Never"};
};

kube::ContainerStatus container(const std::string& name, bool terminated) {
  kube::ContainerStatus out;
  out.name = name;
  out.terminated = terminated;
  return out;
}

}  // namespace

TEST_CASE("Given nothing recorded, when run, then attempt, name and token are journaled before anything is sent") {
  Bench bench;
  const auto run = bench.run();
  REQUIRE(run.state == State::Record);
  REQUIRE(run.requests.empty());
  REQUIRE(bench.record.attempt == 1);
  REQUIRE(bench.record.jobName == "job-1");
  REQUIRE(bench.record.token == "fresh");
  REQUIRE(bench.record.startedAt == "2026-11-24T03:00:00Z");
}

TEST_CASE("Given an attempt was journaled, when its Job is not there, then it is created suspended, again and again") {
  Bench bench;
  bench.run();
  for (int i = 0; i < 2; ++i) {
    const auto run = bench.run();
    REQUIRE(run.state == State::Act);
    REQUIRE(run.requests.size() == 1);
    REQUIRE(run.requests[0].fault().empty());
    REQUIRE(run.requests[0].describe() == "CREATE jobs demo as ServiceAccount demo/rollback-runner");
    REQUIRE(run.requests[0].body.find("\"suspend\":true") != std::string::npos);
  }
  REQUIRE(bench.record.attempt == 1);
}

TEST_CASE("Given the Job is seen for the first time, when run, then its uid is journaled before it is started") {
  Bench bench;
  bench.running();
  bench.record.jobUid.clear();
  bench.jobs[0].job.suspended = true;
  REQUIRE(bench.run().state == State::Record);
  REQUIRE(bench.record.jobUid == "uid-1");
  const auto run = bench.run();
  REQUIRE(run.state == State::Act);
  REQUIRE(run.requests[0].body.find("uid-1") != std::string::npos);
  REQUIRE(run.requests[0].body.find("\"7\"") != std::string::npos);
}

TEST_CASE("Given a Job that runs, when run, then it waits, tells its progress and what holds it up") {
  Bench bench;
  bench.running();
  bench.jobs[0].pods = {bench.pod("Pending")};
  bench.jobs[0].pods[0].unschedulable = "0/1 nodes are available";
  bench.jobs[0].progress = reconcilers::MoverProgress{{3, 10, "bytes"}, "copying"};
  const auto run = bench.run();
  REQUIRE(run.state == State::Wait);
  REQUIRE(run.recheck);
  REQUIRE(run.message.find("0/1 nodes") != std::string::npos);
  REQUIRE(bench.record.progress->done == 3);
}

TEST_CASE("Given an outcome, when run, then it is final only if it is this attempt's and no pod is alive") {
  Bench bench;
  bench.running();
  bench.report(Outcome::Kind::Succeeded);
  SECTION("of this attempt") {
    const auto run = bench.run();
    REQUIRE(run.state == State::Done);
    REQUIRE(run.outcome->kind == Outcome::Kind::Succeeded);
  }
  SECTION("a pod still runs") {
    bench.jobs[0].pods.push_back(bench.pod("Running"));
    REQUIRE(bench.run().state == State::Wait);
    bench.jobs[0].pods.back().containers = {container("injected", true), container("mover", false)};
    REQUIRE(bench.run().state == State::Wait);
  }
  SECTION("a pod is called running still, but its mover ended: it is never started again") {
    bench.jobs[0].pods = {bench.pod("Running")};
    bench.jobs[0].pods.back().containers = {container("mover", true), container("injected", false)};
    REQUIRE(bench.run().state == State::Done);
  }
  SECTION("a pod said it in its log, and is about to end: it alone does not count") {
    bench.jobs[0].pods = {bench.pod("Running")};
    bench.jobs[0].pods[0].meta.name = "said";
    bench.jobs[0].saidBy = "said";
    REQUIRE(bench.run().state == State::Done);
    bench.jobs[0].pods.push_back(bench.pod("Running"));
    REQUIRE(bench.run().state == State::Wait);
  }
  SECTION("of another token: as if nothing had been reported") {
    bench.jobs[0].outcome->token = "other";
    REQUIRE(bench.run().state == State::Record);
    REQUIRE(bench.record.attempt == 2);
  }
  SECTION("its result is lost: the next attempt tells it again") {
    bench.jobs[0].outcome->resultMissing = true;
    REQUIRE(bench.run().state == State::Record);
    REQUIRE(bench.record.attempt == 2);
    REQUIRE(bench.record.jobUid.empty());
  }
}

TEST_CASE("Given a Job that vanished, when run, then its pods must be gone before another attempt begins") {
  Bench bench;
  bench.running();
  bench.jobs.clear();
  bench.orphans = {bench.pod("Running")};
  REQUIRE(bench.run().state == State::Wait);
  bench.orphans[0].phase = "Failed";
  REQUIRE(bench.run().state == State::Record);
  REQUIRE(bench.record.attempt == 2);
  REQUIRE(bench.record.jobName == "job-2");
}

TEST_CASE(
    "Given a Job ended without a report, when run, then it is tried again, and given up after the last attempt with "
    "the reason") {
  Bench bench;
  bench.running();
  bench.jobs[0].job.failedCondition = true;
  bench.jobs[0].job.failedReason = "DeadlineExceeded";
  auto pod = bench.pod("Failed");
  pod.containers = {{}};
  pod.containers[0].terminated = true;
  pod.containers[0].terminatedReason = "OOMKilled";
  pod.containers[0].exitCode = 137;
  bench.jobs[0].pods = {pod};
  REQUIRE(bench.run().state == State::Record);
  bench.record.attempt = 2;
  bench.record.jobName = "job-1";
  bench.record.jobUid = "uid-1";
  const auto run = bench.run();
  REQUIRE(run.state == State::GaveUp);
  for (const char* part : {"DeadlineExceeded", "OOMKilled", "137", "2 attempts"})
    REQUIRE(run.message.find(part) != std::string::npos);
}

TEST_CASE("Given a Job that is being deleted, when run, then its name must be free first") {
  Bench bench;
  bench.running();
  bench.jobs[0].job.meta.deletionTimestamp = "2026-11-24T03:00:00Z";
  bench.jobs[0].job.suspended = true;
  const auto run = bench.run();
  REQUIRE(run.state == State::Wait);
  REQUIRE(run.requests.empty());
}

TEST_CASE("Given another's Job under our name, when run, then it is left alone and the next attempt has another name") {
  Bench bench;
  bench.running();
  bench.jobs[0].job.meta.uid = "uid-of-another";
  bench.jobs[0].job.suspended = true;
  REQUIRE(bench.run().state == State::Record);
  REQUIRE(bench.record.jobName == "job-2");
}

TEST_CASE("Given a transient outcome, when a verdict is wanted, then it pauses, tries again, and at last reports it") {
  Bench bench;
  bench.running();
  bench.report(Outcome::Kind::Refused, "CannotConnect");
  const auto waits = bench.verdict();
  REQUIRE(waits.state == State::Wait);
  REQUIRE(*waits.recheck == Millis(1000));
  REQUIRE(waits.message == "because");
  bench.input.now += Millis(1000);
  REQUIRE(bench.verdict().state == State::Record);
  REQUIRE(bench.record.attempt == 2);
  bench.running();
  bench.record.attempt = 2;
  bench.report(Outcome::Kind::Refused, "CannotConnect");
  bench.input.now += Millis(60000);
  const auto last = bench.verdict();
  REQUIRE(last.state == State::Done);
  REQUIRE(last.outcome->code == "CannotConnect");
}

TEST_CASE(
    "Given a pod that does not say when it ended, when a transient outcome is tried again, then it does not wait for "
    "ever") {
  Bench bench;
  bench.running();
  bench.report(Outcome::Kind::Refused, "CannotConnect");
  bench.jobs[0].pods[0].containers.clear();
  REQUIRE(bench.verdict().state == State::Record);
}

TEST_CASE("Given a final outcome, when a verdict is wanted, then it is given at once") {
  Bench bench;
  bench.running();
  bench.report(Outcome::Kind::Refused, "WrongPassword");
  REQUIRE(bench.verdict().state == State::Done);
}
