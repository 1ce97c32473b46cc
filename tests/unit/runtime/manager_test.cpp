#include "runtime/manager.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <thread>

#include "fakes.h"
#include "kube/objects/workloads.h"
#include "runtime/event_recorder.h"

using namespace rollback;
using namespace rollback::runtime;
using namespace rollback::runtime::fakes;
using nlohmann::json;

namespace {

// What happened, in order, told by any thread.
class Diary {
 public:
  void note(const std::string& what) {
    const std::lock_guard<std::mutex> hold(mutex_);
    lines_.push_back(what);
  }
  std::vector<std::string> lines() const {
    const std::lock_guard<std::mutex> hold(mutex_);
    return lines_;
  }
  bool has(const std::string& what) const {
    for (const std::string& each : lines()) {
      if (each == what) return true;
    }
    return false;
  }

 private:
  mutable std::mutex mutex_;  // guards lines_
  std::vector<std::string> lines_;
};

class FakeCache final : public Synced {
 public:
  FakeCache(std::string name, Diary& diary) : name_(std::move(name)), diary_(diary) {}
  std::string name() const override { return name_; }
  Result<void> run(const http::CancelToken& stop) override {
    diary_.note(name_ + " starts");
    while (!stop.cancelled() && !failure) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    diary_.note(name_ + " ends");
    if (failure) return Error{ErrorCode::Internal, "the cache broke"};
    return {};
  }
  bool hasSynced() const override { return synced; }

  std::atomic<bool> synced{false};
  std::atomic<bool> failure{false};

 private:
  const std::string name_;
  Diary& diary_;
};

class FakeOther final : public Runnable {
 public:
  explicit FakeOther(Diary& diary) : diary_(diary) {}
  std::string name() const override { return "other"; }
  Result<void> run(const http::CancelToken& stop) override {
    while (!stop.cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    diary_.note("other ends");
    return {};
  }

 private:
  Diary& diary_;
};

struct Program : Bench {
  Diary diary;
  std::shared_ptr<FakeCache> cache = std::make_shared<FakeCache>("pods", diary);
  std::shared_ptr<FakeOther> other = std::make_shared<FakeOther>(diary);
  std::shared_ptr<FakeClient> leases = std::make_shared<FakeClient>(clock);
  std::mutex mutex;  // guards lease
  json lease;
  std::atomic<bool> leasesFail{false};
  std::shared_ptr<LeaderElector> elector;
  std::atomic<bool> reconcileMayEnd{true}, stuckReconcile{false};
  std::shared_ptr<Controller> controller;
  ManagerOptions options;
  std::unique_ptr<Manager> manager;
  std::thread thread;
  Result<void> outcome;
  std::atomic<bool> ended{false};

  Program() {
    leases->onSend = [this](const kube::Request& request) { return answer(request); };
    LeaderElectionOptions election;
    election.namespace_ = "system";
    election.name = "operator";
    election.identity = "me";
    elector = *LeaderElector::make(election, leases, timing(),
                                   {[this] { diary.note("leads"); }, [this] { diary.note("lost"); }, {}}, metrics);
    controller = std::make_shared<Controller>(
        ControllerOptions{"rollback"},
        [this](const std::string& key, const ReconcileContext& context) -> Result<ReconcileResult> {
          diary.note("reconcile " + key);
          eventually([&] { return reconcileMayEnd || (context.cancel.cancelled() && !stuckReconcile); });
          diary.note(context.cancel.cancelled() ? "reconcile cancelled" : "reconcile ends");
          return ReconcileResult{};
        },
        timing(), metrics);
    controller->enqueue("demo/a");
    options.healthAddress.clear();
    options.metricsAddress.clear();
    options.onStuck = [this] {
      diary.note("stuck");
      stuckReconcile = false;
    };
  }
  ~Program() {
    stop.cancel();
    reconcileMayEnd = true;
    join();
  }

  Result<std::string> answer(const kube::Request& request) {
    if (leasesFail) return Error{ErrorCode::Unavailable, "down"};
    const std::lock_guard<std::mutex> hold(mutex);
    if (request.verb == kube::Verb::Get) {
      if (lease.is_null()) return Error{ErrorCode::NotFound, "none", 404};
      return lease.dump();
    }
    lease = json::parse(request.body);
    if (lease["spec"]["holderIdentity"] == "") diary.note("lease released");
    return request.body;
  }

