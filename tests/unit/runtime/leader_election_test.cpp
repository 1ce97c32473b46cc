#include "runtime/leader_election.h"

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "fakes.h"

using namespace rollback;
using namespace rollback::runtime;
using namespace rollback::runtime::fakes;
using nlohmann::json;

namespace {

// One Lease behind an API server: optimistic locking, and faults for the next requests.
class LeaseServer {
 public:
  std::optional<json> lease;
  int writes = 0;
  std::function<std::optional<Error>(const kube::Request&)> fault;       // instead of doing it
  std::function<std::optional<Error>(const kube::Request&)> faultAfter;  // after doing it

  Result<std::string> handle(const kube::Request& request) {
    if (fault) {
      if (const auto error = fault(request)) return *error;
    }
    Result<std::string> answer = apply(request);
    if (faultAfter) {
      if (const auto error = faultAfter(request)) return *error;
    }
    return answer;
  }
  json& spec() { return (*lease)["spec"]; }
  // Somebody else's write.
  void touch(const std::string& holder, const std::string& renewTime) {
    if (!lease) lease = json{{"metadata", {{"namespace", "system"}, {"name", "operator"}}}};
    spec()["holderIdentity"] = holder;
    spec()["renewTime"] = renewTime;
    if (!spec().contains("leaseDurationSeconds")) spec()["leaseDurationSeconds"] = 15;
    bump();
  }

 private:
  Result<std::string> apply(const kube::Request& request) {
    if (request.verb == kube::Verb::Create) {
      if (lease) return Error{ErrorCode::AlreadyExists, "exists", 409};
      lease = json::parse(request.body);
    } else {
      if (!lease) return Error{ErrorCode::NotFound, "not found", 404};
      if (request.verb == kube::Verb::Get) return lease->dump();
      const json next = json::parse(request.body);
      if (next["metadata"]["resourceVersion"] != (*lease)["metadata"]["resourceVersion"])
        return Error{ErrorCode::Conflict, "stale", 409};
      lease = next;
    }
    ++writes;
    bump();
    return lease->dump();
  }
  void bump() { (*lease)["metadata"]["resourceVersion"] = std::to_string(++version_); }
  int version_ = 0;
};

struct Candidate {
  std::shared_ptr<FakeClient> client;
  std::shared_ptr<LeaderElector> elector;
  int started = 0, lost = 0;
  std::vector<std::string> leaders;
};

struct Election : Bench {
  LeaseServer server;

  std::unique_ptr<Candidate> candidate(const std::string& identity) {
    auto made = std::make_unique<Candidate>();
    Candidate* const self = made.get();
    made->client = std::make_shared<FakeClient>(clock);
    made->client->onSend = [this](const kube::Request& request) { return server.handle(request); };
    LeaderElectionOptions options;
    options.namespace_ = "system";
    options.name = "operator";
    options.identity = identity;
    made->elector = *LeaderElector::make(options, made->client, timing(),
                                         {[self] { ++self->started; }, [self] { ++self->lost; },
                                          [self](const std::string& leader) { self->leaders.push_back(leader); }},
                                         metrics);
    return made;
  }
  Result<Millis> step(Candidate& candidate) { return candidate.elector->step(stop); }
};

const Error kTimeout{ErrorCode::Timeout, "no answer"};

}  // namespace

TEST_CASE("leader election: given no Lease, when a candidate tries, then it creates it and leads") {
  Election e;
  auto a = e.candidate("a");
  CHECK_FALSE(a->elector->leading());
  CHECK(a->elector->writeGate()().error().code == ErrorCode::Fenced);
  CHECK(*e.step(*a) == Millis(2000));
  CHECK(a->elector->leading());
  CHECK(a->started == 1);
  CHECK(a->leaders == std::vector<std::string>{"a"});
  CHECK(e.server.spec()["holderIdentity"] == "a");
  CHECK(e.server.spec()["leaseDurationSeconds"] == 15);
  CHECK(e.server.spec()["leaseTransitions"] == 0);
  CHECK(e.server.spec()["acquireTime"] == "2026-11-24T03:00:00.000000Z");
  CHECK(e.metric(R"(leader_election_master_status{name="operator"})") == "1");
  CHECK(a->elector->writeGate()()->at == e.clock.now() + Millis(10000));
}

