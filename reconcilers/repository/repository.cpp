#include "repository/repository.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/duration.h"
#include "api/resources.h"
#include "common/conditions.h"
#include "common/journal.h"
#include "common/opt_in.h"
#include "common/status.h"
#include "jobs/run.h"
#include "repository/catalogue.h"

namespace rollback::reconcilers {
namespace {

constexpr const char* kScan = "Scan";
constexpr std::size_t kRequestsAPass = 50;
constexpr std::int64_t kMostFolders = 2000, kScanSeconds = 600, kJobSeconds = 900;
constexpr Millis kLookAgain{10 * 60 * 1000};  // claims and bindings are not watched

class RepositoryPass {
 public:
  RepositoryPass(const RepositorySnapshot& snapshot, const Settings& settings)
      : in_(snapshot), settings_(settings), draft_(snapshot.object) {}

  Decision decide() {
    if (in_.object.meta.deleting()) return {};
    if (auto decision = unusable()) return *decision;
    if (isScanning(draft_)) return scan();
    if (auto decision = tidy()) return *decision;
    const auto wait = untilDue();
    if (!wait || *wait > Millis(0)) return ready(wait);
    // What it is for is noted as it begins: whoever asks while it runs asks for another.
    auto& last = draft_.status.scan;
    if (!last) last.emplace();
    last->startedAt = formatTime(in_.ns.now);
    last->generation = draft_.meta.generation;
    last->request = request();
    draft_.status.steps.clear();
    return scan();
  }

 private:
  const api::StepRecord* line() const { return findRecord(draft_.status.steps, kScan); }

  std::string request() const {
    const auto& annotations = in_.object.meta.annotations;
    const auto asked = annotations.find(api::kAnnotationScan);
    return asked == annotations.end() ? std::string() : asked->second;
  }

  std::optional<Decision> unusable() {
    if (!in_.ns.optIn.allowed) return say("False", kNotOptedIn, in_.ns.optIn.reason, Millis(30000));
    if (!in_.ns.repositoryClaimExists)
      return say("False", "ClaimMissing",
                 "claim " + draft_.spec.claimName + " does not exist; kubectl get persistentvolumeclaims -n " +
                     draft_.meta.namespace_,
                 Millis(30000));
    return std::nullopt;
  }

  Decision say(const char* status, const std::string& reason, const std::string& message, Millis again) {
    const bool good = std::string(status) == "True";
    draft_.status.observedGeneration = draft_.meta.generation;
    const ConditionWriter write{draft_.status.conditions, in_.ns.now, draft_.meta.generation};
    write.set("Ready", status, reason, message);
    write.set("Reconciling", "False", reason, "");
    write.set("Stalled", good ? "False" : "True", reason, good ? "" : message);
    return written(again);
  }

  Decision written(Millis again, bool atOnce = false) {
    Decision decision;
    decision.requeueAfter = again;
    auto write = statusWrite(api::kBackupRepositories, in_.object, draft_, api::encodeBackupRepositoryStatus);
    if (!write) return decision;
    decision.requests.push_back(std::move(*write));
    decision.again = atOnce;
    return decision;
  }

  Decision ready(std::optional<Millis> wait) {
    return say("True", "ClaimFound", "claim " + draft_.spec.claimName + " exists",
               std::min(wait.value_or(kLookAgain), kLookAgain));
  }

  // The Job of the last scan has nothing more to tell.
  std::optional<Decision> tidy() const {
    Decision decision;
    for (const auto& view : in_.ns.jobs)
      if (!view.job.meta.deleting()) decision.requests.push_back(deleteJob(view.job));
    if (decision.requests.empty()) return std::nullopt;
    decision.again = true;
    decision.requeueAfter = Millis(1000);
    return decision;
  }

  // Absent: only when asked.
  std::optional<Millis> untilDue() const {
    const auto& last = draft_.status.scan;
    if (!last || last->generation != draft_.meta.generation || last->request != request()) return Millis(0);
    const auto interval = api::parseDuration(draft_.spec.scanInterval);
    WallTime began{};
    if (!interval || interval->count() == 0) return std::nullopt;
    if (!parseTime(last->startedAt, began)) return Millis(0);
    return std::max(std::chrono::duration_cast<Millis>(began + *interval - in_.ns.now), Millis(0));
  }

  JobSpec job(const api::StepRecord& record) const {
    JobSpec spec;
    spec.name = record.jobName;
    spec.owner = {"BackupRepository", draft_.meta.name, draft_.meta.uid, draft_.meta.namespace_, ""};
    spec.step = "scan";
    spec.effect = Effect::Read;
    spec.image = settings_.moverImage;  // it reads files: no tools of anybody's are needed
    spec.deadlineSeconds = kJobSeconds;
    spec.repository = &in_.object;
    spec.task = nlohmann::json{{"version", 1},
                               {"verb", "scan"},
                               {"id", shortId(draft_.meta.uid)},
                               {"attempt", record.attempt},
                               {"token", record.token},
                               {"deadlineSeconds", kJobSeconds},
                               {"scan", {{"most", kMostFolders}, {"seconds", kScanSeconds}}}}
                    .dump();
    return spec;
  }

