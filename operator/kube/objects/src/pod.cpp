#include <nlohmann/json.hpp>

#include "decode.h"
#include "kube/objects/workloads.h"

namespace rollback::kube {

namespace {

using decode::Fields;

ContainerStatus readStatus(const Fields& from) {
  ContainerStatus status;
  status.name = from.string("name");
  status.image = from.string("image");
  status.imageID = from.string("imageID");
  status.ready = from.boolean("ready");
  status.restartCount = from.count("restartCount");
  const Fields waiting = from.object("state").object("waiting");
  status.waitingReason = waiting.string("reason");
  status.waitingMessage = waiting.string("message");
  const Fields terminated = from.object("state").object("terminated");
  status.terminated = !terminated.empty();
  status.exitCode = terminated.count("exitCode");
  status.terminatedReason = terminated.string("reason");
  status.terminationMessage = terminated.string("message");
  status.finishedAt = terminated.string("finishedAt");
  return status;
}

}  // namespace

Result<Pod> decodePod(std::string_view text) {
  const auto document = decode::parse(text, "Pod");
  if (!document) return document.error();
  std::string fault;
  const Fields object(*document, fault);
  const Fields status = object.object("status");

  Pod pod;
  pod.meta = decode::readMeta(object);
  pod.nodeName = object.object("spec").string("nodeName");
  pod.phase = status.string("phase");
  pod.reason = status.string("reason");
  pod.message = status.string("message");
  pod.podIP = status.string("podIP");
  status.each("conditions", [&](const Fields& condition) {
    const std::string type = condition.string("type"), value = condition.string("status");
    if (type == "Ready") {
      pod.ready = value == "True";
      if (pod.ready) pod.readySince = condition.string("lastTransitionTime");
    } else if (type == "PodScheduled" && value == "False") {
      pod.unschedulable = condition.string("message");
      // The scheduler always says why; whoever asks only "is it unschedulable?" must still get an answer without it.
      if (pod.unschedulable.empty()) pod.unschedulable = condition.string("reason");
      if (pod.unschedulable.empty()) pod.unschedulable = "not scheduled";
    }
  });
  status.each("containerStatuses", [&](const Fields& each) { pod.containers.push_back(readStatus(each)); });
  status.each("initContainerStatuses", [&](const Fields& each) { pod.initContainers.push_back(readStatus(each)); });

  if (auto fine = decode::check(object, fault, "Pod"); !fine) return fine.error();
  return pod;
}

}  // namespace rollback::kube
