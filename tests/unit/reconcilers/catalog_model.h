// A small model of a namespace for tests of backups, repositories and the Framework itself: an API server that knows
// compare-and-swap, and Jobs whose mover answers what the test scripted. Requests are applied one by one; step() lets
// Jobs make one move.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/decision.h"
#include "common/settings.h"
#include "common/snapshot.h"

namespace rollback::test {

struct CatalogModel {
  CatalogModel();

  WallTime now{};
  bool optedIn = true, claimExists = true, terminating = false, classExists = true, repositoryExists = true,
       frameworkExists = true;
  bool rollbackExists = true, backupHolderExists = true;  // the holders of the framework's locks
  api::Framework framework;
  api::FrameworkClass frameworkClass;
  api::BackupRepository repository;
  std::optional<api::FrameworkBackup> backup;
  kube::Workload deployment, database;
  std::optional<kube::Workload> worker;              // a second component's
  std::vector<kube::Pod> pods;                       // of the deployment
  std::map<std::string, reconcilers::JobView> jobs;  // of whatever object is reconciled
  std::map<std::string, std::string> tasks;          // Job → its task
  std::vector<kube::Pod> orphans;
  // What the mover answers, by verb or "verb store": the outcome's code ("" success), then the result or message.
  // Absent: success.
  std::map<std::string, std::pair<std::string, std::string>> answers;
  bool moverHangs = false;
  std::vector<std::string> log;
  std::vector<std::string> violations;
  std::vector<reconcilers::Event> events;

  void run(const std::string& image);  // the deployment runs it everywhere, healthy
  void scale(int replicas);
  void addWorker(const std::string& image);  // a component that runs it, with one replica
  void addStore(const std::string& name);    // in a database of that name

  reconcilers::NamespaceSnapshot ns() const;
  reconcilers::BackupSnapshot backupSnapshot() const { return {ns(), *backup}; }
  reconcilers::FrameworkSnapshot frameworkSnapshot() const;
  reconcilers::Decision decideBackup() const;
  reconcilers::Decision decideFramework() const;

  bool send(const kube::Request& request);
  // Sends a decision's requests until one is refused; `most` of them.
  void apply(const reconcilers::Decision& decision, std::size_t most = 100);
  void step(int millis = 1000);
  // Until nothing is asked for any more, or `passes` are used up; how many passes it took.
  int runBackup(int passes = 60);
  int runFramework(int passes = 60);

  int count(const std::string& logged) const;  // how often a request was described so, at its beginning
  std::string story() const;
  const kube::Condition& condition(
      const std::string& type) const;  // of the backup if there is one, else of the framework

 private:
  template <typename Decide>
  int runWith(int passes, Decide decide);
  void touch(kube::ObjectMeta& meta) { meta.resourceVersion = std::to_string(++version_); }
  int version_ = 100;
  int uids_ = 0;
};

}  // namespace rollback::test
