// Everything outside the operator: the API server, the controllers and the kubelet that act on its objects, the pods'
// processes, the database server, and an application that writes as long as it serves.
//
// Objects change only through the API server; whoever reacts to a change does so later, by the timeline, after a
// latency of his own. A pod and its process are two things: a pod object that was deleted by force leaves a process
// that still runs.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mover/model.h"
#include "mover/outcome.h"
#include "rules/checker.h"
#include "sim/api_server.h"
#include "sim/basics.h"

namespace rollback::sim {

// How the world behaves in one run. Shares are chances per occasion.
struct Weather {
  Millis quick{20}, slow{120};  // latency of every reaction, evenly between the two
  double evict = 0;             // a mover's pod ends before it reports
  double killInVerb = 0;        // its process dies between two SQL statements
  double serverCrash = 0;       // the database server restarts between two SQL statements
  double runTwice = 0;          // the Job controller starts two pods
  double forceDelete = 0;       // the pod object goes, its process stays and works on
  double vanish = 0;            // the Job itself is deleted by somebody
  int stallMillis = 0;          // a mover that starts takes up to this long
};

struct Content {
  std::string schema;     // which version's
  long acknowledged = 0;  // rows an application was told are safe, since the run began
  bool staged = false;    // came out of a backup
};

// A database of the application's and what it was before anybody touched it.
struct Store {
  std::string name, database;
  mover::Oid original = 0;
};

struct Process {
  std::string pod, podUid, namespace_, image;
  std::string workload;  // of an application: "deployments ns/name", "cronjobs ns/name"
  // Of a mover:
  std::string task, verb, database, ownerUid, go;
  bool writes = false;
  bool orphan = false;  // its pod was deleted by force: nobody can see or stop it
  bool mover() const { return workload.empty(); }
  // "done": what it did is said, and it ends.
  bool active() const { return writes && verb != "done" && (verb != "switch" || !go.empty()); }
  std::vector<int> sessions;  // pids in the database server, one a store; empty: not connected
};

class World final : public rules::Observer {
 public:
  World(std::uint64_t seed, rules::Options options);

  VirtualClock clock;
  Dice dice;
  Timeline timeline{clock};
  ApiServer server{clock, dice};
  model::Server postgres;
  rules::Checker checker;
  Weather weather;

  // --- the application and its data
  std::map<mover::Oid, Content> contents;
  std::set<std::string> brokenImages;                         // never become ready
  std::set<std::string> unpullableImages;                     // cannot be pulled
  std::map<std::string, mover::Outcome> scripted;             // verb → outcome instead of the true one, each time
  std::vector<std::pair<std::string, std::string>> blockers;  // of inspect
  std::set<std::string> madeByOrphans;                        // staged copies whose maker's pod was gone by then
  std::set<std::string> hanging;                              // verbs that never come to an end
  bool healthy = true;                                        // what `check` finds
  bool migrates = true;                                       // 2.0.0 has another schema than 1.0.0
  bool imageSetByUser = false;                                // what runs on which data is the user's doing
  std::vector<Store> stores;                                  // at least one
  static constexpr const char* kNamespace = "demo";

  std::map<std::string, Process> processes;  // by pod uid
  std::map<std::string, int> restores;       // by shadow's name
  std::map<mover::Oid, WallTime> keptUntil;  // as a Framework's status.kept says
  std::set<mover::Oid> missed;               // said to be gone already

  int processesOf(const std::string& workload) const override;
  std::vector<std::string> writersOf(const std::string& ownerUid) const override;
  bool applicationServes() const;
  // Another database, as if it had been there before the run.
  void addStore(const std::string& name, const std::string& database);
  // Of the application's image; a Job of it every 45 s from now on, while none runs.
  void addCronJob(const std::string& name);
  void createRun(const std::string& cronJobKey);  // a Job of it, now
  Millis runTakes{0};                             // how long they run; 0: up to 15 s
  // 0: there is none of that name.
  mover::Oid oidOf(const std::string& database) const;
  bool original(mover::Oid oid) const;
  bool allOriginal() const;  // every store's live database is the one of before
  bool allLiveOpen() const;

  // Lets `time` pass: what is due meanwhile happens.
  void pass(Millis time);
  // Runs what is next on the timeline, and looks at the rules that are about more than one write.
  void step();
  void watchData();

  // --- what the operator's replicas are told of
  std::function<void(const std::string& plural, const json& object, bool gone)> onChange = [](const std::string&,
                                                                                              const json&, bool) {};
  // The users of the simulation see changes too.
  std::function<void(const std::string& plural, const json& object, bool gone)> onUserSees = [](const std::string&,
                                                                                                const json&, bool) {};
  // Faults of a mover's work that a mutant asks for: may change the task, or what the world is after the verb.
  std::function<void(json& task)> mutateTask = [](json&) {};
  std::function<void(const std::string& verb)> afterVerb = [](const std::string&) {};

  // A run may stop here: what it was to show has been seen.
  std::function<bool()> enough = [] { return false; };

  bool tracing = false;
  std::vector<std::string> lines;
  void trace(const std::string& line);

 private:
  Millis latency() {
    return Millis(dice.between(static_cast<int>(weather.quick.count()), static_cast<int>(weather.slow.count())));
  }
  void changed(const std::string& plural, const json& object, bool gone);
  void syncDeployment(const std::string& key);
  void tickCronJob(const std::string& key);
  void runOnce(const std::string& key, const std::string& uid);
  void syncJob(const std::string& key);
  void createPod(const json& owner, const char* kind, const json& podTemplate, const std::string& name);
  void startPod(const std::string& key, const std::string& uid);
  void stopPod(const std::string& key, const std::string& uid);
  void startApplication(const std::string& key, const std::string& uid, int tries);
  void runMover(const std::string& uid);
  void endMover(const std::string& uid, int exitCode, const std::string& message, const std::string& reason);
  void collectOrphans(const std::string& uid);
  mover::Outcome verb(const mover::Task& task, const json& document, Process& process);
  mover::Outcome semanticVerb(const mover::Task& task, const json& document, bool orphan);
  std::vector<mover::Oid> liveOids() const;
  void endProcess(const std::string& uid);
  json schemaOf(const std::string& schema) const;

  std::set<std::string> pending_;                // syncs that wait on the timeline
  std::map<std::string, int> podsMade_;          // by Job uid
  bool doubled_ = false;                         // a Job got two pods at once
  std::map<mover::Oid, std::string> lastNames_;  // of databases, as last seen
  mover::Oid nextOid_ = 20000;
  int nextPid_ = 100;
};

std::string versionIn(const std::string& image);

}  // namespace rollback::sim
