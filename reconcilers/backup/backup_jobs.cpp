// The two Jobs of a backup and what becomes of their results.
#include <algorithm>

#include "api/resources.h"
#include "backup/backup.h"
#include "backup/pass.h"

namespace rollback::reconcilers {
namespace {

constexpr std::int64_t kJobSeconds = 6 * 3600;
constexpr int kAttempts = 3;
constexpr const char* kFullRead = "FullRead";

}  // namespace

PostgresDriver BackupPass::driver() const {
  const auto& framework = in_.ns.framework->spec;
  const auto& classSpec = in_.ns.frameworkClass->spec;
  const auto* store = onlyStore(framework);
  return {
      JobOwner{"FrameworkBackup", draft_.meta.name, draft_.meta.uid, draft_.meta.namespace_, draft_.spec.frameworkName},
      in_.ns,
      framework,
      classSpec,
      *store,
      *findStoreClass(classSpec, store->name)};
}

Decision BackupPass::runJobOf(const char* step, const char* recordName, const std::string& doing,
                              const std::function<JobSpec(const api::StepRecord&)>& spec,
                              const std::function<Decision(const Outcome&)>& finished) {
  const std::string store = storeOf(recordName);
  api::StepRecord& record = line(recordName);
  const int attempt = record.attempt;
  JobRunInput input;
  input.now = in_.ns.now;
  input.newToken = in_.ns.newToken;
  input.jobs = &in_.ns.jobs;
  input.orphans = &in_.ns.orphans;
  input.maxAttempts = kAttempts;
  input.spec = spec;
  input.name = [&](int n) { return jobName("fbk", draft_.meta.uid, step, store, n); };
  JobRun run = runJobToVerdict(record, input, settings_);
  const std::string phase = std::string(recordName) == "Backup" ? "Running" : "Verifying";
  switch (run.state) {
    case JobRun::State::Record:
      // Each attempt has a folder of its own: what a dead one may still write is never mistaken for a backup.
      if (std::string(recordName) == "Backup" && record.attempt != attempt)
        draft_.status.path = backupPath(draft_.spec.frameworkName, in_.ns.now);
      return working(phase, recordName, record.message);
    case JobRun::State::Act:
      return act(std::move(run.requests));
    case JobRun::State::Wait:
      return waiting(phase, recordName, run.message.empty() ? doing : run.message, run.recheck.value_or(Millis(5000)));
    case JobRun::State::GaveUp:
      return failed(recordName, "JobFailed", run.message);
    case JobRun::State::Done:
      break;
  }
  if (run.outcome->kind != Outcome::Kind::Succeeded)
    return failed(recordName, run.outcome->code.empty() ? "JobFailed" : run.outcome->code, run.outcome->message);
  return finished(*run.outcome);
}

Decision BackupPass::runBackup() {
  return runJobOf(
      "backup", "Backup", "taking the backup",
      [&](const api::StepRecord& record) {
        std::vector<PostgresDriver::RunningImage> images;
        for (const auto& component : components_)
          if (const auto* container = component.container())
            images.push_back({component.component->name, container->name, container->image, component.imageId()});
        return driver().backup(record, draft_.status.path, draft_.status.version, draft_.spec.reason, images,
                               kJobSeconds);
      },
      [&](const Outcome& outcome) {
        const auto result = decodeBackupResult(outcome.result);
        if (!result) return failed("Backup", "Protocol", result.error().message);
        auto& status = draft_.status;
        status.digest = result->digest;
        status.sizeBytes = result->sizeBytes;
        status.createdAt = result->snapshotAt.empty() ? nowText() : result->snapshotAt;
        status.schemas = {{storeOf("Backup"), result->schema}};
        status.unsettled =
            result->unsettled || !unsettled(components_).empty() || imagesOf(components_) != status.images;
        auto& record = line("Backup");
        record.state = "Succeeded";
        record.completedAt = nowText();
        return working("Verifying", "Verify", "");
      });
}

Decision BackupPass::runVerify(bool imported) {
  const api::PlannedBackup backup{draft_.meta.name, imported ? draft_.spec.path : draft_.status.path,
                                  draft_.status.digest, draft_.status.version, draft_.status.createdAt};
  return runJobOf(
      "verify", "Verify", imported ? "reading " + backup.path : "reading the backup back",
      [&](const api::StepRecord& record) { return driver().verify(record, backup, kJobSeconds); },
      [&](const Outcome& outcome) {
        const auto result = decodeVerifyResult(outcome.result);
        if (!result) return failed("Verify", "Protocol", result.error().message);
        return listed(*result, imported);
      });
}

Decision BackupPass::listed(const VerifyResult& result, bool imported) {
  auto& status = draft_.status;
  if (!imported && result.digest != status.digest)
    return failed("Verify", "BackupChanged",
                  status.path + " has digest " + result.digest + ", the backup was written with " + status.digest);
  if (imported && result.framework != draft_.spec.frameworkName)
    return failed("Verify", "BackupOfAnotherFramework",
                  draft_.spec.path + " is a backup of " +
                      (result.framework.empty() ? "an unnamed framework" : "framework " + result.framework) +
                      ", not of " + draft_.spec.frameworkName);
  auto& record = line("Verify");
  record.state = "Succeeded";
  record.completedAt = nowText();
  const bool judged = !imported || result.manifestVersion >= 2;
  if (judged) {
    status.verifiedAt = nowText();
    status.verifiedLevel = kFullRead;
  }
  if (!imported) {
    status.manifestVersion = result.manifestVersion;
    status.restores = result.restores;
    return working("Verifying", "Unlock", "");
  }
  status.path = draft_.spec.path;
  status.digest = result.digest;
  status.version = result.version;
  status.sizeBytes = result.bytes;
  status.createdAt = result.createdAt;
  status.images = result.images;
  status.schemas = result.schemas;
  status.unsettled = result.unsettled;
  status.manifestVersion = std::max(result.manifestVersion, 1);
  status.restores = result.restores;
  status.missing = result.missing;
  const std::string what = "folder " + status.path + " holds a backup of " +
                           (status.version.empty() ? "an unknown version" : "version " + status.version);
  if (!judged)
    return ended(
        "Completed", "Unverified",
        what +
            "; a script made it and nothing proves it, so it is never chosen by itself and no data is restored from "
            "it (status.missing says what it lacks)");
  if (status.unsettled)
    return ended("Completed", "Unsettled",
                 what + ", taken while version or schema changed: it is listed, but never a target");
  return ended("Completed", "Completed", what + ", proven by a full read");
}

}  // namespace rollback::reconcilers
