// One process of the operator: the true client, gatherer, reconcilers, reconcile loop, controllers, work queues and
// leader elector, on one thread. What stands between it and the API server is a Transport that loses, delays, doubles
// and refuses requests, and ends the process.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kube/client/client.h"
#include "manager/deciders.h"
#include "manager/gather.h"
#include "runtime/controller.h"
#include "runtime/event_recorder.h"
#include "runtime/leader_election.h"
#include "sim/mutants.h"
#include "sim/world.h"

namespace rollback::sim {

// Chances per request.
struct Faults {
  double lost = 0;         // the request never arrives
  double answerLost = 0;   // it is executed, the answer never arrives
  double late = 0;         // as lost, but it arrives later
  double doubled = 0;      // it is executed twice
  double conflict = 0;     // somebody touches the object just before a write
  double busy = 0;         // 429 with Retry-After
  double unavailable = 0;  // 500, 503, 504
  double expired = 0;      // 410 of a list
  double kill = 0;         // the process dies at a write: before it, or after it and before the answer
  double pause = 0;        // the process stands still before a request is sent, for longer than its lease
  double interleave = 0;   // the world goes on for a moment before a request
  double skew = 0;         // the wall clock jumps
  Millis watchLag{20};     // at most so late come changes that are watched
};

// Kills at chosen writes: the n-th mutating request of all replicas together, counted from 1.
struct Kill {
  long write = 0;
  bool after = false;  // executed, the answer lost
};

class Fleet;

class Replica {
 public:
  Replica(Fleet& fleet, int number);
  ~Replica();

  // When it has something to do; nothing if never by itself.
  std::optional<MonoTime> nextDue() const;
  // Does one thing.
  void work();
  void changed(const std::string& plural, const json& object, bool gone);
  bool dead() const { return dead_; }
  bool leads() const;
  int number() const { return number_; }

 private:
  class Wire;
  class Keys;
  friend class Fleet;
  void die(const std::string& why);
  void listAll();
  void enqueueFramework(const std::string& key);

  Fleet& fleet_;
  const int number_;
  std::string name_;
  bool dead_ = false, down_ = false;
  std::shared_ptr<kube::Client> client_, plain_;
  std::unique_ptr<runtime::Registry> metrics_;
  std::unique_ptr<runtime::Store<api::Framework>> frameworks_;
  std::unique_ptr<runtime::Store<api::FrameworkRollback>> history_;
  std::unique_ptr<manager::Gatherer> gatherer_;
  std::unique_ptr<runtime::EventRecorder> recorder_;
  std::unique_ptr<runtime::Controller> rollbacks_, backups_, frameworkKeys_, repositories_;
  std::shared_ptr<runtime::LeaderElector> elector_;
  MonoTime nextElection_{};
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // what the timeline holds of us asks whether we still are
};

// One or two replicas, restarted when they die.
class Fleet {
 public:
  Fleet(World& world, int replicas, Faults faults, Mutant mutant);
  ~Fleet();

  World& world;
  Faults faults;
  const Mutant mutant;
  std::vector<Kill> kills;
  long writes = 0, deaths = 0, requests = 0;
  bool faulty = true;   // false: faults are over
  Millis lastWrite{0};  // of the operator, accepted
  int pausing = 0;      // a replica stands still: it is not asked again
  bool electing() const { return replicas_.size() > 1; }

  // Does the next thing of the world or of a replica; false if there is nothing before `until`.
  bool step(Millis until);
  // Runs until `done`, or `until` has come; true if done.
  bool run(Millis until, const std::function<bool()>& done);
  runtime::Timing timing();
  void restart(int number);

 private:
  friend class Replica;
  std::vector<std::unique_ptr<Replica>> replicas_;
  std::vector<bool> standing_;
};

}  // namespace rollback::sim
