// The gauges, counted from what the caches hold.
#include "manager/census.h"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace rollback;
using namespace rollback::manager;

namespace {

struct Census {
  Caches caches;
  WallTime now{};
  Census() { parseTime("2026-11-24T03:00:00Z", now); }

  std::shared_ptr<api::Framework> framework(const std::string& name) {
    auto made = std::make_shared<api::Framework>();
    made->meta.namespace_ = "demo";
    made->meta.name = name;
    made->spec.className = "shop";
    made->spec.stores.resize(1);
    caches.frameworks.push_back(made);
    return made;
  }
  std::shared_ptr<api::FrameworkRollback> rollback(const std::string& name, api::Phase phase) {
    auto made = std::make_shared<api::FrameworkRollback>();
    made->meta.namespace_ = "demo";
    made->meta.name = name;
    made->meta.uid = name + "-uid";
    made->meta.creationTimestamp = "2026-11-24T02:50:00Z";
    made->spec.frameworkName = "shop";
    made->status.phase = phase;
    caches.rollbacks.push_back(made);
    return made;
  }
  std::shared_ptr<api::FrameworkBackup> backup(const std::string& name, const std::string& createdAt,
                                               const std::string& verifiedAt) {
    auto made = std::make_shared<api::FrameworkBackup>();
    made->meta.namespace_ = "demo";
    made->meta.name = name;
    made->spec.frameworkName = "shop";
    made->status.phase = "Completed";
    made->status.createdAt = createdAt;
    made->status.verifiedAt = verifiedAt;
    made->status.sizeBytes = 31146;
    caches.backups.push_back(made);
    return made;
  }

  std::vector<runtime::Registry::Series> all() const {
    std::vector<runtime::Registry::Series> out;
    census(caches, now, [&](auto series) { out.push_back(std::move(series)); });
    return out;
  }

