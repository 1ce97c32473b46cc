#include "runtime/store.h"

#include <catch2/catch.hpp>

#include "kube/objects/workloads.h"
#include "runtime/object_key.h"

using namespace rollback;
using namespace rollback::runtime;

namespace {

std::shared_ptr<const kube::Pod> pod(const std::string& name, const std::string& version,
                                     const std::string& app = "shop", const std::string& namespace_ = "demo") {
  auto made = std::make_shared<kube::Pod>();
  made->meta.namespace_ = namespace_;
  made->meta.name = name;
  made->meta.resourceVersion = version;
  made->meta.labels["app"] = app;
  return made;
}

Store<kube::Pod> byApp() {
  return Store<kube::Pod>(
      {{"app", [](const kube::Pod& each) { return std::vector<std::string>{each.meta.labels.at("app")}; }}});
}

}  // namespace

TEST_CASE("object keys: given namespaced and cluster-scoped objects, then they read as kubectl users write them") {
  CHECK(objectKey("demo", "shop") == "demo/shop");
  CHECK(objectKey("", "n8n") == "n8n");
  CHECK(splitObjectKey("demo/shop") == std::pair<std::string, std::string>("demo", "shop"));
  CHECK(splitObjectKey("n8n") == std::pair<std::string, std::string>("", "n8n"));
}

TEST_CASE("versions: given decimals of any length, then their order is that of numbers") {
  CHECK(olderVersion("9", "10"));
  CHECK_FALSE(olderVersion("10", "9"));
  CHECK_FALSE(olderVersion("10", "10"));
  CHECK(olderVersion("18446744073709551615", "18446744073709551616"));
  CHECK(olderVersion("", "1"));
  CHECK(olderVersion("007", "1"));  // malformed
  CHECK_FALSE(olderVersion("1", "abc"));
  CHECK_FALSE(olderVersion("a", "b"));
}

TEST_CASE("store: given objects of two namespaces, when listed, then only what was asked for comes, in order") {
  Store<kube::Pod> store;
  store.put(pod("b", "1"));
  store.put(pod("a", "2"));
  store.put(pod("a", "3", "shop", "demo2"));
  CHECK(store.size() == 3);
  const auto demo = store.list("demo");
  REQUIRE(demo.size() == 2);
  CHECK(demo[0]->meta.name == "a");
  CHECK(demo[1]->meta.name == "b");
  CHECK(store.list().size() == 3);
  CHECK(store.get("demo2", "a")->meta.resourceVersion == "3");
  CHECK(store.get("demo", "c") == nullptr);
}

TEST_CASE(
    "store index: given an object that changes its value, when it is replaced and removed, then the index follows") {
  auto store = byApp();
  store.put(pod("a", "1", "shop"));
  store.put(pod("b", "2", "shop"));
  CHECK(store.byIndex("app", "shop").size() == 2);
  store.put(pod("a", "3", "blog"));
  CHECK(store.byIndex("app", "shop").size() == 1);
  CHECK(store.byIndex("app", "blog").at(0)->meta.name == "a");
  store.remove("demo/a", "4");
  CHECK(store.byIndex("app", "blog").empty());
  CHECK(store.byIndex("owner", "x").empty());
}

TEST_CASE("store: given a reader's snapshot, when the object is replaced, then the snapshot stays as it was") {
  Store<kube::Pod> store;
  store.put(pod("a", "1", "shop"));
  const auto before = store.get("demo/a");
  store.put(pod("a", "2", "blog"));
  CHECK(before->meta.labels.at("app") == "shop");
  CHECK(store.get("demo/a")->meta.labels.at("app") == "blog");
}

TEST_CASE("store sweep: given a list without an object, when the list ends, then exactly that object is gone, once") {
  Store<kube::Pod> store;
  store.beginEpoch();
  store.put(pod("a", "1"));
  store.put(pod("b", "2"));
  store.put(pod("c", "3"));
  CHECK(store.sweep("3").empty());
  store.beginEpoch();
  store.put(pod("a", "1"));
  store.touch("demo/c");
  const auto gone = store.sweep("5");
  REQUIRE(gone.size() == 1);
  CHECK(gone[0].first == "demo/b");
  CHECK(gone[0].second->meta.resourceVersion == "2");
  CHECK(store.sweep("5").empty());
  CHECK(store.size() == 2);
}

TEST_CASE(
    "store: given versions that went back because etcd was restored, when listed again, then the server is right") {
  Store<kube::Pod> store;
  store.beginEpoch();
  store.put(pod("a", "900"));
  store.sweep("900");
  store.sawVersion("900");
  store.beginEpoch();
  CHECK(store.put(pod("a", "12")).changed);
  store.sweep("20");
  store.sawVersion("20");
  CHECK(store.get("demo/a")->meta.resourceVersion == "12");
  CHECK(store.seenVersion() == "20");
}

TEST_CASE("store offer: given the answer of an own write, then it is read at once and its echo changes nothing") {
  Store<kube::Pod> store;
  store.put(pod("a", "5"));
  store.sawVersion("5");
  store.offer(pod("a", "8", "mine"));
  CHECK(store.get("demo/a")->meta.labels.at("app") == "mine");

  SECTION("an older event of the watch does not take it back") {
    const auto change = store.put(pod("a", "7", "theirs"));
    CHECK_FALSE(change.changed);
    CHECK(store.get("demo/a")->meta.labels.at("app") == "mine");
  }
  SECTION("its own event is no change, a later one is") {
    CHECK_FALSE(store.put(pod("a", "8", "mine")).changed);
    CHECK(store.put(pod("a", "9", "theirs")).changed);
  }
  SECTION("a list from before it does not sweep it, one from after does") {
    store.beginEpoch();
    CHECK(store.sweep("7").empty());
    store.beginEpoch();
    CHECK(store.sweep("8").size() == 1);
  }
  SECTION("a deletion from before it is not its deletion") {
    CHECK(store.remove("demo/a", "7") == nullptr);
    CHECK(store.remove("demo/a", "9") != nullptr);
  }
}

TEST_CASE("store offer: given a watch that has come further already, then the offer is ignored") {
  Store<kube::Pod> store;
  store.offer(pod("early", "3"));
  CHECK(store.size() == 0);  // nothing listed yet
  store.sawVersion("10");
  store.offer(pod("ghost", "9"));  // created and deleted again before we came here
  CHECK(store.get("demo/ghost") == nullptr);
}
