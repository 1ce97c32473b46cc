#include "sim/replica.h"

#include <algorithm>

#include "api/resources.h"
#include "backup/backup.h"
#include "framework/framework.h"
#include "kube/client/credentials.h"
#include "manager/reconcile.h"
#include "repository/repository.h"
#include "rollback/rollback.h"
#include "runtime/object_key.h"

namespace rollback::sim {
namespace {

constexpr const char* kUser = "system:serviceaccount:rollback-system:rollback-operator";
const reconcilers::Settings kSettings{"localhost/rollback-mover:sim", "Never"};

class NoWaiter final : public runtime::Waiter {
 public:
  void wait(std::unique_lock<std::mutex>&, std::condition_variable&, MonoTime) const override {}
};
const NoWaiter kNoWaiter;

class SimCredentials final : public kube::Credentials {
 public:
  explicit SimCredentials(std::shared_ptr<http::Transport> wire) : wire_(std::move(wire)) {}
  Result<std::shared_ptr<http::Transport>> transport() override { return wire_; }
  Result<std::string> authorization() override { return std::string(); }
  void rejected(MonoTime) override {}
  std::string defaultNamespace() const override { return "rollback-system"; }
  std::string impersonate() const override { return ""; }

 private:
  std::shared_ptr<http::Transport> wire_;
};

std::string text(const json& object, std::initializer_list<const char*> path) { return rules::textAt(&object, path); }
std::string keyOf(const json& object) {
  return text(object, {"metadata", "namespace"}) + "/" + text(object, {"metadata", "name"});
}

bool isLease(const std::string& target) { return target.find("/leases") != std::string::npos; }

bool isReview(const std::string& target) { return target.find("/selfsubjectaccessreviews") != std::string::npos; }

http::Response refusal(int code, const char* reason, const char* retryAfter) {
  http::Response out{
      code,
      {{"content-type", "application/json"}},
      json{{"kind", "Status"}, {"status", "Failure"}, {"reason", reason}, {"code", code}, {"message", "injected"}}
          .dump()};
  if (retryAfter) out.headers.emplace_back("retry-after", retryAfter);
  return out;
}

}  // namespace

// The way of a request from the client to the API server, with what can happen on it.
class Replica::Wire final : public http::Transport {
 public:
  explicit Wire(Replica& replica) : replica_(replica), fleet_(replica.fleet_), world_(replica.fleet_.world) {}

  Result<http::Response> send(const http::Request& request, Deadline, const http::CancelToken&) override {
    return exchange(request);
  }

  Result<void> stream(const http::Request& request, Deadline, Millis, const http::CancelToken&,
                      const std::function<bool(const http::Response&)>& onHead,
                      const std::function<bool(std::string_view)>& onBytes) override {
    auto answer = exchange(request);
    if (!answer) return answer.error();
    http::Response head = *answer;
    head.body.clear();
    if (!onHead(head)) return Error{ErrorCode::Cancelled, "ended by the reader"};
    if (!answer->body.empty() && !onBytes(answer->body)) return Error{ErrorCode::Cancelled, "ended by the reader"};
    return {};
  }