TEST_CASE("leader election: given a leader, when it renews, then one write does it and acquireTime stays") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  e.server.lease->at("metadata")["labels"] = {{"mine", "kept"}};
  const auto before = a->client->requests().size();
  e.clock.advance(Millis(2000));
  CHECK(*e.step(*a) == Millis(2000));
  CHECK(a->client->requests().size() == before + 1);
  CHECK(a->client->requests().back().verb == kube::Verb::Update);
  CHECK(e.server.spec()["acquireTime"] == "2026-11-24T03:00:00.000000Z");
  CHECK(e.server.spec()["renewTime"] == "2026-11-24T03:00:02.000000Z");
  CHECK(e.server.spec()["leaseTransitions"] == 0);
  CHECK(a->started == 1);
}

TEST_CASE("leader election: given a live leader, when another waits, then it never leads, whatever the clocks say") {
  Election e;
  auto a = e.candidate("a");
  auto b = e.candidate("b");
  e.step(*a).ok();
  for (int i = 0; i < 40; ++i) {
    CHECK(*e.step(*b) == Millis(3200));  // 2 s and 1.2 × half as much
    e.clock.advance(Millis(2000));
    // The leader's wall clock is an hour behind: by its renewTime the lease would be long over.
    e.clock.shiftWall(Millis(-3600000));
    e.step(*a).ok();
    e.clock.shiftWall(Millis(3600000));
  }
  CHECK(b->started == 0);
  CHECK(a->elector->leading());
  CHECK(b->leaders == std::vector<std::string>{"a"});
}

TEST_CASE(
    "leader election: given a leader that vanished, when its record has not changed for the lease, then another "
    "leads") {
  Election e;
  auto a = e.candidate("a");
  auto b = e.candidate("b");
  e.step(*a).ok();
  e.step(*b).ok();  // first sees the record now
  e.clock.advance(Millis(14999));
  e.step(*b).ok();
  CHECK(b->started == 0);
  CHECK_FALSE(a->elector->leading());  // by its own gate, long before
  e.clock.advance(Millis(1));
  e.step(*b).ok();
  CHECK(b->started == 1);
  CHECK(e.server.spec()["leaseTransitions"] == 1);
  CHECK(e.server.spec()["holderIdentity"] == "b");
}

TEST_CASE(
    "leader election: given a record of an hour ago by its own words, then a new candidate still waits the whole "
    "lease") {
  Election e;
  auto b = e.candidate("b");
  e.server.touch("a", "2020-01-01T00:00:00.000000Z");
  e.step(*b).ok();
  e.clock.advance(Millis(14000));
  e.step(*b).ok();
  CHECK(b->started == 0);
  e.server.touch("a", "2020-01-01T00:00:01.000000Z");  // it is alive
  e.step(*b).ok();
  e.clock.advance(Millis(14000));
  e.step(*b).ok();
  CHECK(b->started == 0);
}

TEST_CASE(
    "write gate: given a leader that cannot renew, then it shuts by itself ten seconds after the last renewal was "
    "sent") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  const kube::WriteGate gate = a->elector->writeGate();
  const MonoTime end = gate()->at;
  e.server.fault = [](const kube::Request&) { return kTimeout; };
  e.clock.advance(Millis(9000));
  CHECK(*e.step(*a) == Millis(1000));  // not later than the end
  CHECK(gate()->at == end);
  e.clock.advance(Millis(1000));
  CHECK(gate().error().code == ErrorCode::Fenced);  // nobody had to do anything
  CHECK_FALSE(a->elector->leading());
  const auto lost = e.step(*a);
  REQUIRE_FALSE(lost);
  CHECK(lost.error().code == ErrorCode::Fenced);
  CHECK(a->lost == 1);
  CHECK(e.metric(R"(leader_election_master_status{name="operator"})") == "0");
}

TEST_CASE("write gate: given a renewal that took long, then its window counts from when it was sent") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  const MonoTime sent = e.clock.now();
  e.server.faultAfter = [&](const kube::Request&) -> std::optional<Error> {
    e.clock.advance(Millis(4000));
    return std::nullopt;
  };
  e.step(*a).ok();
  CHECK(a->elector->writeGate()()->at == sent + Millis(10000));
}

TEST_CASE("write gate: given an elector that is gone, then the gate still answers, and is shut when its time is over") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  const kube::WriteGate gate = a->elector->writeGate();
  a->elector.reset();
  CHECK(gate());
  e.clock.advance(Millis(10000));
  CHECK_FALSE(gate());
}

