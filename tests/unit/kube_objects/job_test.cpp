// Jobs and ConfigMaps.
#include <catch2/catch.hpp>

#include "kube/objects/workloads.h"

namespace rollback::kube {
namespace {

TEST_CASE("given a suspended Job, when it is decoded, then it has not ended") {
  const auto job = decodeJob(R"({"kind":"Job","metadata":{"name":"frb-1","uid":"u"},"spec":{"suspend":true},"status":{
      "conditions":[{"type":"Suspended","status":"True"}]}})");
  REQUIRE(job.ok());
  CHECK(job->suspended);
  CHECK_FALSE(job->ended());
}

TEST_CASE("given a Job's conditions, when it is decoded, then only true ones end it") {
  struct Row {
    const char* conditions;
    bool complete, failed;
  };
  for (const Row& row :
       {Row{R"([])", false, false}, Row{R"([{"type":"Complete","status":"True"}])", true, false},
        Row{R"([{"type":"Complete","status":"False"}])", false, false},
        Row{R"([{"type":"FailureTarget","status":"True","reason":"BackoffLimitExceeded"}])", false, false},
        Row{R"([{"type":"SuccessCriteriaMet","status":"True"}])", false, false},
        Row{R"([{"type":"Failed","status":"True","reason":"DeadlineExceeded","message":"m"}])", false, true}}) {
    INFO(row.conditions);
    const auto job =
        decodeJob(std::string(R"({"metadata":{"name":"j"},"status":{"conditions":)") + row.conditions + "}}");
    REQUIRE(job.ok());
    CHECK(job->complete == row.complete);
    CHECK(job->failedCondition == row.failed);
    CHECK(job->ended() == (row.complete || row.failed));
    CHECK(job->failedReason == (row.failed ? "DeadlineExceeded" : ""));
    CHECK(job->failedMessage == (row.failed ? "m" : ""));
  }
}

TEST_CASE("given a Job's counters, when it is decoded, then each has its place") {
  const auto job =
      decodeJob(R"({"metadata":{"name":"j"},"status":{"active":1,"succeeded":2,"failed":3,"terminating":4}})");
  REQUIRE(job.ok());
  CHECK(job->active == 1);
  CHECK(job->succeeded == 2);
  CHECK(job->failed == 3);
  CHECK(job->terminating == 4);
  CHECK_FALSE(job->suspended);
}

TEST_CASE("given a ConfigMap, when it is decoded, then data and immutability are there and binaryData is not") {
  const auto map = decodeConfigMap(
      R"({"kind":"ConfigMap","metadata":{"name":"ledger"},"immutable":true,"data":{"a":"1\n2","b":""},"binaryData":{"c":"AA=="}})");
  REQUIRE(map.ok());
  CHECK(map->immutable);
  CHECK(map->data == std::map<std::string, std::string>{{"a", "1\n2"}, {"b", ""}});
  const auto empty = decodeConfigMap(R"({"metadata":{"name":"x"}})");
  REQUIRE(empty.ok());
  CHECK(empty->data.empty());
  CHECK_FALSE(empty->immutable);
  CHECK_FALSE(decodeConfigMap(R"({"kind":"Secret","metadata":{"name":"x"}})").ok());
}

}  // namespace
}  // namespace rollback::kube
