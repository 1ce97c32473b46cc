#include "runtime/reflector.h"

#include <catch2/catch.hpp>
#include <thread>

#include "fakes.h"
#include "kube/objects/workloads.h"

using namespace rollback;
using namespace rollback::runtime;
using namespace rollback::runtime::fakes;
using Type = kube::WatchEvent::Type;

namespace {

struct Watched : Bench {
  std::shared_ptr<FakeClient> client = std::make_shared<FakeClient>(clock);
  Store<kube::ConfigMap> store;
  std::mutex mutex;  // guards changes
  std::vector<std::string> changes;
  std::unique_ptr<Reflector<kube::ConfigMap>> reflector;

  Watched() {
    using Ptr = Reflector<kube::ConfigMap>::Ptr;
    reflector = std::make_unique<Reflector<kube::ConfigMap>>(
        WatchOptions{"configmaps", kube::list(kube::resources::kConfigMaps, "demo", "app=shop")}, client, timing(),
        store, [](std::string_view json) { return shared(kube::decodeConfigMap(json)); },
        [this](const std::string& key, const Ptr& before, const Ptr& after) {
          const std::lock_guard<std::mutex> hold(mutex);
          changes.push_back((before ? (after ? "~" : "-") : "+") + key);
        },
        metrics);
  }
  Millis step() { return reflector->step(stop); }
  std::vector<std::string> taken() {
    const std::lock_guard<std::mutex> hold(mutex);
    return std::exchange(changes, {});
  }
  kube::Request last() { return client->requests().back(); }
};

std::string bookmark(const std::string& version) {
  return R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":")" + version + R"("}})";
}

// An object whose data no decoder of ours accepts, with metadata that can be read.
std::string strange(const std::string& name, const std::string& version) {
  return R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"namespace":"demo","name":")" + name +
         R"(","resourceVersion":")" + version + R"("},"data":7})";
}

const Error kExpired{ErrorCode::Expired, "too old resource version", 410, "Expired"};

}  // namespace

TEST_CASE("reflector: given a list and events, when stepped, then the store follows and every change is told once") {
  Watched w;
  w.client->lists = {{{configMap("a", "1"), configMap("b", "2")}, "10"}};
  w.client->watches = {{{{Type::Added, configMap("c", "11")},
                         {Type::Modified, configMap("a", "12", "x")},
                         {Type::Deleted, configMap("b", "13")}}}};
  CHECK_FALSE(w.reflector->hasSynced());
  CHECK(w.step() == Millis(0));
  CHECK(w.reflector->hasSynced());
  CHECK(w.taken() == std::vector<std::string>{"+demo/a", "+demo/b"});
  CHECK(w.step() == Millis(0));
  CHECK(w.taken() == std::vector<std::string>{"+demo/c", "~demo/a", "-demo/b"});
  CHECK(w.store.size() == 2);
  CHECK(w.store.get("demo/a")->data.at("value") == "x");
  CHECK(w.store.seenVersion() == "13");
  CHECK(w.metric(R"(reflector_store_objects{resource="configmaps"})") == "2");
  CHECK(w.metric(R"(reflector_watch_events_total{resource="configmaps",type="DELETED"})") == "1");
}

TEST_CASE("reflector: given a list, when it watches, then it asks for bookmarks, from there, for five to ten minutes") {
  Watched w;
  w.client->lists = {{{}, "10"}};
  w.client->watches = {WatchAnswer{}, WatchAnswer{}};
  w.step();
  CHECK(w.last().verb == kube::Verb::List);
  CHECK(queryOf(w.last(), "resourceVersion").empty());  // a consistent read
  w.random = 0;
  w.step();
  CHECK(w.last().verb == kube::Verb::Watch);
  CHECK(queryOf(w.last(), "resourceVersion") == "10");
  CHECK(queryOf(w.last(), "allowWatchBookmarks") == "true");
  CHECK(queryOf(w.last(), "labelSelector") == "app=shop");
  CHECK(queryOf(w.last(), "timeoutSeconds") == "300");
  CHECK(w.client->idles().back() == Millis(70000));
  w.random = 0.999999;
  w.step();
  CHECK(queryOf(w.last(), "timeoutSeconds") == "599");
  CHECK(w.client->idles().back() > Millis(89000));
  CHECK(w.client->idles().back() <= Millis(90000));
}