  void start(bool withElection = true) {
    manager = std::make_unique<Manager>(options, timing(), metrics);
    manager->add(cache);
    manager->addOther(other);
    manager->add(controller);
    if (withElection) manager->elect(elector);
    thread = std::thread([this] {
      outcome = manager->run(stop);
      ended = true;
    });
  }
  void join() {
    if (thread.joinable()) thread.join();
  }
};

// From that line on. A cache that counts as synced from the start may begin to run at any time later.
std::vector<std::string> from(std::vector<std::string> lines, const std::string& first) {
  lines.erase(lines.begin(), std::find(lines.begin(), lines.end(), first));
  lines.erase(std::remove(lines.begin(), lines.end(), "pods starts"), lines.end());
  return lines;
}

}  // namespace

TEST_CASE(
    "manager: given caches that fill, then it is ready, then it leads, then it reconciles, and stops the other way "
    "round") {
  Program p;
  p.start();
  REQUIRE(eventually([&] { return p.diary.has("pods starts"); }));
  CHECK(p.manager->readyz().answer("", "").status == 500);
  CHECK(p.manager->readyz().answer("", "").body.find("not synced: pods") != std::string::npos);
  CHECK(p.manager->healthz().answer("", "").status == 200);
  CHECK_FALSE(p.diary.has("leads"));
  p.cache->synced = true;
  REQUIRE(eventually([&] { return p.diary.has("reconcile ends"); }));
  CHECK(p.manager->readyz().answer("", "").status == 200);
  p.stop.cancel();
  p.join();
  CHECK(p.outcome.ok());
  CHECK(from(p.diary.lines(), "leads") == std::vector<std::string>{"leads", "reconcile demo/a", "reconcile ends",
                                                                   "lease released", "pods ends", "other ends"});
}

TEST_CASE("manager: given another leader, then this one is ready with warm caches, and reconciles nothing") {
  Program p;
  p.lease = {{"metadata", {{"resourceVersion", "1"}}},
             {"spec", {{"holderIdentity", "other"}, {"leaseDurationSeconds", 15}}}};
  p.cache->synced = true;
  p.start();
  REQUIRE(eventually([&] { return p.leases->requests().size() > 0; }));
  CHECK(p.manager->readyz().answer("", "").status == 200);
  p.stop.cancel();
  p.join();
  CHECK(p.outcome.ok());
  CHECK_FALSE(p.diary.has("reconcile demo/a"));
  CHECK_FALSE(p.diary.has("lease released"));  // it is not ours
}

TEST_CASE("manager: given no election, then the controllers start when the caches are synced") {
  Program p;
  p.cache->synced = true;
  p.start(false);
  CHECK(eventually([&] { return p.diary.has("reconcile ends"); }));
}

TEST_CASE("manager: given a cache that does not fill in time, then it ends with an error that names it") {
  Program p;
  p.start();
  REQUIRE(eventually([&] { return p.diary.has("pods starts"); }));
  REQUIRE(eventually([&] {
    p.clock.advance(Millis(1000));
    return p.ended.load();
  }));
  p.join();
  REQUIRE_FALSE(p.outcome);
  CHECK(p.outcome.error().code == ErrorCode::Timeout);
  CHECK(p.outcome.error().message.find("pods") != std::string::npos);
  CHECK_FALSE(p.diary.has("leads"));
}

TEST_CASE("manager: given a lost lease, then running reconciles are cancelled at once, and it ends with the error") {
  Program p;
  p.reconcileMayEnd = false;
  p.cache->synced = true;
  p.start();
  REQUIRE(eventually([&] { return p.diary.has("reconcile demo/a"); }));
  p.leasesFail = true;
  REQUIRE(eventually([&] {
    p.clock.advance(Millis(100));
    return p.diary.has("lost");
  }));
  p.join();
  REQUIRE_FALSE(p.outcome);
  CHECK(p.outcome.error().code == ErrorCode::Fenced);
  CHECK(p.diary.has("reconcile cancelled"));
  CHECK_FALSE(p.diary.has("lease released"));
}

TEST_CASE(
    "manager: given a reconcile that outlives the drain, then it is cancelled, and only then the lease is given back") {
  Program p;
  p.reconcileMayEnd = false;
  p.cache->synced = true;
  p.start();
  REQUIRE(eventually([&] { return p.diary.has("reconcile demo/a"); }));
  p.stop.cancel();
  REQUIRE(eventually([&] {
    p.clock.advance(Millis(50));
    return p.ended.load();
  }));
  p.join();
  CHECK(p.outcome.ok());
  CHECK(from(p.diary.lines(), "reconcile demo/a") == std::vector<std::string>{"reconcile demo/a", "reconcile cancelled",
                                                                              "lease released", "pods ends",
                                                                              "other ends"});
}

TEST_CASE(
    "manager: given a reconcile that never comes back, then the program is ended, before anybody gives the lease "
    "back") {
  Program p;
  p.reconcileMayEnd = false;
  p.stuckReconcile = true;
  p.cache->synced = true;
  p.start();
  REQUIRE(eventually([&] { return p.diary.has("reconcile demo/a"); }));
  p.stop.cancel();
  REQUIRE(eventually([&] {
    p.clock.advance(Millis(50));
    return p.diary.has("stuck");
  }));
  p.join();
  CHECK(from(p.diary.lines(), "reconcile demo/a").at(1) == "stuck");
}

TEST_CASE("manager: given a part that fails, then everything stops and its error is the outcome") {
  Program p;
  p.cache->synced = true;
  p.start();
  REQUIRE(eventually([&] { return p.diary.has("reconcile ends"); }));
  p.cache->failure = true;
  p.join();
  REQUIRE_FALSE(p.outcome);
  CHECK(p.outcome.error().message == "the cache broke");
}

TEST_CASE("manager: given a stop before anything synced, then it ends well and nothing was begun") {
  Program p;
  p.start();
  REQUIRE(eventually([&] { return p.diary.has("pods starts"); }));
  p.stop.cancel();
  p.join();
  CHECK(p.outcome.ok());
  CHECK_FALSE(p.diary.has("leads"));
  CHECK_FALSE(p.diary.has("reconcile demo/a"));
}

TEST_CASE("manager: given an address that cannot be served, then it does not start at all") {
  Program p;
  p.options.metricsAddress = "nowhere";
  p.start();
  p.join();
  REQUIRE_FALSE(p.outcome);
  CHECK(p.outcome.error().code == ErrorCode::BadInput);
  CHECK(p.diary.lines().empty());
}