  // The samples of one name as "value label=…", labels in the order of their names.
  std::vector<std::string> of(const std::string& name) const {
    std::vector<std::string> out;
    for (auto series : all()) {
      if (series.name != name) continue;
      std::sort(series.labels.begin(), series.labels.end());
      std::string line = std::to_string(static_cast<long long>(series.value));
      for (const auto& [label, value] : series.labels)
        if (label != "namespace" && label != "framework") line += " " + label + "=" + value;
      out.push_back(line);
    }
    return out;
  }
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("given a rollback under way, when counted, then its phase, step, ages and deadline are there") {
  Census c;
  c.framework("shop");
  auto rollback = c.rollback("back", api::Phase::Preparing);
  rollback->status.step = "Stage";
  rollback->status.deadline = "2026-11-24T03:50:00Z";
  api::StepRecord part, whole;
  part.name = whole.name = "Stage";
  part.store = "database";
  part.startedAt = "2026-11-24T02:59:59Z";
  whole.startedAt = "2026-11-24T02:59:00Z";
  rollback->status.steps = {part, whole};
  CHECK(c.of("rollback_active") == Lines{"1 phase=Preparing rollback=back step=Stage"});
  CHECK(c.of("rollback_active_age_seconds") == Lines{"600 rollback=back"});
  CHECK(c.of("rollback_active_step_age_seconds") == Lines{"60 rollback=back"});
  CHECK(c.of("rollback_active_suspended") == Lines{"0 rollback=back"});
  CHECK(c.of("rollback_active_deadline_timestamp_seconds") == Lines{"1795492200 rollback=back"});
  rollback->status.revertDeadline = "2026-11-24T03:50:01Z";
  CHECK(c.of("rollback_active_deadline_timestamp_seconds") == Lines{"1795492201 rollback=back"});
  CHECK(c.of("rollback_needs_attention").empty());
}

TEST_CASE("given a rollback that ended, when counted, then it is only there while it keeps the Framework locked") {
  Census c;
  auto framework = c.framework("shop");
  auto rollback = c.rollback("back", api::Phase::Failed);
  rollback->status.reason = "RevertFailed";
  framework->status.activeRollback = api::ActiveRollback{"back", "back-uid", "t", "2026-11-24T02:00:00Z", {}, {}, ""};
  CHECK(c.of("rollback_active").empty());
  CHECK(c.of("rollback_needs_attention") == Lines{"1 reason=RevertFailed rollback=back"});
  CHECK(c.of("rollback_framework_locked") == Lines{"1 by=rollback", "0 by=backup"});
  CHECK(c.of("rollback_framework_lock_age_seconds") == Lines{"3600 by=rollback"});
  framework->status.activeRollback->uid = "another-uid";
  CHECK(c.of("rollback_needs_attention").empty());
  framework->status.activeRollback.reset();
  CHECK(c.of("rollback_needs_attention").empty());
  CHECK(c.of("rollback_framework_lock_age_seconds").empty());
}

TEST_CASE("given several backups, when counted, then the newest usable one tells the ages") {
  Census c;
  c.framework("shop");
  c.backup("old", "2026-11-23T03:00:00Z", "2026-11-23T03:01:00Z");
  c.backup("newest-usable", "2026-11-24T01:00:00Z", "2026-11-24T02:00:00Z");
  c.backup("unverified", "2026-11-24T02:30:00Z", "");
  c.backup("unsettled", "2026-11-24T02:40:00Z", "2026-11-24T02:41:00Z")->status.unsettled = true;
  c.backup("failed", "2026-11-24T02:50:00Z", "2026-11-24T02:51:00Z")->status.phase = "Failed";
  c.backup("going", "2026-11-24T02:55:00Z", "2026-11-24T02:56:00Z")->meta.deletionTimestamp = "2026-11-24T02:59:00Z";
  CHECK(c.of("rollback_backup_age_seconds") == Lines{"7200"});
  CHECK(c.of("rollback_backup_verification_age_seconds") == Lines{"3600"});
  CHECK(c.of("rollback_backup_size_bytes") == Lines{"31146"});
  CHECK(c.of("rollback_backups") == Lines{"5 phase=Completed", "1 phase=Failed"});
}

TEST_CASE("given no usable backup, when counted, then no age is made up") {
  Census c;
  c.framework("shop");
  c.backup("unverified", "2026-11-24T02:30:00Z", "");
  CHECK(c.of("rollback_backup_age_seconds").empty());
  CHECK(c.of("rollback_backups") == Lines{"1 phase=Completed"});
  CHECK(c.of("rollback_framework_stores") == Lines{"1"});
}

TEST_CASE("given kept databases, when counted, then their number and the first end are there") {
  Census c;
  auto framework = c.framework("shop");
  api::KeptCopy prev, reverted;
  prev.kind = "prev";
  prev.until = "2026-11-25T03:00:00Z";
  reverted.kind = "reverted";
  reverted.until = "2026-11-24T04:00:00Z";
  framework->status.kept = {prev, reverted, prev};
  CHECK(c.of("rollback_kept_copies") == Lines{"2 kind=prev", "1 kind=reverted"});
  CHECK(c.of("rollback_kept_copy_first_expiry_timestamp_seconds") == Lines{"1795492800"});
  framework->status.kept.clear();
  CHECK(c.of("rollback_kept_copies") == Lines{"0 kind=prev", "0 kind=reverted"});
  CHECK(c.of("rollback_kept_copy_first_expiry_timestamp_seconds").empty());
}

TEST_CASE("given objects that are gone, when counted, then nothing of them is left") {
  Census c;
  c.rollback("back", api::Phase::Succeeded);
  c.backup("of-no-framework", "2026-11-24T01:00:00Z", "2026-11-24T02:00:00Z");
  CHECK(c.all().empty());
}

TEST_CASE("given any caches, when counted, then every family is one that is declared") {
  Census c;
  auto framework = c.framework("shop");
  framework->status.running = api::RunningVersion{"1.0.0", {}, {}, "", ""};
  c.rollback("back", api::Phase::Planning);
  c.backup("a", "2026-11-24T01:00:00Z", "2026-11-24T02:00:00Z");
  auto repository = std::make_shared<api::BackupRepository>();
  repository->meta.name = "backups";
  repository->status.conditions = {{"Ready", "True", "ClaimFound", "", "", 1}};
  c.caches.repositories = {repository};
  for (const auto& series : c.all()) {
    INFO(series.name);
    CHECK(std::any_of(censusFamilies().begin(), censusFamilies().end(),
                      [&](const auto& family) { return family.first == series.name; }));
  }
  CHECK(c.of("rollback_repository_ready") == Lines{"1 repository=backups"});
  CHECK(c.of("rollback_framework_info") == Lines{"1 class=shop version=1.0.0"});
}