TEST_CASE("reflector: given bookmarks and events, when the watch ends, then the next begins at the last of either") {
  Watched w;
  w.client->lists = {{{}, "10"}};
  w.client->watches = {{{{Type::Added, configMap("a", "11")}, {Type::Bookmark, bookmark("20")}}},
                       {{{Type::Modified, configMap("a", "25")}}},
                       {}};
  w.step();
  w.step();
  w.step();
  CHECK(queryOf(w.last(), "resourceVersion") == "20");
  w.step();
  CHECK(queryOf(w.last(), "resourceVersion") == "25");
  CHECK(w.client->count(kube::Verb::List) == 1);
}

TEST_CASE("reflector: given an expired version, when it lists again, then what vanished meanwhile is deleted once") {
  Watched w;
  w.client->lists = {{{configMap("a", "1"), configMap("b", "2")}, "10"},
                     {{configMap("a", "1"), configMap("c", "15")}, "20"}};
  w.client->watches = {{{}, kExpired}, {}};
  w.step();
  w.taken();
  CHECK(w.step() == Millis(1200));  // 800 ms and half as much again
  CHECK(w.step() == Millis(0));
  CHECK(w.taken() == std::vector<std::string>{"+demo/c", "-demo/b"});
  CHECK(w.store.get("demo/b") == nullptr);
  w.step();
  CHECK(queryOf(w.last(), "resourceVersion") == "20");
  CHECK(w.taken().empty());
  CHECK(w.metric(R"(reflector_lists_total{reason="expired",resource="configmaps"})") == "1");
}

TEST_CASE(
    "reflector: given a namesake made while nobody watched, when listed again, then it is one change of two uids") {
  Watched w;
  w.client->lists = {{{configMap("a", "1", "", "old")}, "10"}, {{configMap("a", "15", "", "new")}, "20"}};
  w.client->watches = {{{}, kExpired}};
  w.step();
  w.taken();
  w.step();
  w.step();
  CHECK(w.taken() == std::vector<std::string>{"~demo/a"});
  CHECK(w.store.get("demo/a")->meta.uid == "new");
}

TEST_CASE("reflector: given a server in need, when watches fail, then they are resumed and nothing is listed") {
  const auto code =
      GENERATE(ErrorCode::TooManyRequests, ErrorCode::Unavailable, ErrorCode::ConnectionLost, ErrorCode::Timeout);
  Watched w;
  w.client->lists = {{{}, "10"}};
  for (int i = 0; i < 20; ++i) w.client->watches.push_back({{}, Error{code, "trouble"}, Millis(0)});
  w.step();
  for (int i = 0; i < 20; ++i) CHECK(w.step() > Millis(0));
  CHECK(w.client->count(kube::Verb::List) == 1);
  CHECK(queryOf(w.last(), "resourceVersion") == "10");
}

TEST_CASE("reflector: given five watches in a row that fail for no clear reason, then it lists again") {
  Watched w;
  w.client->lists = {{{}, "10"}, {{}, "20"}};
  for (int i = 0; i < 5; ++i)
    w.client->watches.push_back({{}, Error{ErrorCode::Unavailable, "internal error", 500}, Millis(0)});
  w.step();
  for (int i = 0; i < 5; ++i) w.step();
  CHECK(w.client->count(kube::Verb::List) == 1);
  w.step();
  CHECK(w.client->count(kube::Verb::List) == 2);
}

TEST_CASE(
    "reflector: given failures in a row, then the wait doubles to 30 s, and starts again after two quiet minutes") {
  Watched w;
  w.random = 0;
  std::vector<Millis> waits;
  for (int i = 0; i < 8; ++i) waits.push_back(w.step());  // no script: lists fail
  CHECK(waits == std::vector<Millis>{Millis(800), Millis(1600), Millis(3200), Millis(6400), Millis(12800),
                                     Millis(25600), Millis(30000), Millis(30000)});
  w.clock.advance(Millis(120001));
  CHECK(w.step() == Millis(800));
  w.random = 0.999;
  CHECK(w.step() > Millis(3000));  // jitter: up to as much again
  CHECK_FALSE(w.reflector->hasSynced());
}

TEST_CASE("reflector: given a Retry-After longer than the back-off, then it is honoured") {
  Watched w;
  w.client->lists = {{{}, "", Error{ErrorCode::TooManyRequests, "slow down", 429, "", std::chrono::seconds(7)}}};
  CHECK(w.step() == Millis(7000));
}

