#include "runtime/event_recorder.h"

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "fakes.h"

using namespace rollback;
using namespace rollback::runtime;
using namespace rollback::runtime::fakes;
using nlohmann::json;

namespace {

struct Recorded : Bench {
  std::shared_ptr<FakeClient> client = std::make_shared<FakeClient>(clock);
  std::map<std::string, json> events;  // what the server has, by name
  std::optional<Error> fault;
  std::unique_ptr<EventRecorder> recorder;

  explicit Recorded(std::size_t capacity = 1000) {
    client->onSend = [this](const kube::Request& request) { return handle(request); };
    EventRecorderOptions options;
    options.controller = "rollback.pa-ecosystem.io/operator";
    options.instance = "operator-0";
    options.capacity = capacity;
    recorder = std::make_unique<EventRecorder>(options, client, timing(), metrics);
  }

  Result<std::string> handle(const kube::Request& request) {
    if (fault) return *fault;
    const json body = json::parse(request.body);
    if (request.verb == kube::Verb::Create) {
      const std::string name = body["metadata"]["name"];
      if (!events.emplace(name, body).second) return Error{ErrorCode::AlreadyExists, "exists", 409};
      return request.body;
    }
    const auto found = events.find(request.name);
    if (found == events.end()) return Error{ErrorCode::NotFound, "gone", 404};
    found->second.merge_patch(body);
    return found->second.dump();
  }

  Event event(const std::string& reason, const std::string& name = "n8n-1") {
    Event made;
    made.regarding = {"rollback.pa-ecosystem.io/v1alpha1", "FrameworkRollback", "demo", name, "uid-" + name, "7"};
    made.reason = reason;
    made.action = "Rollback";
    made.note = "note of " + reason;
    return made;
  }
  MonoTime step() { return recorder->step(stop); }
  void record(const std::string& reason) { recorder->record(event(reason)); }
  std::size_t sent() { return client->requests().size(); }
  json only() {
    REQUIRE(events.size() == 1);
    return events.begin()->second;
  }
  std::string dropped() { return metric("events_dropped_total"); }
};

const Error kUnavailable{ErrorCode::Unavailable, "down"};

}  // namespace

TEST_CASE("events: given one, when sent, then it is what events.k8s.io asks for") {
  Recorded r;
  r.record("BackupVerified");
  CHECK(r.sent() == 0);  // recording sends nothing
  r.step();
  const json event = r.only();
  CHECK(r.client->requests().back().resource.apiVersion() == "events.k8s.io/v1");
  CHECK(r.client->requests().back().namespace_ == "demo");
  CHECK(r.events.begin()->first == "n8n-1.18eadbea1c0ce000");
  CHECK(event["metadata"]["namespace"] == "demo");
  CHECK(event["eventTime"] == "2026-11-24T03:00:00.000000Z");
  CHECK(event["reportingController"] == "rollback.pa-ecosystem.io/operator");
  CHECK(event["reportingInstance"] == "operator-0");
  CHECK(event["regarding"] == json({{"apiVersion", "rollback.pa-ecosystem.io/v1alpha1"},
                                    {"kind", "FrameworkRollback"},
                                    {"namespace", "demo"},
                                    {"name", "n8n-1"},
                                    {"uid", "uid-n8n-1"},
                                    {"resourceVersion", "7"}}));
  CHECK(event["type"] == "Normal");
  CHECK(event["reason"] == "BackupVerified");
  CHECK(event["action"] == "Rollback");
  CHECK(event["note"] == "note of BackupVerified");
  CHECK_FALSE(event.contains("series"));
}

TEST_CASE("events: given a cluster-scoped object, then its events are in namespace default") {
  Recorded r;
  Event event = r.event("Loaded");
  event.regarding.namespace_.clear();
  r.recorder->record(event);
  r.step();
  CHECK(r.client->requests().back().namespace_ == "default");
  CHECK_FALSE(r.only()["regarding"].contains("namespace"));
}

TEST_CASE("events: given a long note and a long name, then they are cut where the API server would refuse them") {
  Recorded r;
  Event event = r.event("Long", std::string(253, 'n'));
  event.note = std::string(1023, 'x') + "\xc3\xa4" + "tail";  // a character across the limit
  r.recorder->record(event);
  r.step();
  CHECK(r.only()["note"] == std::string(1023, 'x'));
  CHECK(r.events.begin()->first.size() == 253);
}

TEST_CASE("events: given different events of one instant, then each has a name of its own") {
  Recorded r;
  for (int i = 0; i < 50; ++i) r.record("Reason" + std::to_string(i));
  r.step();
  CHECK(r.events.size() == 50);
}

