// The postgres driver: which Job does what to a database. What happens inside is the mover's (docs/mover.md).
#pragma once

#include <string>
#include <vector>

#include "api/framework_rollback.h"
#include "common/snapshot.h"
#include "jobs/job.h"

namespace rollback::reconcilers {

// A store as its Jobs need it: the framework's part, the class's part, and where its tools come from.
struct PostgresDriver {
  JobOwner owner;
  const NamespaceSnapshot& ns;
  const api::FrameworkSpec& framework;
  const api::FrameworkClassSpec& frameworkClass;
  const api::Store& store;
  const api::StoreClass& storeClass;

  // The image whose pg_dump, pg_restore and psql are used; empty: the workload or container named does not exist.
  std::string toolsImage() const;
  // How large the volume is that the server keeps its data on: what the Framework says, else what the one claim of the
  // tools' workload has. 0 bytes: unknown, and `from` says why.
  struct Capacity {
    std::int64_t bytes = 0;
    std::string from;
  };
  Capacity capacity() const;
  // The keys of the class, each with the env source its component's workload has now ("" if literal or missing).
  std::vector<std::pair<std::string, std::string>> keySources() const;

  struct Names {
    std::string prev, reverted;
    std::string stage(int attempt) const;
    std::string database, id;
  };
  // Generated names end in the short id of the rollback; a long database name is shortened, never the id (63 bytes).
  Names names(const std::string& uid) const;

  JobSpec inspect(const api::StepRecord& record, const std::string& backupPath, std::int64_t deadlineSeconds) const;
  // Reads this store's part of a backup; `stores` are all that are read, each by a Job of its own. `unchosen`: it is
  // read to be listed, whatever it is and holds.
  JobSpec verify(const api::StepRecord& record, const api::PlannedBackup& backup,
                 const std::vector<std::string>& stores, bool unchosen, std::int64_t deadlineSeconds) const;
  JobSpec stage(const api::StepRecord& record, const api::RollbackPlan& plan, const api::PlannedStore& planned,
                bool requireSpace, std::int64_t deadlineSeconds) const;
  JobSpec switchOver(const api::StepRecord& record, const api::PlannedStore& planned,
                     std::int64_t deadlineSeconds) const;
  JobSpec switchBack(const api::StepRecord& record, const api::PlannedStore& planned,
                     std::int64_t deadlineSeconds) const;
  // `health`: the application's, beside the store's own checks.
  JobSpec check(const api::StepRecord& record, const api::PlannedStore& planned, bool health,
                std::int64_t deadlineSeconds) const;
  // Drops the shadows up to planned.stageName's attempt; all of them if that is empty.
  JobSpec discard(const api::StepRecord& record, const api::PlannedStore& planned, std::int64_t deadlineSeconds) const;
  JobSpec cleanup(const api::StepRecord& record, const std::vector<api::KeptCopy>& drop,
                  std::int64_t deadlineSeconds) const;
  // `images` are component, container, image, imageID of what runs; `stores` all of the backup, in the order in which
  // their Jobs run.
  struct RunningImage {
    std::string component, container, image, imageID;
  };
  JobSpec backup(const api::StepRecord& record, const std::string& path, const std::string& version,
                 const std::string& reason, const std::vector<RunningImage>& images,
                 const std::vector<std::string>& stores, std::int64_t deadlineSeconds) const;

 private:
  JobSpec swap(const char* verb, const api::StepRecord& record, const api::PlannedStore& planned,
               std::int64_t deadlineSeconds) const;
  JobSpec base(const api::StepRecord& record, const char* step, Effect effect, std::int64_t deadlineSeconds) const;
};

// Health checks of the class as URLs of the components' Services; components without a Service are left out.
struct HealthUrl {
  std::string name, url;
  std::vector<int> status;
  int timeoutSeconds = 0;
};
std::vector<HealthUrl> healthUrls(const api::FrameworkSpec& framework, const api::FrameworkClassSpec& frameworkClass,
                                  const std::string& namespace_);

// The task of a `check` that asks those URLs and looks into no database.
std::string healthTask(const JobOwner& owner, const api::StepRecord& record, const std::vector<HealthUrl>& urls,
                       std::int64_t deadlineSeconds);

// The class's description of a store of that name; nullptr if it has none.
const api::StoreClass* findStoreClass(const api::FrameworkClassSpec& frameworkClass, const std::string& name);

}  // namespace rollback::reconcilers