  Decision scan() {
    api::StepRecord& record = recordOf(draft_.status.steps, kScan);
    JobRunInput input;
    input.now = in_.ns.now;
    input.newToken = in_.ns.newToken;
    input.jobs = &in_.ns.jobs;
    input.orphans = &in_.ns.orphans;
    input.maxAttempts = 2;  // the next one comes by itself
    input.spec = [&](const api::StepRecord& begun) { return job(begun); };
    // Scans follow each other: a name is never used twice, so the Job of one is never taken for another's.
    input.name = [&](int attempt) {
      return jobName("fbr", draft_.meta.uid, "scan", in_.ns.newToken.substr(0, 8), attempt);
    };
    JobRun run = runJobToVerdict(record, input, settings_);
    switch (run.state) {
      case JobRun::State::Record:
        return written(Millis(1000), true);
      case JobRun::State::Act: {
        Decision decision;
        decision.requeueAfter = Millis(1000);
        // Instants are whole seconds. The Job comes in a later one than the line: what ended in that second ended
        // before it.
        if (record.startedAt == formatTime(in_.ns.now)) return decision;
        decision.requests = std::move(run.requests);
        decision.again = true;
        return decision;
      }
      case JobRun::State::Wait: {
        Decision decision;
        decision.requeueAfter = run.recheck.value_or(Millis(5000));
        return decision;
      }
      case JobRun::State::GaveUp:
        return ended({}, nullptr, "the scan failed: " + run.message);
      case JobRun::State::Done:
        break;
    }
    if (run.outcome->kind != Outcome::Kind::Succeeded)
      return ended({}, nullptr, "the scan failed: " + run.outcome->code + ": " + run.outcome->message);
    const auto result = decodeScanResult(run.outcome->result);
    if (!result) return ended({}, nullptr, "the scan failed: " + result.error().message);
    auto changes = catalogueChanges(in_, *result, record.startedAt, kRequestsAPass);
    if (!changes.requests.empty()) {
      Decision decision;
      decision.requests = std::move(changes.requests);
      decision.again = true;
      decision.requeueAfter = Millis(1000);
      return decision;
    }
    return ended(changes, &*result, "");
  }

  Decision ended(const CatalogueChanges& changes, const ScanResult* result, std::string message) {
    api::StepRecord& record = recordOf(draft_.status.steps, kScan);
    api::ScanRecord scan;
    if (draft_.status.scan) scan = *draft_.status.scan;  // of a scan that failed the last figures stay
    scan.completedAt = formatTime(in_.ns.now);
    scan.complete = result && result->complete;
    if (result) {
      scan.found = result->found;
      scan.listed = changes.listed;
      scan.restorable = changes.restorable;
      message = leftOut(changes, *result);
    }
    scan.message = message;
    record.state = result ? "Succeeded" : "Failed";
    record.message = message;
    record.completedAt = scan.completedAt;
    Decision decision;
    const std::string before = in_.object.status.scan ? in_.object.status.scan->message : std::string();
    draft_.status.scan = std::move(scan);
    decision = ready(untilDue());
    decision.again = true;
    if (!message.empty() && message != before)
      decision.events.push_back(
          {result ? "Normal" : "Warning", result ? "ScanIncomplete" : "ScanFailed", "Scan", message});
    return decision;
  }

  static std::string leftOut(const CatalogueChanges& changes, const ScanResult& result) {
    std::string out;
    const auto add = [&](const std::string& text) { out += (out.empty() ? "" : "; ") + text; };
    if (result.found > static_cast<std::int64_t>(result.folders.size()))
      add(std::to_string(result.found - static_cast<std::int64_t>(result.folders.size())) + " of " +
          std::to_string(result.found) + " folders, the oldest, were not looked at");
    for (const auto& framework : result.unreadable) add("folder " + framework + " could not be read");
    if (changes.unlisted > 0)
      add(std::to_string(changes.unlisted) + " folders have names that no FrameworkBackup can have");
    return out;
  }

  const RepositorySnapshot& in_;
  const Settings& settings_;
  api::BackupRepository draft_;
};

}  // namespace

bool isScanning(const api::BackupRepository& repository) {
  const auto* record = findRecord(repository.status.steps, kScan);
  return record && record->state == "Running";
}

Decision reconcileRepository(const RepositorySnapshot& snapshot, const Settings& settings) {
  return RepositoryPass(snapshot, settings).decide();
}

}  // namespace rollback::reconcilers