TEST_CASE(
    "reflector: given an item that cannot be decoded, then the others arrive and its last readable version stays") {
  Watched w;
  w.client->lists = {{{configMap("a", "1"), configMap("b", "2")}, "10"},
                     {{strange("a", "12"), configMap("c", "13")}, "20"}};
  w.client->watches = {
      {{}, kExpired}, {{{Type::Modified, strange("c", "21")}, {Type::Added, configMap("d", "22")}}}, {}};
  w.step();
  w.step();
  w.taken();
  w.step();
  CHECK(w.taken() == std::vector<std::string>{"+demo/c", "-demo/b"});
  CHECK(w.store.get("demo/a")->meta.resourceVersion == "1");
  w.step();
  CHECK(w.taken() == std::vector<std::string>{"+demo/d"});
  w.step();
  CHECK(queryOf(w.last(), "resourceVersion") == "22");
  CHECK(w.metric(R"(reflector_decode_errors_total{resource="configmaps"})") == "2");
}

TEST_CASE("reflector: given a list item without readable metadata, then nothing is concluded from any absence") {
  Watched w;
  w.client->lists = {{{configMap("a", "1")}, "10"}, {{R"({"kind":"ConfigMap"})"}, "20"}};
  w.client->watches = {{{}, kExpired}};
  w.step();
  w.taken();
  w.step();
  w.step();
  CHECK(w.taken().empty());
  CHECK(w.store.get("demo/a") != nullptr);
}

TEST_CASE(
    "reflector: given an event without readable metadata, then it lists, for only a list can tell what was lost") {
  Watched w;
  w.client->lists = {{{}, "10"}, {{configMap("a", "15")}, "20"}};
  w.client->watches = {{{{Type::Deleted, R"({"kind":"ConfigMap"})"}}}};
  w.step();
  CHECK(w.step() > Millis(0));
  w.step();
  CHECK(w.taken() == std::vector<std::string>{"+demo/a"});
  CHECK(w.metric(R"(reflector_lists_total{reason="unreadable",resource="configmaps"})") == "1");
}

TEST_CASE(
    "reflector: given a server without bookmarks, when a stream was silent, then silence may last as long as the "
    "watch") {
  Watched w;
  const Error silence{ErrorCode::Timeout, "nothing came"};
  w.client->lists = {{{}, "10"}};
  w.client->watches = {{{}, silence, Millis(80000)}, {{{Type::Bookmark, bookmark("30")}}, {}, Millis(60000)}, {}};
  w.step();
  CHECK(w.step() == Millis(0));  // no failure
  w.step();
  CHECK(w.client->idles().back() == Millis(455000));
  w.step();
  CHECK(w.client->idles().back() == Millis(80000));  // it sends them after all
}

TEST_CASE(
    "reflector: given a watch that ends at once without an event, then that is a failure, one with events is not") {
  Watched w;
  w.client->lists = {{{}, "10"}};
  w.client->watches = {
      {{}, {}, Millis(10)}, {{{Type::Added, configMap("a", "11")}}, {}, Millis(10)}, {{}, {}, Millis(2000)}};
  w.step();
  CHECK(w.step() > Millis(0));
  CHECK(w.step() == Millis(0));
  CHECK(w.step() == Millis(0));
}

TEST_CASE("reflector: given an answer to an own write, when its event comes, then it is not delivered again") {
  Watched w;
  w.client->lists = {{{configMap("a", "1")}, "10"}};
  w.client->watches = {
      {{{Type::Modified, configMap("a", "11", "mine")}, {Type::Modified, configMap("a", "12", "theirs")}}}};
  w.step();
  w.taken();
  w.store.offer(*shared(kube::decodeConfigMap(configMap("a", "11", "mine"))));
  w.step();
  CHECK(w.taken() == std::vector<std::string>{"~demo/a"});
  CHECK(w.store.get("demo/a")->data.at("value") == "theirs");
}

TEST_CASE("reflector: given a running one, when stopped during a watch or a back-off, then its thread ends") {
  Watched w;
  const bool watching = GENERATE(true, false);
  if (watching) w.client->lists = {{{configMap("a", "1")}, "10"}};
  std::thread thread([&] { CHECK(w.reflector->run(w.stop).ok()); });
  REQUIRE(eventually([&] { return w.client->count(watching ? kube::Verb::Watch : kube::Verb::List) > 0; }));
  CHECK(w.reflector->hasSynced() == watching);
  w.stop.cancel();
  thread.join();
}