 private:
  Result<http::Response> exchange(const http::Request& request) {
    if (replica_.dead_) return Error{ErrorCode::Cancelled, "the process is gone"};
    ++fleet_.requests;
    world_.clock.time += Millis(1);
    const bool lease = isLease(request.target);
    const bool mutating = request.method != "GET" && !lease && !isReview(request.target);
    auto& dice = world_.dice;
    const Faults none;
    const Faults& f = fleet_.faulty ? fleet_.faults : none;
    if (mutating) {
      // Whoever sends a write leads, by its own account, at the moment it is sent.
      if (replica_.elector_ && !replica_.elector_->leading())
        world_.checker.report("S7", "replica " + std::to_string(replica_.number_) + " sends " + request.method + " " +
                                        request.target + " and does not lead");
      const long number = ++fleet_.writes;
      for (const auto& kill : fleet_.kills)
        if (kill.write == number) {
          if (kill.after) deliver(request);
          return died(request, kill.after);
        }
      if (dice.chance(f.kill)) {
        const bool after = dice.chance(0.5);
        if (after) deliver(request);
        return died(request, after);
      }
      if (fleet_.electing() && fleet_.pausing == 0 && dice.chance(f.pause)) stand();
      if (dice.chance(f.conflict)) touch(request);
    }
    if (dice.chance(f.interleave)) world_.pass(Millis(dice.between(1, 400)));
    if (dice.chance(f.lost)) return lost(request, "lost");
    if (dice.chance(f.late)) {
      world_.timeline.after(Millis(dice.between(100, mutating ? 20000 : 100)), [&world = world_, request] {
        world.trace("a late " + request.method + " " + request.target + " arrives");
        world.server.handle(request, kUser);
      });
      return lost(request, "late");
    }
    if (dice.chance(f.busy)) return refusal(429, "TooManyRequests", "1");
    if (dice.chance(f.unavailable)) {
      const int which = dice.below(3);
      if (which == 2 && dice.chance(0.5)) deliver(request);  // 504: who knows
      return refusal(which == 0   ? 500
                     : which == 1 ? 503
                                  : 504,
                     which == 0   ? "InternalError"
                     : which == 1 ? "ServiceUnavailable"
                                  : "Timeout",
                     nullptr);
    }
    if (request.method == "GET" && request.target.find('?') != std::string::npos && dice.chance(f.expired))
      return refusal(410, "Expired", nullptr);
    if (mutating && dice.chance(f.doubled)) deliver(request);
    auto answer = deliver(request);
    if (dice.chance(f.answerLost)) return lost(request, "executed, its answer lost");
    return answer;
  }

  http::Response deliver(const http::Request& request) {
    auto answer = world_.server.handle(request, kUser);
    if (request.method != "GET") {
      if (!isLease(request.target) && !isReview(request.target) && answer.status / 100 == 2)
        fleet_.lastWrite = world_.clock.time;
      if (world_.tracing && !isLease(request.target) && !isReview(request.target))
        world_.trace("operator " + std::to_string(replica_.number_) + ": " + request.method + " " +
                     request.target.substr(0, request.target.find('?')) + " → " + std::to_string(answer.status));
    }
    return answer;
  }

  Error lost(const http::Request& request, const char* how) {
    world_.trace("operator " + std::to_string(replica_.number_) + ": " + request.method + " " +
                 request.target.substr(0, request.target.find('?')) + " is " + how);
    world_.clock.time += Millis(world_.dice.between(10, 3000));
    return Error{world_.dice.chance(0.5) ? ErrorCode::ConnectionLost : ErrorCode::Timeout,
                 "injected: " + std::string(how)};
  }

  Error died(const http::Request& request, bool after) {
    replica_.die((after ? "after " : "before ") + request.method + " " +
                 request.target.substr(0, request.target.find('?')));
    return Error{ErrorCode::Cancelled, "the process is gone"};
  }

  // The process stands still, longer than its lease; the world goes on, and another replica takes over.
  void stand() {
    ++fleet_.pausing;
    fleet_.standing_[static_cast<std::size_t>(replica_.number_)] = true;
    const Millis until = world_.clock.time + Millis(world_.dice.between(5000, 60000));
    world_.trace("operator " + std::to_string(replica_.number_) + " stands still");
    fleet_.run(until, [] { return false; });
    world_.clock.time = std::max(world_.clock.time, until);
    world_.trace("operator " + std::to_string(replica_.number_) + " goes on");
    fleet_.standing_[static_cast<std::size_t>(replica_.number_)] = false;
    --fleet_.pausing;
  }

  // Somebody else writes an annotation into the object that is about to be written.
  void touch(const http::Request& request) {
    for (const char* plural : {"deployments", "cronjobs", "frameworks", "frameworkrollbacks", "jobs"}) {
      const auto found = request.target.find(std::string("/") + plural + "/");
      if (found == std::string::npos) continue;
      const std::string rest = request.target.substr(found + std::string(plural).size() + 2);
      const std::string key = "demo/" + rest.substr(0, rest.find_first_of("/?"));
      world_.server.edit("somebody", plural, "", key, [&](json& object) {
        object["metadata"]["annotations"]["touched"] = std::to_string(world_.clock.time.count());
      });
      return;
    }
  }

