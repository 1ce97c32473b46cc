// Pods and what their containers report.
#include <catch2/catch.hpp>

#include "kube/objects/workloads.h"

namespace rollback::kube {
namespace {

TEST_CASE("given a running Pod, when it is decoded, then readiness, images and restarts are there") {
  const auto pod = decodePod(R"({"kind":"Pod","metadata":{"name":"shop-0","namespace":"demo","uid":"u"},
    "spec":{"nodeName":"node-1"},
    "status":{"phase":"Running","podIP":"10.1.0.5","conditions":[
        {"type":"PodScheduled","status":"True"},
        {"type":"Ready","status":"True","lastTransitionTime":"2026-11-24T03:00:00Z"}],
      "initContainerStatuses":[{"name":"init","state":{"terminated":{"exitCode":0,"reason":"Completed"}}}],
      "containerStatuses":[{"name":"main","image":"n8n:1","imageID":"docker.io/n8n@sha256:aa","ready":true,"restartCount":2,
                            "state":{"running":{"startedAt":"2026-11-24T02:59:00Z"}}}]}})");
  REQUIRE(pod.ok());
  CHECK(pod->phase == "Running");
  CHECK_FALSE(pod->ended());
  CHECK(pod->ready);
  CHECK(pod->readySince == "2026-11-24T03:00:00Z");
  CHECK(pod->podIP == "10.1.0.5");
  CHECK(pod->nodeName == "node-1");
  CHECK(pod->unschedulable.empty());
  REQUIRE(pod->containers.size() == 1);
  CHECK(pod->containers[0].ready);
  CHECK(pod->containers[0].imageID == "docker.io/n8n@sha256:aa");
  CHECK(pod->containers[0].restartCount == 2);
  CHECK_FALSE(pod->containers[0].terminated);
  REQUIRE(pod->initContainers.size() == 1);
  CHECK(pod->initContainers[0].terminated);
  CHECK(pod->initContainers[0].exitCode == 0);
}

TEST_CASE("given a Pod that ended, when it is decoded, then exit code and termination message are there") {
  const auto pod =
      decodePod(R"({"metadata":{"name":"j"},"status":{"phase":"Failed","reason":"DeadlineExceeded","message":"too long",
    "containerStatuses":[{"name":"mover","state":{"terminated":{"exitCode":3,"reason":"Error",
       "message":"{\"code\":\"NoSpace\"}","finishedAt":"2026-11-24T03:00:09Z"}}}]}})");
  REQUIRE(pod.ok());
  CHECK(pod->ended());
  CHECK(pod->reason == "DeadlineExceeded");
  CHECK(pod->message == "too long");
  REQUIRE(pod->containers.size() == 1);
  const ContainerStatus& mover = pod->containers[0];
  CHECK(mover.terminated);
  CHECK(mover.exitCode == 3);
  CHECK(mover.terminatedReason == "Error");
  CHECK(mover.terminationMessage == R"({"code":"NoSpace"})");
  CHECK(mover.finishedAt == "2026-11-24T03:00:09Z");
}

TEST_CASE("given a Pod that waits, when it is decoded, then it says for what") {
  const auto pod = decodePod(R"({"metadata":{"name":"p"},"status":{"phase":"Pending","conditions":[
      {"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/1 nodes are available"},
      {"type":"Ready","status":"False","lastTransitionTime":"2026-11-24T03:00:00Z"}],
    "containerStatuses":[{"name":"main","state":{"waiting":{"reason":"ImagePullBackOff","message":"no such image"}}}]}})");
  REQUIRE(pod.ok());
  CHECK(pod->unschedulable == "0/1 nodes are available");
  CHECK_FALSE(pod->ready);
  CHECK(pod->readySince.empty());
  CHECK(pod->containers[0].waitingReason == "ImagePullBackOff");
  CHECK(pod->containers[0].waitingMessage == "no such image");
}

TEST_CASE("given an unscheduled Pod without a message, when it is decoded, then it still counts as unschedulable") {
  const auto reasonOnly = decodePod(
      R"({"metadata":{},"status":{"conditions":[{"type":"PodScheduled","status":"False","reason":"SchedulingGated"}]}})");
  REQUIRE(reasonOnly.ok());
  CHECK(reasonOnly->unschedulable == "SchedulingGated");
  const auto bare = decodePod(R"({"metadata":{},"status":{"conditions":[{"type":"PodScheduled","status":"False"}]}})");
  REQUIRE(bare.ok());
  CHECK_FALSE(bare->unschedulable.empty());
}

TEST_CASE("given another kind, when a Pod is decoded, then it is refused") {
  const auto job = decodePod(R"({"kind":"Job","metadata":{"name":"x"}})");
  REQUIRE_FALSE(job.ok());
  CHECK(job.error().code == ErrorCode::Protocol);
  CHECK(job.error().message == "reading a Pod: the object is a Job");
}

}  // namespace
}  // namespace rollback::kube
