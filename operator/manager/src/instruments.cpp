#include "manager/instruments.h"

namespace rollback::manager {
namespace {

using runtime::Labels;

const std::vector<double>& stepBuckets() {
  static const std::vector<double> bounds{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600};
  return bounds;
}
const std::vector<double>& downtimeBuckets() {
  static const std::vector<double> bounds{0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300, 600, 1800};
  return bounds;
}

Labels labelsOf(const std::pair<std::string, std::string>& framework, const std::string& phase = "") {
  Labels labels{{"namespace", framework.first}, {"framework", framework.second}};
  if (!phase.empty()) labels.emplace_back("phase", phase);
  return labels;
}
Labels labelsOf(const EndedStep& step) {
  return {{"step", step.step}, {"outcome", step.succeeded ? "succeeded" : "failed"}};
}

}  // namespace

Instruments::Instruments(runtime::Registry& metrics, const Clock& clock, std::function<Caches()> caches,
                         std::function<bool(const std::string&, const std::string&)> known)
    : metrics_(metrics),
      clock_(clock),
      known_(std::move(known)),
      census_(metrics.collect(censusFamilies(), [&clock, caches = std::move(caches)](const auto& out) {
        census(caches(), clock.wall(), out);
      })) {}

Instruments::Key Instruments::keyOf(const std::string& namespace_, const std::string& framework) const {
  return known_(namespace_, framework) ? Key(namespace_, framework) : Key();
}

runtime::Counter& Instruments::reverts(const Key& of) {
  return metrics_.counter("rollback_reverts_total", "Rollbacks that began to revert.", labelsOf(of));
}

runtime::Counter& Instruments::endings(const Key& of, const std::string& phase) {
  return metrics_.counter("rollback_endings_total", "Rollbacks that ended, by phase.", labelsOf(of, phase));
}

runtime::Counter& Instruments::backupEndings(const Key& of, const std::string& phase) {
  return metrics_.counter("rollback_backup_endings_total", "Backups that ended, by phase.", labelsOf(of, phase));
}

void Instruments::wrote(const api::FrameworkRollback& before, const api::FrameworkRollback& after) {
  const auto seen = observe(before, after, clock_.wall());
  const Key of = keyOf(after.meta.namespace_, after.spec.frameworkName);
  const std::lock_guard<std::mutex> hold(mutex_);
  for (const auto& step : seen.steps) {
    if (step.ofStore)
      metrics_
          .histogram("rollback_store_step_duration_seconds", "Time of a step's part for one store or component.",
                     stepBuckets(), labelsOf(step))
          .observe(step.seconds);
    else
      metrics_.histogram("rollback_step_duration_seconds", "Time of a step.", stepBuckets(), labelsOf(step))
          .observe(step.seconds);
  }
  if (seen.reverting) metrics_.counter("rollback_reverts_total", "Rollbacks that began to revert.", labelsOf(of)).add();
  if (seen.ended)
    metrics_
        .counter("rollback_endings_total", "Rollbacks that ended, by phase.", labelsOf(of, api::toString(*seen.ended)))
        .add();
  if (seen.downtimeSeconds)
    metrics_
        .histogram("rollback_downtime_seconds", "Downtime of rollbacks that ended.", downtimeBuckets(), labelsOf(of))
        .observe(*seen.downtimeSeconds);
}

void Instruments::wrote(const api::FrameworkBackup& before, const api::FrameworkBackup& after) {
  const auto seen = observe(before, after, clock_.wall());
  const Key of = keyOf(after.meta.namespace_, after.spec.frameworkName);
  const std::lock_guard<std::mutex> hold(mutex_);
  for (const auto& step : seen.steps)
    metrics_
        .histogram("rollback_backup_step_duration_seconds", "Time of a step of a backup.", stepBuckets(),
                   labelsOf(step))
        .observe(step.seconds);
  if (!seen.ended.empty()) backupEndings(of, seen.ended).add();
}

void Instruments::know(const std::string& namespace_, const std::string& framework) {
  const Key of(namespace_, framework);
  const std::lock_guard<std::mutex> hold(mutex_);
  reverts(of);
  for (const auto phase : {api::Phase::Succeeded, api::Phase::Reverted, api::Phase::Failed, api::Phase::Aborted,
                           api::Phase::Skipped, api::Phase::Planned})
    endings(of, api::toString(phase));
  for (const char* phase : {"Completed", "Failed"}) backupEndings(of, phase);
}

void Instruments::forget(const std::string& namespace_, const std::string& framework) {
  const std::lock_guard<std::mutex> hold(mutex_);
  metrics_.remove(labelsOf({namespace_, framework}));
}

}  // namespace rollback::manager
