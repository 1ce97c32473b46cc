// A small model of a namespace for tests of the engine: a Framework with one Deployment and PostgreSQL databases (one,
// unless a test adds more), an API server that knows compare-and-swap, Jobs that run a model of the mover. Everything
// is synchronous: requests are applied one by one, step() lets controllers, kubelet and Jobs make one move.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/decision.h"
#include "common/settings.h"
#include "common/snapshot.h"
#include "kube/objects/request.h"
#include "stores/inspection.h"

namespace rollback::test {

struct ModelDatabase {
  std::uint32_t oid = 0;
  bool open = true;
  std::string schema;   // which version's schema its content has
  std::string content;  // what was written into it, in words
};

struct ModelJob {
  kube::Job job;
  std::string verb, store, task, image, effect, ownerUid;
  bool created = true;
  bool podStarted = false;
  kube::Pod pod;
  std::optional<reconcilers::Outcome> outcome;
  bool waitingForGo = false;
  std::string shownGo;  // what the pod sees of its go annotation
  std::optional<reconcilers::MoverProgress> progress;
};

struct ModelDeployment {
  kube::Workload workload;
  std::vector<kube::Pod> pods;
  int endsSlowly = 0;  // so many steps its pods run on when they are to end
};

class World {
 public:
  World();

  // --- what a test sets up
  std::string liveSchema = "2.0.0";    // of the live database
  bool backupExists = true;            // a verified backup of 1.0.0
  std::set<std::string> brokenImages;  // images whose pods never become ready
  std::set<std::string> unpullableImages;
  // Verb, or "verb database" → outcome given instead of the model's, once.
  std::map<std::string, reconcilers::Outcome> scripted;
  std::vector<reconcilers::Blocker> blockers;
  std::string inspectPatch;                 // a JSON merge patch on what inspect answers
  std::set<std::string> missingFromBackup;  // stores whose dump the backup lacks
  bool frameworkExists = true, classExists = true, repositoryExists = true, repositoryClaimExists = true;
  std::function<void(api::FrameworkBackup&)> changeBackup;             // the one of 1.0.0, before it is shown
  std::function<void(reconcilers::RollbackSnapshot&)> changeSnapshot;  // what is seen, at last
  std::string keyState = "Match";
  bool checkHealthy = true;
  std::string goneWorkload;  // "Kind/name" of one that was deleted
  int goesMissed = 0;        // so many changes of a go annotation the kubelet does not show
  bool terminating = false;  // the namespace

  // --- the world
  WallTime now{};
  std::optional<api::FrameworkRollback> rollback;
  std::map<std::string, api::FrameworkRollback> past;  // those that were before, by name
  api::Framework framework;
  api::FrameworkClass frameworkClass;
  kube::Workload deployment, database;
  std::vector<ModelDeployment> workers;   // components too, started after the first
  std::optional<kube::Workload> cronJob;  // a component too
  int cronRunMillis = 0;                  // how long its Job runs on, once it is suspended; 0: none runs
  std::vector<kube::Pod> pods;
  std::map<std::string, ModelJob> jobs;
  std::optional<kube::ConfigMap> ledger;
  std::map<std::string, ModelDatabase> databases;
  int restores = 0;                     // how often a backup was restored
  std::vector<std::string> log;         // what happened, for a failure's story
  std::string runner;                   // the last ServiceAccount a request was sent as
  std::vector<std::string> violations;  // of rules any request must keep

  // A Deployment of one replica that depends on the first, with an image of its own. Class and framework name it before
  // that.
  void addWorker(const std::string& name = "worker");
  // A CronJob of the application's image, one of whose Jobs runs for so long from when it is suspended.
  void addCronJob(int runMillis);
  // One more store, `name`, in a database of that name: on the server of the first, or on one of its own.
  void addStore(const std::string& name, bool ownServer);
  bool isLive(const std::string& name) const;  // it has the name of a store's database

  reconcilers::RollbackSnapshot snapshot();
  reconcilers::FrameworkSnapshot frameworkSnapshot();
  // Sends one request; false: the API server refused it (Conflict, Invalid, NotFound).
  bool send(const kube::Request& request);
  // Controllers, kubelet and Jobs make one move; time goes on by `millis`.
  void step(int millis = 500);

  // decide, send, step until the rollback has ended (and its finalizer is gone) or `passes` are used up; true if it
  // ended.
  bool run(int passes = 400);
  reconcilers::Decision decide();
  reconcilers::Decision decideFramework();
  // decideFramework, send, step, until the lock is free or `passes` are used up; true if it is free.
  bool runFramework(int passes = 400);
  // The rollback's finalizer is torn off and it is gone; its Jobs with it, if the garbage collector has come by.
  void loseRollback(bool collected);

  // The present rollback stays as it is, as one that was; this one is looked at from now on.
  void apply(api::FrameworkRollback next);
  // One pass of the rollback's reconciler whose first `most` writes are executed, and one move of the world.
  void pass(std::size_t most = 100, int millis = 500);
  void framePass(std::size_t most = 100, int millis = 500);  // of the framework's
  bool ended() const;                                        // the rollback is gone, or at an end
  std::string story() const;

  bool keeps(const std::string& name, std::uint32_t oid) const;  // it is in the framework's list of kept copies
  bool lockFree() const { return !framework.status.activeRollback; }
  int livePods() const;  // of all Deployments
  int liveJobs() const;
  bool serving() const;  // the deployment's pods are ready and its databases are open

  static constexpr const char* kName = "back-to-1";

 private:
  reconcilers::NamespaceSnapshot space(const std::string& ownerUid);
  void touch(kube::ObjectMeta& meta) { meta.resourceVersion = std::to_string(++version_); }
  void runMover(ModelJob& job);
  bool writeTo(kube::Workload& workload, const kube::Request& request);
  void runPods(kube::Workload& workload, std::vector<kube::Pod>& ofIt, int& endsSlowly);
  std::string imageOf(const std::string& component) const;
  void violation(const std::string& text) { violations.push_back(text); }
  int version_ = 100;
  int uids_ = 0;
  std::uint32_t oids_ = 20000;
};

// The rollback of the examples: to version 1.0.0.
api::FrameworkRollback wish();
// The undo of `target`, with its loss accepted. `id`: the first 8 characters of its uid.
api::FrameworkRollback undoOf(const std::string& target, const std::string& id = "cd56ef78");

}  // namespace rollback::test
