// metav1: conditions and metadata.
#include "kube/objects/meta.h"

#include <catch2/catch.hpp>

#include "kube/objects/workloads.h"

namespace rollback::kube {
namespace {

Condition condition(const char* type, const char* status, const char* reason, const char* time) {
  return Condition{type, status, reason, "", time, 1};
}

TEST_CASE(
    "given a condition whose status stays, when it is set again, then its transition time stays and the rest moves") {
  std::vector<Condition> conditions{condition("Staged", "True", "A", "t0"), condition("Ready", "False", "A", "t0")};
  Condition next = condition("Ready", "False", "B", "t1");
  next.message = "waiting";
  next.observedGeneration = 2;
  setCondition(conditions, next);
  REQUIRE(conditions.size() == 2);
  const Condition* ready = findCondition(conditions, "Ready");
  REQUIRE(ready != nullptr);
  CHECK(ready->lastTransitionTime == "t0");
  CHECK(ready->reason == "B");
  CHECK(ready->message == "waiting");
  CHECK(ready->observedGeneration == 2);
  CHECK(conditions[0].reason == "A");
}

TEST_CASE("given a condition that flips, when it is set, then its transition time moves") {
  std::vector<Condition> conditions{condition("Ready", "Unknown", "A", "t0")};
  setCondition(conditions, condition("Ready", "True", "B", "t1"));
  CHECK(findCondition(conditions, "Ready")->lastTransitionTime == "t1");
}

TEST_CASE("given a new condition, when it is set, then it is appended; an unknown type is not found") {
  std::vector<Condition> conditions;
  setCondition(conditions, condition("Ready", "True", "A", "t0"));
  REQUIRE(conditions.size() == 1);
  CHECK(conditions[0].lastTransitionTime == "t0");
  CHECK(findCondition(conditions, "Staged") == nullptr);
}

TEST_CASE("given an object of any kind, when its metadata is decoded, then every member arrives") {
  const auto meta = decodeMeta(R"({"apiVersion":"v1","kind":"Thing","metadata":{
      "name":"n","namespace":"ns","uid":"u","resourceVersion":"12","generation":3,
      "creationTimestamp":"2026-11-24T03:00:00Z","deletionTimestamp":"2026-11-24T04:00:00Z",
      "labels":{"app.kubernetes.io/name":"n8n"},"annotations":{"a":"1"},"finalizers":["f/1","f/2"],
      "managedFields":[{"manager":"kubectl","fieldsV1":{"f:data":{}}}],
      "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"rs","uid":"u2","controller":true,
                          "blockOwnerDeletion":true},{"apiVersion":"v1","kind":"Node","name":"x","uid":"u3"}]}})");
  REQUIRE(meta.ok());
  CHECK(meta->name == "n");
  CHECK(meta->namespace_ == "ns");
  CHECK(meta->uid == "u");
  CHECK(meta->resourceVersion == "12");
  CHECK(meta->generation == 3);
  CHECK(meta->creationTimestamp == "2026-11-24T03:00:00Z");
  CHECK(meta->deleting());
  CHECK(meta->labels.at("app.kubernetes.io/name") == "n8n");
  CHECK(meta->annotations.at("a") == "1");
  CHECK(meta->finalizers == std::vector<std::string>{"f/1", "f/2"});
  REQUIRE(meta->ownerReferences.size() == 2);
  CHECK(meta->ownerReferences[0].controller);
  CHECK(meta->ownerReferences[0].blockOwnerDeletion);
  CHECK(meta->ownerReferences[0].apiVersion == "apps/v1");
  CHECK(meta->ownerReferences[1].uid == "u3");
  CHECK_FALSE(meta->ownerReferences[1].controller);
}

TEST_CASE("given something that is no object, when it is decoded, then the error says what is wrong with it") {
  struct Row {
    std::string text;
    const char* says;
  };
  const Row rows[] = {
      {"", "not JSON"},
      {"{\"metadata\":", "not JSON"},
      {"[]", "not an object"},
      {"{}", "no metadata"},
      {R"({"metadata":[]})", "metadata is not an object"},
      {R"({"metadata":{"name":7}})", "metadata.name is not a string"},
      {R"({"metadata":{"generation":"7"}})", "metadata.generation is not a 64-bit integer"},
      {R"({"metadata":{"generation":1.5}})", "metadata.generation is not a 64-bit integer"},
      {R"({"metadata":{"generation":18446744073709551615}})", "metadata.generation is not a 64-bit integer"},
      {R"({"metadata":{"labels":{"a":1}}})", "metadata.labels is not a map of strings"},
      {R"({"metadata":{"labels":[]}})", "metadata.labels is not an object"},
      {R"({"metadata":{"finalizers":[1]}})", "metadata.finalizers is not an array of strings"},
      {R"({"metadata":{"finalizers":"f"}})", "metadata.finalizers is not an array"},
      {R"({"metadata":{"ownerReferences":["x"]}})", "metadata.ownerReferences is not an array of objects"},
      {R"({"metadata":{"ownerReferences":[{"controller":"yes"}]}})",
       "metadata.ownerReferences[0].controller is not a boolean"},
      {R"({"metadata":{"name":"\ud800"}})", "not JSON"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const auto meta = decodeMeta(row.text);
    REQUIRE_FALSE(meta.ok());
    CHECK(meta.error().code == ErrorCode::Protocol);
    CHECK_THAT(meta.error().message, Catch::Matchers::Contains(row.says));
  }
}

TEST_CASE("given members that are null, when the object is decoded, then they are as good as absent") {
  const auto meta = decodeMeta(
      R"({"metadata":{"name":"n","creationTimestamp":null,"labels":null,"finalizers":null,"ownerReferences":null,"generation":null}})");
  REQUIRE(meta.ok());
  CHECK(meta->name == "n");
  CHECK(meta->labels.empty());
  CHECK_FALSE(meta->deleting());
}

TEST_CASE(
    "given JSON nested beyond any object of the API, when it is decoded, then it is refused instead of overflowing the "
    "stack") {
  const std::string deep = R"({"metadata":{},"x":)" + std::string(100000, '[') + std::string(100000, ']') + "}";
  const auto meta = decodeMeta(deep);
  REQUIRE_FALSE(meta.ok());
  CHECK_THAT(meta.error().message, Catch::Matchers::Contains("nests deeper than 128"));
  const std::string allowed = R"({"metadata":{"name":"n"},"x":)" + std::string(120, '[') + std::string(120, ']') + "}";
  CHECK(decodeMeta(allowed).ok());
}

}  // namespace
}  // namespace rollback::kube
