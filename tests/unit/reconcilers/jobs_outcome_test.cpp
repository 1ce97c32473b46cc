// What a mover's pod said: outcome, result in the log, progress, and why it does not get on.
#include <catch2/catch.hpp>

#include "api/digest.h"
#include "jobs/outcome.h"

using namespace rollback;
using reconcilers::Outcome;

TEST_CASE("Given a termination message, when decoded, then it is an outcome of ours or an error") {
  const auto good = reconcilers::decodeOutcome(
      R"({"outcome":"Refused","code":"NotEnoughSpace","message":"2 GiB needed","token":"t","result":{"a":1}})");
  REQUIRE(good);
  REQUIRE(good->kind == Outcome::Kind::Refused);
  REQUIRE(good->code == "NotEnoughSpace");
  REQUIRE(good->token == "t");
  REQUIRE(good->result == R"({"a":1})");
  REQUIRE_FALSE(good->resultMissing);
  const auto bad = GENERATE("", "killed", "[]", "{}", R"({"outcome":7})", R"({"outcome":"Perhaps"})");
  INFO(bad);
  REQUIRE_FALSE(reconcilers::decodeOutcome(bad));
}

TEST_CASE("Given a result in the log, when joined, then every piece counts, in order, and the digest must be right") {
  Outcome outcome;
  const std::string whole = "hello, world";
  outcome.resultSize = static_cast<std::int64_t>(whole.size());
  outcome.resultSha256 = api::sha256Hex(whole);
  struct Case {
    const char* log;
    bool good;
  };
  const auto c = GENERATE(Case{"noise\nFRB-RESULT 0 aGVsbG8s\nFRB-RESULT 1 IHdvcmxk\nend\n", true},
                          Case{"FRB-RESULT 1 IHdvcmxk\nFRB-RESULT 0 aGVsbG8s\n", true},
                          Case{"FRB-RESULT 0 aGVsbG8sIHdvcmxk\n", true}, Case{"FRB-RESULT 0 aGVsbG8s\n", false},
                          Case{"", false}, Case{"FRB-RESULT 0 !!!!\n", false}, Case{"FRB-RESULT x aGVsbG8s\n", false},
                          Case{"FRB-RESULT 0 aGVsbG8s\nFRB-RESULT 1 IFdvcmxk\n", false});
  INFO(c.log);
  const auto joined = reconcilers::joinResult(c.log, outcome);
  REQUIRE(joined.ok() == c.good);
  if (c.good) REQUIRE(*joined == whole);
}

TEST_CASE("Given a result announced and not given, when decoded, then it is said to be missing") {
  const auto outcome = reconcilers::decodeOutcome(R"({"outcome":"Succeeded","resultSize":9000,"resultSha256":"x"})");
  REQUIRE(outcome);
  REQUIRE(outcome->resultMissing);
}

TEST_CASE("Given a log with progress, when read, then the last whole line counts") {
  const auto progress = reconcilers::lastProgress(
      "FRB-PROGRESS {\"done\":1,\"total\":9,\"unit\":\"bytes\",\"what\":\"a\"}\nx\nFRB-PROGRESS "
      "{\"done\":5,\"total\":9,\"unit\":\"bytes\",\"what\":\"b\"}\ny");
  REQUIRE(progress);
  REQUIRE(progress->progress.done == 5);
  REQUIRE(progress->progress.total == 9);
  REQUIRE(progress->what == "b");
  const auto quoted =
      reconcilers::lastProgress("FRB-PROGRESS {\"done\":3,\"total\":1e300}\na tool says FRB-PROGRESS {}\n");
  REQUIRE(quoted);
  REQUIRE(quoted->progress.done == 3);
  REQUIRE(quoted->progress.total == 0);  // no number of ours
  REQUIRE_FALSE(reconcilers::lastProgress("nothing"));
  REQUIRE_FALSE(reconcilers::lastProgress("FRB-PROGRESS not json\n"));
  REQUIRE_FALSE(reconcilers::lastProgress("somebody said FRB-PROGRESS {\"done\":1}\n"));
}

TEST_CASE("Given a log that ends with an outcome, when read, then it is the one of the termination message") {
  const std::string said = R"({"outcome":"Succeeded","code":"","message":"","token":"t","result":{"a":1}})";
  const auto outcome = reconcilers::lastOutcome("FRB-PROGRESS {}\nFRB-OUTCOME " + said + "\n");
  REQUIRE(outcome);
  REQUIRE(outcome->token == "t");
  REQUIRE(outcome->result == R"({"a":1})");
  REQUIRE_FALSE(reconcilers::lastOutcome(""));
  REQUIRE_FALSE(reconcilers::lastOutcome("a tool says FRB-OUTCOME " + said + "\n"));
  REQUIRE_FALSE(reconcilers::lastOutcome("FRB-OUTCOME " + said.substr(0, 40)));  // not written to its end yet
}

TEST_CASE("Given a pod that does not get on, when asked why, then the reason is told in words") {
  reconcilers::JobView view;
  kube::Pod pod;
  pod.phase = "Pending";
  pod.containers = {{}};
  pod.containers[0].name = "mover";
  view.pods = {pod};
  REQUIRE(view.trouble().empty());
  view.pods[0].containers[0].waitingReason = "CreateContainerConfigError";
  view.pods[0].containers[0].waitingMessage = "secret \"shop-db\" not found";
  REQUIRE(view.trouble() == "container mover does not start: CreateContainerConfigError: secret \"shop-db\" not found");
  view.pods[0].unschedulable = "0/1 nodes";
  REQUIRE(view.trouble() == "the pod cannot be scheduled: 0/1 nodes");
  view.pods[0].phase = "Failed";
  REQUIRE(view.trouble().empty());
  REQUIRE(view.podsGone());
}
