// One pass over one FrameworkBackup.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "api/resources.h"
#include "backup/obstacle.h"
#include "common/components.h"
#include "common/decision.h"
#include "common/journal.h"
#include "common/settings.h"
#include "common/snapshot.h"
#include "jobs/run.h"
#include "stores/inspection.h"
#include "stores/postgres.h"

namespace rollback::reconcilers {

// The snapshot, and the draft of what its status would say next.
class BackupPass {
 public:
  BackupPass(const BackupSnapshot& snapshot, const Settings& settings)
      : in_(snapshot), settings_(settings), draft_(snapshot.backup) {
    if (in_.ns.framework && in_.ns.frameworkClass)
      components_ = componentsInStartOrder(in_.ns, in_.ns.framework->spec, in_.ns.frameworkClass->spec);
  }

  Decision decide();

 private:
  Decision take();
  Decision import();
  Decision tidy();
  Decision leave();
  Decision giveUp();

  Decision lock();
  Decision runBackup();
  Decision runVerify(bool imported);
  Decision unlock();
  Decision listed(const VerifyResult& result, bool imported);
  Decision runJobOf(const char* step, const char* record, const std::string& doing,
                    const std::function<JobSpec(const api::StepRecord&)>& spec,
                    const std::function<Decision(const Outcome&)>& finished);

  bool ours() const {
    return in_.ns.framework && in_.ns.framework->status.activeBackup &&
           in_.ns.framework->status.activeBackup->uid == in_.backup.meta.uid;
  }
  bool succeeded(const char* step) const {
    const auto* record = findRecord(draft_.status.steps, step, storeOf(step));
    return record && record->state == "Succeeded";
  }
  const api::StepRecord* failure() const {
    for (const auto& record : draft_.status.steps)
      if (record.state == "Failed") return &record;
    return nullptr;
  }
  // Lock and Unlock are of the whole framework, the Jobs' lines of its store.
  std::string storeOf(const std::string& step) const {
    if (step == "Lock" || step == "Unlock") return {};
    for (const auto& record : draft_.status.steps)
      if (record.name == step) return record.store;
    const auto* store = in_.ns.framework ? onlyStore(in_.ns.framework->spec) : nullptr;
    return store ? store->name : std::string();
  }
  api::StepRecord& line(const char* step) { return recordOf(draft_.status.steps, step, storeOf(step)); }
  std::string nowText() const { return formatTime(in_.ns.now); }
  std::string describe() const {
    return "kubectl describe frameworkbackup " + draft_.meta.name + " -n " + draft_.meta.namespace_;
  }
  PostgresDriver driver() const;
  kube::Request frameworkStatus(const api::Framework& framework) const {
    return kube::updateStatus(api::kFrameworks, framework.meta.namespace_, framework.meta.name,
                              api::encodeFrameworkStatus(framework));
  }

  Decision act(std::vector<kube::Request> requests) const;
  Decision written();
  Decision working(const std::string& phase, const std::string& reason, const std::string& message);
  Decision waiting(const std::string& phase, const std::string& reason, const std::string& message, Millis recheck);
  Decision blocked(const Obstacle& obstacle);
  Decision failed(const char* step, const std::string& code, const std::string& message);
  Decision ended(const std::string& phase, const std::string& reason, const std::string& message);
  // Deletes our Jobs that have not ended and waits for their pods; absent once none is left.
  std::optional<Decision> stopJobs();
  Decision release() const;

  const BackupSnapshot& in_;
  const Settings& settings_;
  api::FrameworkBackup draft_;
  std::vector<ComponentView> components_;
};

}  // namespace rollback::reconcilers
