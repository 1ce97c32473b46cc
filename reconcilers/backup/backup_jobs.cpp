// The Jobs of a backup, one per store and step, and what becomes of their results.
#include <algorithm>

#include "api/resources.h"
#include "backup/backup.h"
#include "backup/pass.h"

namespace rollback::reconcilers {
namespace {

constexpr std::int64_t kJobSeconds = 6 * 3600;
constexpr std::int64_t kLookSeconds = 600;
constexpr int kAttempts = 3;
constexpr const char* kFullRead = "FullRead";

}  // namespace

std::vector<std::string> BackupPass::stores() const {
  std::vector<std::string> out;
  for (const char* step : {"Backup", "Verify"}) {
    for (const auto& record : draft_.status.steps)
      if (record.name == step) out.push_back(record.store);
    if (!out.empty()) return out;
  }
  if (in_.ns.framework)
    for (const auto& store : in_.ns.framework->spec.stores) out.push_back(store.name);
  return out;
}

void BackupPass::begin(const char* step) {
  for (const auto& store : stores()) line(step, store).state = "Pending";
}

std::optional<std::string> BackupPass::unfinished(const std::string& step) const {
  for (const auto& store : stores()) {
    const auto* record = findRecord(draft_.status.steps, step, store);
    if (step == "Settle" && !record) continue;  // only some stores need it
    if (!record || record->state != "Succeeded") return store;
  }
  return std::nullopt;
}

std::optional<PostgresDriver> BackupPass::driver(const std::string& name) const {
  const auto& framework = in_.ns.framework->spec;
  const auto& classSpec = in_.ns.frameworkClass->spec;
  for (const auto& store : framework.stores)
    if (store.name == name)
      return PostgresDriver{JobOwner{"FrameworkBackup", draft_.meta.name, draft_.meta.uid, draft_.meta.namespace_,
                                     draft_.spec.frameworkName},
                            in_.ns,
                            framework,
                            classSpec,
                            store,
                            *findStoreClass(classSpec, name)};
  return std::nullopt;
}

JobRunInput BackupPass::jobInput(const char* verb, const std::string& store) const {
  JobRunInput input;
  input.now = in_.ns.now;
  input.newToken = in_.ns.newToken;
  input.jobs = &in_.ns.jobs;
  input.orphans = &in_.ns.orphans;
  input.maxAttempts = kAttempts;
  input.name = [uid = draft_.meta.uid, verb, store](int n) { return jobName("fbk", uid, verb, store, n); };
  return input;
}

bool BackupPass::startOver(const std::string& store) {
  draft_.status.path = backupPath(draft_.spec.frameworkName, in_.ns.now);
  for (const auto& earlier : stores()) {
    if (earlier == store) return true;
    if (!nextAttempt(line("Backup", earlier), jobInput("backup", earlier), "store " + store + " was not backed up"))
      return false;
  }
  return true;
}

Decision BackupPass::runJobOf(const char* step, const std::string& store, const char* verb, const std::string& doing,
                              const std::function<JobSpec(const PostgresDriver&, const api::StepRecord&)>& spec,
                              const std::function<Decision(const Outcome&)>& finished) {
  const auto postgres = driver(store);
  if (!postgres)
    return failed(step, store, "StoreUnknown",
                  "store " + store + " is not declared any more by Framework " + draft_.spec.frameworkName);
  const bool backup = std::string(step) == "Backup";
  api::StepRecord& record = line(step, store);
  const int attempt = record.attempt;
  JobRunInput input = jobInput(verb, store);
  input.spec = [&](const api::StepRecord& of) { return spec(*postgres, of); };
  JobRun run = runJobToVerdict(record, input, settings_);
  const std::string phase = std::string(step) == "Verify" ? "Verifying" : "Running";
  switch (run.state) {
    case JobRun::State::Record: {
      // Each attempt has a folder of its own: what a dead one may still write is never mistaken for a backup.
      const std::string message = record.message;
      const bool anew = record.attempt != attempt && (attempt > 0 || store == stores().front());
      if (backup && anew && !startOver(store))
        return failed(step, store, "JobFailed", message + "; the stores before it were backed up often enough");
      return working(phase, step, message);
    }
    case JobRun::State::Act:
      return act(std::move(run.requests));
    case JobRun::State::Wait:
      return waiting(phase, step, run.message.empty() ? doing : run.message, run.recheck.value_or(Millis(5000)));
    case JobRun::State::GaveUp:
      return failed(step, store, "JobFailed", run.message);
    case JobRun::State::Done:
      break;
  }
  if (run.outcome->kind != Outcome::Kind::Succeeded)
    return failed(step, store, run.outcome->code.empty() ? "JobFailed" : run.outcome->code, run.outcome->message);
  return finished(*run.outcome);
}

Decision BackupPass::runBackup(const std::string& store) {
  const auto all = stores();
  return runJobOf(
      "Backup", store, "backup", "taking the backup of store " + store,
      [&](const PostgresDriver& postgres, const api::StepRecord& record) {
        std::vector<PostgresDriver::RunningImage> images;
        for (const auto& component : components_)
          if (const auto* container = component.container())
            images.push_back({component.component->name, container->name, container->image, component.imageId()});
        return postgres.backup(record, draft_.status.path, draft_.status.version, draft_.spec.reason, images, all,
                               kJobSeconds);
      },
      [&](const Outcome& outcome) {
        const bool last = store == all.back();
        const auto result = decodeBackupResult(outcome.result);
        if (!result) return failed("Backup", store, "Protocol", result.error().message);
        if (result->digest.empty() == last)
          return failed("Backup", store, "Protocol",
                        last ? "the last store's Job left no digest" : "the backup was sealed before its last store");
        auto& status = draft_.status;
        if (store == all.front()) {
          // What was written after its first instant is not in all of it.
          status.createdAt = result->snapshotAt.empty() ? nowText() : result->snapshotAt;
          status.schemas.clear();
          status.unsettled = false;
        }
        status.schemas.push_back({store, result->schema});
        status.unsettled = status.unsettled || result->unsettled || !runImages(components_, status.images);
        done("Backup", store);
        if (!last) return working("Running", "Backup", "");
        status.digest = result->digest;
        status.sizeBytes = result->sizeBytes;
        for (const auto& earlier : all)
          if (earlier != store) line("Settle", earlier).state = "Pending";
        begin("Verify");
        return working(all.size() > 1 ? "Running" : "Verifying", all.size() > 1 ? "Settle" : "Verify", "");
      });
}

// A store's Job reads its schema before and after its own dump. What changed while later stores were dumped is seen
// here.
Decision BackupPass::runSettle(const std::string& store) {
  return runJobOf(
      "Settle", store, "inspect", "looking whether the schema of store " + store + " is still what was backed up",
      [&](const PostgresDriver& postgres, const api::StepRecord& record) {
        return postgres.inspect(record, "", kLookSeconds);
      },
      [&](const Outcome& outcome) {
        const auto seen = decodeInspection(outcome.result);
        if (!seen) return failed("Settle", store, "Protocol", seen.error().message);
        for (const auto& taken : draft_.status.schemas)
          if (taken.store == store && (taken.schema.digest != seen->liveSchema.digest ||
                                       taken.schema.structureDigest != seen->liveSchema.structureDigest))
            draft_.status.unsettled = true;
        done("Settle", store);
        return unfinished("Settle") ? working("Running", "Settle", "") : working("Verifying", "Verify", "");
      });
}

Decision BackupPass::runVerify(const std::string& store, bool imported) {
  const api::PlannedBackup backup{draft_.meta.name, imported ? draft_.spec.path : draft_.status.path,
                                  draft_.status.digest, draft_.status.version, draft_.status.createdAt};
  const auto all = stores();
  return runJobOf(
      "Verify", store, "verify", imported ? "reading " + backup.path : "reading the backup back",
      [&](const PostgresDriver& postgres, const api::StepRecord& record) {
        return postgres.verify(record, backup, all, imported, kJobSeconds);
      },
      [&](const Outcome& outcome) {
        const auto result = decodeVerifyResult(outcome.result);
        if (!result) return failed("Verify", store, "Protocol", result.error().message);
        return listed(store, *result, imported);
      });
}

Decision BackupPass::listed(const std::string& store, const VerifyResult& result, bool imported) {
  auto& status = draft_.status;
  // An imported folder's is taken from its first reading.
  const bool first = imported && store == stores().front();
  if (!first && result.digest != status.digest)
    return failed("Verify", store, "BackupChanged",
                  (imported ? draft_.spec.path : status.path) + " has digest " + result.digest +
                      (imported ? ", a moment ago it had " : ", the backup was written with ") + status.digest);
  if (imported && result.framework != draft_.spec.frameworkName)
    return failed("Verify", store, "BackupOfAnotherFramework",
                  draft_.spec.path + " is a backup of " +
                      (result.framework.empty() ? "an unnamed framework" : "framework " + result.framework) +
                      ", not of " + draft_.spec.frameworkName);
  done("Verify", store);
  if (unfinished("Verify")) {
    if (first) status.digest = result.digest;
    return working("Verifying", "Verify", "");
  }
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
