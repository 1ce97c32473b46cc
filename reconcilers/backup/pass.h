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
  Decision runBackup(const std::string& store);
  Decision runSettle(const std::string& store);
  Decision runVerify(const std::string& store, bool imported);
  Decision unlock();
  Decision listed(const std::string& store, const VerifyResult& result, bool imported);
  JobRunInput jobInput(const char* verb, const std::string& store) const;
  Decision runJobOf(const char* step, const std::string& store, const char* verb, const std::string& doing,
                    const std::function<JobSpec(const PostgresDriver&, const api::StepRecord&)>& spec,
                    const std::function<Decision(const Outcome&)>& finished);
  // A store's Job needs another attempt: all that is in the folder is done again, in a folder of its own. False: it was
  // tried often enough.
  bool startOver(const std::string& store);

  bool ours() const {
    return in_.ns.framework && in_.ns.framework->status.activeBackup &&
           in_.ns.framework->status.activeBackup->uid == in_.backup.meta.uid;
  }
  bool succeeded(const char* step) const {
    const auto* record = findRecord(draft_.status.steps, step);
    return record && record->state == "Succeeded";
  }
  const api::StepRecord* failure() const {
    for (const auto& record : draft_.status.steps)
      if (record.state == "Failed") return &record;
    return nullptr;
  }
  // The stores of this backup, in order: frozen into the journal when it begins (begin()), whatever the framework says
  // later.
  std::vector<std::string> stores() const;
  void begin(const char* step);
  // The first store that a step still has to do; absent: it is done.
  std::optional<std::string> unfinished(const std::string& step) const;
  // Lock and Unlock are of the whole framework, the other steps of a store.
  api::StepRecord& line(const char* step, const std::string& store = "") {
    return recordOf(draft_.status.steps, step, store);
  }
  void done(const char* step, const std::string& store = "") {
    auto& record = line(step, store);
    record.state = "Succeeded";
    record.completedAt = nowText();
  }
  std::string nowText() const { return formatTime(in_.ns.now); }
  std::string describe() const {
    return "kubectl describe frameworkbackup " + draft_.meta.name + " -n " + draft_.meta.namespace_;
  }
  std::optional<PostgresDriver> driver(const std::string& store) const;
  kube::Request frameworkStatus(const api::Framework& framework) const {
    return kube::updateStatus(api::kFrameworks, framework.meta.namespace_, framework.meta.name,
                              api::encodeFrameworkStatus(framework));
  }

  Decision act(std::vector<kube::Request> requests) const;
  Decision written();
  Decision working(const std::string& phase, const std::string& reason, const std::string& message);
  Decision waiting(const std::string& phase, const std::string& reason, const std::string& message, Millis recheck);
  Decision blocked(const Obstacle& obstacle);
  Decision failed(const char* step, const std::string& store, const std::string& code, const std::string& message);
  // In whatever step comes next.
  Decision failed(const std::string& code, const std::string& message);
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