TEST_CASE("leader election: given a renewal whose answer got lost, then the leader reads, sees itself and goes on") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  bool once = true;
  e.server.faultAfter = [&](const kube::Request&) -> std::optional<Error> {
    return std::exchange(once, false) ? std::optional<Error>(kTimeout) : std::nullopt;
  };
  e.clock.advance(Millis(2000));
  CHECK(e.step(*a).ok());
  e.clock.advance(Millis(2000));
  CHECK(e.step(*a).ok());
  CHECK(a->elector->writeGate()()->at == e.clock.now() + Millis(10000));
  CHECK(e.server.spec()["leaseTransitions"] == 0);
  CHECK(e.metric(R"(leader_election_slowpath_total{name="operator"})") == "2");  // the first acquisition, and this
}

TEST_CASE("leader election: given a lost answer to the creation, then the next attempt finds itself and leads") {
  Election e;
  auto a = e.candidate("a");
  bool once = true;
  e.server.faultAfter = [&](const kube::Request& request) -> std::optional<Error> {
    if (request.verb != kube::Verb::Create) return std::nullopt;
    return std::exchange(once, false) ? std::optional<Error>(kTimeout) : std::nullopt;
  };
  e.step(*a).ok();
  CHECK(a->started == 0);
  e.step(*a).ok();
  CHECK(a->started == 1);
  CHECK(e.server.spec()["leaseTransitions"] == 0);
}

TEST_CASE("leader election: given a leader that finds another's name in its Lease, then it is no leader from then on") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  e.server.touch("b", "2026-11-24T03:00:01.000000Z");
  const auto lost = e.step(*a);
  REQUIRE_FALSE(lost);
  CHECK_FALSE(a->elector->writeGate()());
  CHECK(a->lost == 1);
  CHECK(e.server.spec()["holderIdentity"] == "b");
}

TEST_CASE("leader election: given somebody who only labels the Lease, then the leader renews after a read") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  e.server.touch("a", e.server.spec()["renewTime"].get<std::string>());
  e.clock.advance(Millis(2000));
  CHECK(e.step(*a).ok());
  CHECK(a->elector->writeGate()()->at == e.clock.now() + Millis(10000));
}

TEST_CASE("leader election: given a deleted Lease, then the leader makes it again") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  e.server.lease.reset();
  e.clock.advance(Millis(2000));
  CHECK(e.step(*a).ok());
  CHECK(e.server.spec()["holderIdentity"] == "a");
  CHECK(a->lost == 0);
}

TEST_CASE(
    "leader election release: given a leader, when it stops, then its gate shuts before the Lease is given back") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  const kube::WriteGate gate = a->elector->writeGate();
  bool openDuringRelease = true;
  e.server.fault = [&](const kube::Request&) -> std::optional<Error> {
    openDuringRelease = gate().ok();
    return std::nullopt;
  };
  a->elector->release();
  CHECK_FALSE(openDuringRelease);
  CHECK(e.server.spec()["holderIdentity"] == "");
  CHECK(e.server.spec()["leaseDurationSeconds"] == 1);
  CHECK(a->lost == 0);

  auto b = e.candidate("b");
  e.step(*b).ok();
  CHECK(b->started == 1);  // at once
  CHECK(e.server.spec()["leaseTransitions"] == 1);
}

TEST_CASE(
    "leader election release: given a conflict, then it reads and tries again; given another holder, then it leaves "
    "it") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  SECTION("a label") {
    e.server.touch("a", "2026-11-24T03:00:01.000000Z");
    a->elector->release();
    CHECK(e.server.spec()["holderIdentity"] == "");
  }
  SECTION("a new leader") {
    e.server.touch("b", "2026-11-24T03:00:01.000000Z");
    a->elector->release();
    CHECK(e.server.spec()["holderIdentity"] == "b");
  }
  SECTION("never a second time") {
    a->elector->release();
    const int writes = e.server.writes;
    a->elector->release();
    CHECK(e.server.writes == writes);
  }
}

TEST_CASE("leader election: given any request, then it ends before the lease would") {
  Election e;
  auto a = e.candidate("a");
  e.step(*a).ok();
  CHECK(a->client->deadlines().back().at == e.clock.now() + Millis(5000));
  const MonoTime end = a->elector->writeGate()()->at;
  e.clock.advance(Millis(8000));
  e.server.fault = [](const kube::Request&) { return kTimeout; };
  e.step(*a).ok();
  CHECK(a->client->deadlines().back().at == end);
}

