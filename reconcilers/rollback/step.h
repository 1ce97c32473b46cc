// What a step's decision function sees and answers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/framework_rollback.h"
#include "common/components.h"
#include "common/settings.h"
#include "common/snapshot.h"
#include "jobs/run.h"
#include "kube/objects/request.h"
#include "stores/inspection.h"
#include "stores/postgres.h"

namespace rollback::reconcilers {

struct StepResult {
  enum class Kind {
    Record,  // the draft was changed and must be written before anything else happens
    Act,     // what the journal announced: send these
    Wait,    // nothing to do until something changes, or `recheck`
    Done,
    Fail,  // this step cannot succeed: abandon or revert
    End,   // the rollback ends here, with nothing touched: `phase` and `code`
  };
  Kind kind = Kind::Wait;
  std::vector<kube::Request> requests;
  std::string code, message;
  std::optional<Millis> recheck;
  api::Phase phase = api::Phase::Failed;
  std::string command{};  // of an End: the one to run next; empty: by its code

  static StepResult record() { return {Kind::Record, {}, {}, {}, {}, {}}; }
  static StepResult act(std::vector<kube::Request> requests) {
    return {Kind::Act, std::move(requests), {}, {}, {}, {}};
  }
  static StepResult wait(std::string message, std::optional<Millis> recheck) {
    return {Kind::Wait, {}, {}, std::move(message), recheck, {}};
  }
  static StepResult done() { return {Kind::Done, {}, {}, {}, {}, {}}; }
  static StepResult fail(std::string code, std::string message) {
    return {Kind::Fail, {}, std::move(code), std::move(message), {}, {}};
  }
  static StepResult end(api::Phase phase, std::string code, std::string message) {
    return {Kind::End, {}, std::move(code), std::move(message), {}, phase};
  }
};

class StepContext {
 public:
  StepContext(const RollbackSnapshot& snapshot, const Settings& settings);

  const RollbackSnapshot& in;
  const Settings& settings;
  api::FrameworkRollback draft;  // what the next status write would say
  // Going back from the lock's resume record alone: what the journal of the one that took the lock said is not known,
  // so every store is asked which of its databases is live.
  bool recovering = false;
  // Whose the Jobs are, and how their names begin; the rollback's own unless it is gone.
  JobOwner owner;
  std::string jobPrefix = "frb";

  api::FrameworkRollbackStatus& status() { return draft.status; }
  const WallTime& now() const { return in.ns.now; }
  std::string nowText() const { return formatTime(in.ns.now); }
  const api::Framework& framework() const { return *in.ns.framework; }
  // The class this rollback works with: frozen into the plan once it is made.
  const api::FrameworkClassSpec& classSpec() const { return classSpec_; }

  // The journal line; created empty when absent. References die with the next call that creates one.
  api::StepRecord& record(const std::string& name, const std::string& store = "");
  const api::StepRecord* findRecord(const std::string& name, const std::string& store = "") const;
  bool started(const std::string& name, const std::string& store = "") const;
  bool succeeded(const std::string& name, const std::string& store = "") const;
  // A backward step that failed is begun again; the application is stopped first if it was started under its hands.
  void beginAgain(const std::string& step);

  // Components in start order: the class's order, each after what it depends on.
  const std::vector<ComponentView>& components() const { return components_; }
  // Planned stores that are restored from a backup; and those whose live database is switched out, for a restored copy
  // or for one that was kept.
  std::vector<api::PlannedStore*> restored();
  std::vector<api::PlannedStore*> switched();
  // Stores the framework declares, with the class's description; those without a driver are refused by Plan.
  std::optional<PostgresDriver> driver(const std::string& store) const;

  // Ours, taken from Framework.status: nullptr if the lock is free or another's.
  const api::ActiveRollback* lock() const;
  // How a component was when the lock was taken; nullptr without the lock.
  const api::ResumeComponent* resumeOf(const ComponentView& component) const;
  std::int64_t jobDeadlineSeconds() const;

  // Runs the Job of a record through runJob. `finished` sees the outcome of a Succeeded one.
  template <typename Finished>
  StepResult runMover(const std::string& recordName, const std::string& store, const std::string& step, int maxAttempts,
                      const std::function<JobSpec(const PostgresDriver&, const api::StepRecord&)>& spec,
                      const Finished& finished);
  StepResult runMoverJob(const std::string& recordName, const std::string& store, const std::string& step,
                         int maxAttempts, const std::function<JobSpec(const api::StepRecord&)>& spec,
                         const std::function<StepResult(const Outcome&)>& finished);

 private:
  api::FrameworkClassSpec classSpec_;
  std::vector<ComponentView> components_;
};

template <typename Finished>
StepResult StepContext::runMover(const std::string& recordName, const std::string& store, const std::string& step,
                                 int maxAttempts,
                                 const std::function<JobSpec(const PostgresDriver&, const api::StepRecord&)>& spec,
                                 const Finished& finished) {
  const auto postgres = driver(store);
  if (!postgres)
    return StepResult::fail("StoreMissing", "store " + store + " is no longer declared by the Framework or its class");
  return runMoverJob(
      recordName, store, step, maxAttempts, [&](const api::StepRecord& r) { return spec(*postgres, r); }, finished);
}

}  // namespace rollback::reconcilers