TEST_CASE("event series: given the same event again and again, then one create, one patch, and then only counting") {
  Recorded r;
  r.record("Waiting");
  r.step();
  r.clock.advance(Millis(1000));
  r.record("Waiting");
  r.step();
  CHECK(r.sent() == 2);
  CHECK(r.only()["series"] == json({{"count", 2}, {"lastObservedTime", "2026-11-24T03:00:01.000000Z"}}));
  for (int i = 0; i < 100; ++i) {
    r.clock.advance(Millis(10000));
    r.record("Waiting");
    r.step();
  }
  CHECK(r.sent() == 2);
  CHECK(r.events.size() == 1);

  SECTION("after half an hour the count is sent") {
    for (int i = 0; i < 90; ++i) {
      r.clock.advance(Millis(10000));
      r.record("Waiting");
      r.step();
    }
    CHECK(r.sent() == 3);
    CHECK(r.only()["series"]["count"] >= 180);
  }
  SECTION("after six quiet minutes it is sent and the series is over") {
    r.clock.advance(Millis(6 * 60000));
    CHECK(r.step() == MonoTime::max());
    CHECK(r.sent() == 3);
    CHECK(r.only()["series"]["count"] == 102);
    r.record("Waiting");
    r.step();
    CHECK(r.events.size() == 2);
  }
}

TEST_CASE("event series: given two recorded before the first was sent, then both are on the server after one step") {
  Recorded r;
  r.record("Waiting");
  r.record("Waiting");
  r.step();
  CHECK(r.only()["series"]["count"] == 2);
}

TEST_CASE("event series: given an event the server forgot, when it goes on, then it is made again with its count") {
  Recorded r;
  r.record("Waiting");
  r.step();
  r.events.clear();  // their life is an hour
  r.clock.advance(Millis(60000));
  r.record("Waiting");
  r.step();
  CHECK(r.only()["series"]["count"] == 2);
  CHECK(r.only()["eventTime"] == "2026-11-24T03:01:00.000000Z");
}

TEST_CASE(
    "events: given a server in trouble, then all wait ten seconds, nobody hammers, and nothing is lost or doubled") {
  Recorded r;
  r.fault = kUnavailable;
  r.record("One");
  r.record("Two");
  CHECK(r.step() == r.clock.now() + Millis(10000));
  CHECK(r.sent() == 1);
  r.record("Three");
  r.step();
  CHECK(r.sent() == 1);
  r.fault.reset();
  r.clock.advance(Millis(10000));
  r.step();
  CHECK(r.events.size() == 3);
  CHECK(r.dropped() == "0");
}

TEST_CASE("events: given a lost answer to a create, then the second try finds it there") {
  Recorded r;
  bool once = true;
  r.client->onSend = [&](const kube::Request& request) -> Result<std::string> {
    Result<std::string> answer = r.handle(request);
    if (std::exchange(once, false)) return Error{ErrorCode::Timeout, "lost"};
    return answer;
  };
  r.record("One");
  r.step();
  r.clock.advance(Millis(10000));
  r.step();
  CHECK(r.events.size() == 1);
  CHECK(r.dropped() == "0");
}

TEST_CASE("events: given a server that stays away, then after twelve tries the event is dropped and counted") {
  Recorded r;
  r.fault = kUnavailable;
  r.record("One");
  for (int i = 0; i < 20; ++i) {
    r.step();
    r.clock.advance(Millis(10000));
  }
  CHECK(r.sent() == 12);
  CHECK(r.dropped() == "1");
}

TEST_CASE("events: given a refusal, then it is dropped at once and the others are sent") {
  Recorded r;
  r.client->onSend = [&](const kube::Request& request) -> Result<std::string> {
    if (request.body.find("\"Bad\"") != std::string::npos) return Error{ErrorCode::Invalid, "no", 422};
    return r.handle(request);
  };
  r.record("Bad");
  r.record("Good");
  r.step();
  CHECK(r.only()["reason"] == "Good");
  CHECK(r.dropped() == "1");
  CHECK(r.step() > r.clock.now());
}

TEST_CASE("events: given more than the queue holds, then recording drops them, counts them, and does not block") {
  Recorded r(10);
  for (int i = 0; i < 15; ++i) r.record("Reason" + std::to_string(i));
  CHECK(r.dropped() == "5");
  r.step();
  CHECK(r.events.size() == 10);
  r.record("One more series");
  r.step();
  CHECK(r.dropped() == "6");  // series are remembered, up to the same number
}

TEST_CASE("events: given a stop, when the recorder ends, then what is unsent is sent, once, within its time") {
  Recorded r;
  const bool down = GENERATE(false, true);
  if (down) r.fault = kUnavailable;
  r.record("Last words");
  r.stop.cancel();
  std::thread thread([&] { CHECK(r.recorder->run(r.stop).ok()); });
  thread.join();
  CHECK(r.events.size() == (down ? 0 : 1));
  CHECK(r.sent() == 1);
  CHECK(r.client->deadlines().back().at <= r.clock.now() + Millis(1500));
}

TEST_CASE("events: given many threads that record, when the recorder runs, then every one arrives in its series") {
  Recorded r;
  std::thread runner([&] { r.recorder->run(r.stop).ok(); });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&r, t] {
      for (int i = 0; i < 100; ++i) r.recorder->record(r.event("Reason" + std::to_string(t)));
    });
  }
  for (std::thread& each : threads) each.join();
  r.stop.cancel();
  runner.join();
  int total = 0;
  for (const auto& [name, event] : r.events)
    total += event.contains("series") ? event["series"]["count"].get<int>() : 1;
  CHECK(r.events.size() == 4);
  CHECK(total == 400);
}
