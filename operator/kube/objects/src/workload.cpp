#include <nlohmann/json.hpp>
#include <string_view>

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
    if (!volume.object("ephemeral").empty()) workload.ephemeralVolumes.push_back(volume.string("name"));
  });
}

constexpr std::size_t kMostOwners = 32;

// One entry of metadata.managedFields, as far as it concerns what a rollback writes. fieldsV1 names a field "f:name"
// and an element of a list by its keys: k:{"name":"app"}.
void readOwner(const Fields& entry, Workload& workload) {
  if (entry.string("subresource") == "status" || workload.fieldOwners.size() >= kMostOwners) return;
  FieldOwner owner;
  owner.manager = entry.string("manager");
  owner.subresource = entry.string("subresource");
  const Fields spec = entry.object("fieldsV1").object("f:spec");
  owner.replicas = spec.has("f:replicas") || spec.has("f:suspend");
  const Fields job = spec.object("f:jobTemplate").object("f:spec");
  (spec.has("f:template") ? spec : job)
      .object("f:template")
      .object("f:spec")
      .object("f:containers")
      .members([&](const std::string& key, const Fields& each) {
        constexpr std::string_view prefix = R"(k:{"name":")", suffix = R"("})";
        if (!each.has("f:image") || key.size() <= prefix.size() + suffix.size() ||
            key.compare(0, prefix.size(), prefix) != 0)
          return;
        owner.images.push_back(key.substr(prefix.size(), key.size() - prefix.size() - suffix.size()));
      });
  if (owner.replicas || !owner.images.empty()) workload.fieldOwners.push_back(std::move(owner));
}

// Items of a typed list carry no kind. The server defaults updateStrategy on every StatefulSet; no Deployment can have
// it.
std::string kindOf(const Fields& object) {
  const std::string kind = object.string("kind");
  if (!kind.empty()) return kind;
  const Fields spec = object.object("spec");
  if (spec.has("jobTemplate")) return "CronJob";
  return spec.has("updateStrategy") ? "StatefulSet" : "Deployment";
}

}  // namespace

const Container* Workload::container(const std::string& name) const {
  for (const Container& each : containers) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

bool Workload::rolledOut() const {
  if (isCronJob()) return true;
  return observedGeneration >= meta.generation && statusReplicas == replicas && updatedReplicas == replicas &&
         readyReplicas == replicas;
}

Result<Workload> decodeWorkload(std::string_view text) {
  const auto document = decode::parse(text, "workload", decode::ManagedFields::Keep);
  if (!document) return document.error();
  std::string fault;
  const Fields object(*document, fault);
  const Fields spec = object.object("spec"), status = object.object("status");

  Workload workload;
  workload.kind = kindOf(object);
  const bool cron = workload.isCronJob();
  if (!cron && workload.kind != "Deployment" && workload.kind != "StatefulSet") {
    return Error{ErrorCode::Protocol, "reading a Deployment, StatefulSet or CronJob: the object is a " + workload.kind};
  }
  workload.meta = decode::readMeta(object);
  std::string unread;  // who else writes is said where it can be read; nothing is decided from it alone
  Fields(*document, unread).object("metadata").each("managedFields", [&](const Fields& entry) {
    readOwner(entry, workload);
  });
  workload.replicas = cron ? (spec.boolean("suspend") ? 0 : 1) : spec.count("replicas", 1);
  workload.schedule = spec.string("schedule");
  workload.paused = spec.boolean("paused");
  workload.selector = spec.object("selector").stringMap("matchLabels");
  readPodTemplate((cron ? spec.object("jobTemplate").object("spec") : spec).object("template").object("spec"),
                  workload);
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