TEST_CASE(
    "leader election health: given a leader whose renewing thread hangs, then the liveness check fails in the end") {
  Election e;
  auto a = e.candidate("a");
  CHECK(a->elector->healthy());
  e.step(*a).ok();
  e.clock.advance(Millis(25000));
  CHECK(a->elector->healthy());
  e.clock.advance(Millis(1));
  CHECK_FALSE(a->elector->healthy());
  auto standby = e.candidate("b");
  CHECK(standby->elector->healthy());
}

TEST_CASE("leader election options: given windows that do not nest, or no names, then they are refused") {
  Election e;
  const auto make = [&](const std::function<void(LeaderElectionOptions&)>& change) {
    LeaderElectionOptions options;
    options.namespace_ = "system";
    options.name = "operator";
    options.identity = "a";
    change(options);
    return LeaderElector::make(options, nullptr, e.timing(), {}, e.metrics);
  };
  CHECK(make([](LeaderElectionOptions&) {}).ok());
  CHECK(make([](LeaderElectionOptions& o) { o.renewDeadline = o.leaseDuration; }).error().code == ErrorCode::BadInput);
  CHECK(make([](LeaderElectionOptions& o) { o.retryPeriod = Millis(8334); }).error().code == ErrorCode::BadInput);
  CHECK(make([](LeaderElectionOptions& o) { o.identity = ""; }).error().code == ErrorCode::BadInput);
}

TEST_CASE("leader identity: given two processes of one host, then they are two candidates") {
  const Random random = systemRandom();
  const std::string one = leaderIdentity("pod-0", random);
  CHECK(one.rfind("pod-0_", 0) == 0);
  CHECK(one.size() == 6 + 36);
  CHECK(one != leaderIdentity("pod-0", random));
}

TEST_CASE(
    "leader election: given replicas that stall, crash and come back at random, then the gates are never open for "
    "two") {
  const unsigned seed = GENERATE(range(1u, 30u));
  Election e;
  std::mt19937 dice(seed);
  std::vector<std::unique_ptr<Candidate>> all;
  std::vector<MonoTime> next(3);
  std::vector<bool> ended(3, false);
  for (int i = 0; i < 3; ++i) all.push_back(e.candidate("replica-" + std::to_string(i)));
  e.server.fault = [&](const kube::Request&) -> std::optional<Error> {
    return dice() % 5 == 0 ? std::optional<Error>(kTimeout) : std::nullopt;
  };
  e.server.faultAfter = [&](const kube::Request&) -> std::optional<Error> {
    e.clock.advance(Millis(dice() % 700));
    return dice() % 8 == 0 ? std::optional<Error>(kTimeout) : std::nullopt;
  };
  int elections = 0;
  for (int round = 0; round < 600; ++round) {
    e.clock.advance(Millis(dice() % 1500));
    const std::size_t who = dice() % 3;
    if (ended[who]) {  // a new process with another identity
      all[who] = e.candidate("replica-" + std::to_string(who) + "-" + std::to_string(round));
      ended[who] = false;
    }
    if (dice() % 40 == 0) e.clock.advance(Millis(dice() % 20000));  // everybody stalls
    if (e.clock.now() < next[who]) continue;
    const int before = all[who]->started;
    const auto wait = e.step(*all[who]);
    if (wait) {
      next[who] = e.clock.now() + *wait;
    } else {
      ended[who] = true;
    }
    elections += all[who]->started - before;
    if (all[who]->elector->leading() && dice() % 25 == 0) all[who]->elector->release();
    int open = 0;
    for (const auto& each : all) open += each->elector->writeGate()() ? 1 : 0;
    INFO("seed " << seed << ", round " << round);
    REQUIRE(open <= 1);
  }
  CHECK(elections >= 2);
}

TEST_CASE("leader election: given a running elector, when stopped, then it gives the Lease back and ends") {
  Election e;
  auto a = e.candidate("a");
  std::atomic<bool> notified{false};
  a->elector->whenLeading([&] { notified = true; });
  std::thread thread([&] { CHECK(a->elector->run(e.stop).ok()); });
  REQUIRE(eventually([&] { return notified.load(); }));
  e.stop.cancel();
  thread.join();
  CHECK(e.server.spec()["holderIdentity"] == "");
}