  Replica& replica_;
  Fleet& fleet_;
  World& world_;
};

Replica::Replica(Fleet& fleet, int number)
    : fleet_(fleet), number_(number), name_("replica-" + std::to_string(number)) {
  World& world = fleet.world;
  const runtime::Timing timing = fleet.timing();
  auto wire = std::make_shared<Wire>(*this);
  auto credentials = std::make_shared<SimCredentials>(wire);
  kube::ClientOptions options;
  options.random = timing.random;
  options.pause = [&world](Millis time, const http::CancelToken&) { world.pass(time); };
  plain_ = kube::makeClient(credentials, options, world.clock);
  metrics_ = std::make_unique<runtime::Registry>();
  frameworks_ = std::make_unique<runtime::Store<api::Framework>>(
      std::map<std::string, runtime::Store<api::Framework>::IndexFunction>{{"database", manager::databasesOf}});
  history_ = std::make_unique<runtime::Store<api::FrameworkRollback>>(
      std::map<std::string, runtime::Store<api::FrameworkRollback>::IndexFunction>{
          {"framework", [](const api::FrameworkRollback& rollback) {
             return std::vector{rollback.meta.namespace_ + "/" + rollback.spec.frameworkName};
           }}});
  if (fleet.electing()) {
    runtime::LeaderElectionOptions election;
    election.namespace_ = "rollback-system";
    election.name = "framework-rollback-operator";
    election.identity = runtime::leaderIdentity(name_, timing.random);
    auto made = runtime::LeaderElector::make(election, plain_, timing, {}, *metrics_);
    elector_ = *made;
    if (fleet.mutant != Mutant::LeaseIgnored) options.writeGate = elector_->writeGate();
    nextElection_ = world.clock.now();
  }
  client_ = kube::makeClient(credentials, options, world.clock);
  gatherer_ = std::make_unique<manager::Gatherer>(client_, world.clock, *frameworks_, *history_,
                                                  [&world] { return world.dice.hex(32); });
  recorder_ = std::make_unique<runtime::EventRecorder>(
      runtime::EventRecorderOptions{"rollback.pa-ecosystem.io/operator", name_}, plain_, timing, *metrics_);

  manager::Deciders decide = manager::deciders(*gatherer_, kSettings);
  if (const Mutant mutant = fleet.mutant; mutant != Mutant::None) {
    // The same two lines as manager::deciders, with a mutation before and after.
    const auto mutated = [this, mutant](auto read, auto reconcile, const kube::Resource& resource,
                                        auto meta) -> manager::Decide {
      return [this, mutant, read, reconcile, &resource, meta](
                 const std::string& ns, const std::string& name,
                 const manager::Gatherer::Call& call) -> Result<std::optional<manager::Decided>> {
        auto snapshot = (gatherer_.get()->*read)(ns, name, call);
        if (!snapshot) return snapshot.error();
        if (!*snapshot) return std::optional<manager::Decided>();
        mutateSnapshot(mutant, **snapshot);
        manager::Decided decided{reconcile(**snapshot, kSettings), runtime::referenceTo(resource, meta(**snapshot))};
        mutateDecision(mutant, **snapshot, decided.decision);
        return std::optional(std::move(decided));
      };
    };
    decide.rollbacks = mutated(&manager::Gatherer::rollback, reconcilers::reconcileRollback, api::kFrameworkRollbacks,
                               [](const reconcilers::RollbackSnapshot& s) { return s.rollback.meta; });
    decide.frameworks = mutated(&manager::Gatherer::framework, reconcilers::reconcileFramework, api::kFrameworks,
                                [](const reconcilers::FrameworkSnapshot& s) { return s.object.meta; });
  }
  const auto controller = [&](const char* controllerName, manager::Decide decider) {
    runtime::ControllerOptions controllerOptions;
    controllerOptions.name = controllerName;
    return std::make_unique<runtime::Controller>(
        controllerOptions, manager::reconcileLoop(std::move(decider), client_, *recorder_), timing, *metrics_);
  };
  rollbacks_ = controller("frameworkrollback", decide.rollbacks);
  backups_ = controller("frameworkbackup", decide.backups);
  frameworkKeys_ = controller("framework", decide.frameworks);
  repositories_ = controller("backuprepository", decide.repositories);
  listAll();
}

Replica::~Replica() = default;

bool Replica::leads() const { return !elector_ || elector_->leading(); }

void Replica::die(const std::string& why) {
  fleet_.world.trace("operator " + std::to_string(number_) + " dies " + why);
  dead_ = true;
  ++fleet_.deaths;
}

// What the reflectors' first lists would do.
void Replica::listAll() {
  const auto& server = fleet_.world.server;
  for (const auto& key : server.keysOf("frameworks")) {
    changed("frameworks", *server.find("frameworks", key), false);
    frameworkKeys_->enqueue(key);
  }
  for (const auto& key : server.keysOf("frameworkrollbacks")) rollbacks_->enqueue(key);
  for (const auto& key : server.keysOf("frameworkbackups")) backups_->enqueue(key);
  for (const auto& key : server.keysOf("backuprepositories")) repositories_->enqueue(key);
}

void Replica::enqueueFramework(const std::string& key) {
  const auto& server = fleet_.world.server;
  frameworkKeys_->enqueue(key);
  const auto slash = key.find('/');
  for (const auto& each : server.keysOf("frameworkrollbacks")) {
    const json& rollback = *server.find("frameworkrollbacks", each);
    if (each.compare(0, slash, key, 0, slash) != 0 ||
        text(rollback, {"spec", "frameworkRef", "name"}) != key.substr(slash + 1))
      continue;
    const json* finalizers = rules::memberAt(&rollback, {"metadata", "finalizers"});
    if (!rules::isEndingPhase(text(rollback, {"status", "phase"})) || (finalizers && !finalizers->empty()))
      rollbacks_->enqueue(each);
  }
  for (const auto& each : server.keysOf("frameworkbackups")) {
    const json& backup = *server.find("frameworkbackups", each);
    const std::string phase = text(backup, {"status", "phase"});
    if (text(backup, {"spec", "frameworkRef", "name"}) == key.substr(slash + 1) && phase != "Completed" &&
        phase != "Failed")
      backups_->enqueue(each);
  }
}

// As operator/manager/src/triggers.cpp: which keys a change concerns.
void Replica::changed(const std::string& plural, const json& object, bool gone) {
  if (dead_) return;
  const std::string key = keyOf(object);
  if (plural == "frameworks") {
    if (gone) {
      frameworks_->remove(key, text(object, {"metadata", "resourceVersion"}));
    } else if (auto decoded = api::decodeFramework(object.dump())) {
      frameworks_->put(std::make_shared<const api::Framework>(std::move(*decoded)));
    }
    enqueueFramework(key);
  } else if (plural == "frameworkrollbacks") {
    if (gone) {
      history_->remove(key, text(object, {"metadata", "resourceVersion"}));
    } else if (auto decoded = api::decodeFrameworkRollback(object.dump())) {
      history_->put(std::make_shared<const api::FrameworkRollback>(std::move(*decoded)));
    }
    rollbacks_->enqueue(key);
    if (gone)
      frameworkKeys_->enqueue(text(object, {"metadata", "namespace"}) + "/" +
                              text(object, {"spec", "frameworkRef", "name"}));
  } else if (plural == "frameworkbackups") {
    backups_->enqueue(key);
    if (gone)
      frameworkKeys_->enqueue(text(object, {"metadata", "namespace"}) + "/" +
                              text(object, {"spec", "frameworkRef", "name"}));
  } else if (plural == "backuprepositories") {
    repositories_->enqueue(key);
  } else if (plural == "deployments" || plural == "statefulsets" || plural == "cronjobs") {
    for (const auto& each : fleet_.world.server.keysOf("frameworks")) {
      const json& framework = *fleet_.world.server.find("frameworks", each);
      for (const auto& component : framework["spec"]["components"])
        if (text(component, {"workloadRef", "name"}) == text(object, {"metadata", "name"})) {
          enqueueFramework(each);
          break;
        }
    }
  } else if (plural == "jobs" || plural == "pods") {
    const std::string kind = text(object, {"metadata", "labels", api::kLabelOwnerKind}),
                      owner = text(object, {"metadata", "namespace"}) + "/" +
                              text(object, {"metadata", "labels", api::kLabelOwnerName});
    if (kind == "FrameworkRollback")
      rollbacks_->enqueue(owner);
    else if (kind == "FrameworkBackup")
      backups_->enqueue(owner);
    else if (kind == "Framework")
      frameworkKeys_->enqueue(owner);
  }
}

std::optional<MonoTime> Replica::nextDue() const {
  std::optional<MonoTime> due;
  const auto sooner = [&](std::optional<MonoTime> at) {
    if (at && (!due || *at < *due)) due = at;
  };
  if (elector_) sooner(nextElection_);
  if (!elector_ || elector_->leading() || fleet_.mutant == Mutant::LeaseIgnored)
    for (auto* each : {rollbacks_.get(), backups_.get(), frameworkKeys_.get(), repositories_.get()})
      sooner(each->queue().nextDue());
  return due;
}

void Replica::work() {
  World& world = fleet_.world;
  const MonoTime now = world.clock.now();
  if (elector_ && nextElection_ <= now) {
    const http::CancelToken never;
    const auto wait = elector_->step(never);
    if (!wait) return die("having lost its lease");
    nextElection_ = world.clock.now() + *wait;
    return;
  }
  std::vector<runtime::Controller*> able;
  for (auto* each : {rollbacks_.get(), backups_.get(), frameworkKeys_.get(), repositories_.get()})
    if (const auto due = each->queue().nextDue(); due && *due <= now) able.push_back(each);
  if (able.empty()) return;
  able[static_cast<std::size_t>(world.dice.below(static_cast<int>(able.size())))]->processNext();
}

Fleet::Fleet(World& w, int replicas, Faults f, Mutant m) : world(w), faults(f), mutant(m) {
  replicas_.resize(static_cast<std::size_t>(replicas));
  standing_.resize(replicas_.size());
  for (int i = 0; i < replicas; ++i) restart(i);
  world.onChange = [this](const std::string& plural, const json& object, bool gone) {
    if (plural == "leases" || plural == "events" || plural == "configmaps") return;
    const Millis lag(faulty ? world.dice.between(1, static_cast<int>(faults.watchLag.count())) : 5);
    // Each replica watches for itself; what comes late comes in order all the same, key by key.
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
      std::weak_ptr<int> alive = replicas_[i]->alive_;
      world.timeline.after(lag, [this, i, alive, plural, object, gone] {
        if (!alive.expired()) replicas_[i]->changed(plural, object, gone);
      });
    }
  };
}

