#include <nlohmann/json.hpp>

#include "decode.h"
#include "kube/objects/workloads.h"

namespace rollback::kube {

namespace {

using decode::Fields;

Container readContainer(const Fields& from) {
  Container container;
  container.name = from.string("name");
  container.image = from.string("image");
  from.each("env", [&](const Fields& env) {
    const std::string source = env.raw("valueFrom");
    container.env.push_back({env.string("name"), source.empty(), source});
  });
  return container;
}

void readPodTemplate(const Fields& pod, Workload& workload) {
  pod.each("containers", [&](const Fields& each) { workload.containers.push_back(readContainer(each)); });
  pod.each("initContainers", [&](const Fields& each) { workload.initContainers.push_back(readContainer(each)); });
  pod.each("imagePullSecrets", [&](const Fields& each) { workload.imagePullSecrets.push_back(each.string("name")); });
  workload.serviceAccountName = pod.string("serviceAccountName");
  workload.nodeSelector = pod.stringMap("nodeSelector");
  pod.each("volumes", [&](const Fields& volume) {
    const std::string claim = volume.object("persistentVolumeClaim").string("claimName");
    if (!claim.empty()) workload.claimNames.push_back(claim);
  });
}

// Items of a typed list carry no kind. The server defaults updateStrategy on every StatefulSet; no Deployment can have
// it.
std::string kindOf(const Fields& object) {
  const std::string kind = object.string("kind");
  if (!kind.empty()) return kind;
  return object.object("spec").has("updateStrategy") ? "StatefulSet" : "Deployment";
}

}  // namespace

const Container* Workload::container(const std::string& name) const {
  for (const Container& each : containers) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

bool Workload::rolledOut() const {
  return observedGeneration >= meta.generation && statusReplicas == replicas && updatedReplicas == replicas &&
         readyReplicas == replicas;
}

Result<Workload> decodeWorkload(std::string_view text) {
  const auto document = decode::parse(text, "workload");
  if (!document) return document.error();
  std::string fault;
  const Fields object(*document, fault);
  const Fields spec = object.object("spec"), status = object.object("status");

  Workload workload;
  workload.kind = kindOf(object);
  if (workload.kind != "Deployment" && workload.kind != "StatefulSet") {
    return Error{ErrorCode::Protocol, "reading a Deployment or StatefulSet: the object is a " + workload.kind};
  }
  workload.meta = decode::readMeta(object);
  workload.replicas = spec.count("replicas", 1);
  workload.paused = spec.boolean("paused");
  workload.selector = spec.object("selector").stringMap("matchLabels");
  readPodTemplate(spec.object("template").object("spec"), workload);
  workload.whenScaled = spec.object("persistentVolumeClaimRetentionPolicy").string("whenScaled");
  spec.each("volumeClaimTemplates", [&](const Fields& claim) {
    workload.volumeClaimTemplates.push_back(claim.object("metadata").string("name"));
  });
  workload.observedGeneration = status.integer("observedGeneration");
  workload.statusReplicas = status.count("replicas");
  workload.readyReplicas = status.count("readyReplicas");
  workload.updatedReplicas = status.count("updatedReplicas");
  workload.availableReplicas = status.count("availableReplicas");

  if (auto fine = decode::check(object, fault, workload.kind); !fine) return fine.error();
  return workload;
}

}  // namespace rollback::kube