Fleet::~Fleet() {
  world.onChange = [](const std::string&, const json&, bool) {};
}

runtime::Timing Fleet::timing() {
  return runtime::Timing{world.clock, kNoWaiter,
                         [this] { return static_cast<double>(world.dice.next() >> 11) * 0x1.0p-53; }};
}

void Fleet::restart(int number) {
  auto& slot = replicas_[static_cast<std::size_t>(number)];
  slot.reset();
  slot = std::make_unique<Replica>(*this, number);
}

bool Fleet::step(Millis until) {
  if (world.enough()) return false;
  // The earliest of all; of what is due at once, the dice choose.
  std::optional<Millis> best;
  std::vector<int> who;  // -1: the world
  const auto offer = [&](Millis at, int each) {
    at = std::max(at, world.clock.time);
    if (!best || at < *best) {
      best = at;
      who.clear();
    }
    if (at == *best) who.push_back(each);
  };
  if (!world.timeline.empty()) offer(world.timeline.next(), -1);
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (standing_[i]) continue;
    if (replicas_[i]->dead_) {
      restart(static_cast<int>(i));
    }
    if (const auto due = replicas_[i]->nextDue()) offer(due->time_since_epoch(), static_cast<int>(i));
  }
  if (!best || *best > until) return false;
  world.clock.time = std::max(world.clock.time, *best);
  const int chosen = who[static_cast<std::size_t>(world.dice.below(static_cast<int>(who.size())))];
  if (chosen < 0) {
    world.step();
  } else {
    if (faulty && world.dice.chance(faults.skew)) {
      world.clock.skew += Millis(world.dice.between(-30000, 30000));
      world.trace("the wall clock jumps to " + formatTime(world.clock.wall()));
    }
    replicas_[static_cast<std::size_t>(chosen)]->work();
    world.watchData();
  }
  return true;
}

bool Fleet::run(Millis until, const std::function<bool()>& done) {
  while (!done()) {
    if (world.clock.time >= until || !step(until)) {
      if (done()) return true;
      world.clock.time = std::max(world.clock.time, until);
      return done();
    }
  }
  return true;
}

}  // namespace rollback::sim
