// Built-in objects as far as this operator reads them, and their decoders. A decoder takes the JSON of one object and
// fails with Protocol if it is not that kind of object; unknown members are ignored, absent ones keep their default.
// The items of a list of built-in objects carry no kind; it is then taken on trust (a Workload's told by its spec).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kube/objects/meta.h"

namespace rollback::kube {

// One entry of env, as the workload wrote it: `source` is the JSON of its valueFrom, verbatim ("" for a literal).
struct EnvVar {
  std::string name;
  bool literal = false;
  std::string valueFrom;  // {"secretKeyRef":{"name":"…","key":"…"}}
};

struct Container {
  std::string name, image;
  std::vector<EnvVar> env;
};

// Who wrote a field that a rollback writes too, as metadata.managedFields has it.
struct FieldOwner {
  std::string manager;              // "argocd-controller", "kubectl-client-side-apply"
  std::string subresource;          // "scale" where it was written through that
  bool replicas = false;            // spec.replicas, of a CronJob spec.suspend
  std::vector<std::string> images;  // containers whose image it wrote
};

// A Deployment, StatefulSet or CronJob.
struct Workload {
  std::string kind;  // Deployment, StatefulSet, CronJob
  ObjectMeta meta;
  int replicas = 1;      // spec.replicas, defaulted; of a CronJob 0 while it is suspended, else 1
  std::string schedule;  // of a CronJob; else empty
  bool paused = false;
  std::map<std::string, std::string> selector;  // matchLabels
  std::vector<Container> containers, initContainers;
  std::vector<std::string> imagePullSecrets;
  std::string serviceAccountName;
  std::map<std::string, std::string> nodeSelector;
  std::vector<std::string> claimNames;            // volumes of the pod template
  std::vector<std::string> ephemeralVolumes;      // of the pod template: their claims belong to the pod and end with it
  std::string whenScaled;                         // StatefulSet persistentVolumeClaimRetentionPolicy.whenScaled
  std::vector<std::string> volumeClaimTemplates;  // StatefulSet
  std::int64_t observedGeneration = 0;
  int statusReplicas = 0, readyReplicas = 0, updatedReplicas = 0, availableReplicas = 0;
  std::vector<FieldOwner> fieldOwners;  // those who wrote replicas or an image; at most 32

  const Container* container(const std::string& name) const;
  bool isCronJob() const { return kind == "CronJob"; }
  // Every replica runs the present template and is ready: status is current and updated = ready = replicas. A CronJob
  // has nothing to roll out: its next Job runs the present template.
  bool rolledOut() const;
};

struct ContainerStatus {
  std::string name, image, imageID;
  bool ready = false;
  int restartCount = 0;
  std::string waitingReason, waitingMessage;
  bool terminated = false;
  int exitCode = 0;
  std::string terminatedReason, terminationMessage, finishedAt;
};

struct Pod {
  ObjectMeta meta;
  std::string phase;  // Pending, Running, Succeeded, Failed, Unknown
  std::string reason, message, podIP, nodeName;
  bool ready = false;         // condition Ready
  std::string readySince;     // its lastTransitionTime
  std::string unschedulable;  // message of PodScheduled=False, empty otherwise
  std::vector<ContainerStatus> containers, initContainers;

  bool ended() const { return phase == "Succeeded" || phase == "Failed"; }
};

struct Job {
  ObjectMeta meta;
  bool suspended = false;
  int active = 0, succeeded = 0, failed = 0, terminating = 0;
  bool complete = false;         // condition Complete
  bool failedCondition = false;  // condition Failed
  std::string failedReason, failedMessage;

  bool ended() const { return complete || failedCondition; }
};

struct PersistentVolumeClaim {
  ObjectMeta meta;
  std::string phase;     // Pending, Bound, Lost
  std::string capacity;  // status.capacity.storage, a quantity; empty until it is bound
};

struct HorizontalPodAutoscaler {
  ObjectMeta meta;
  std::string targetKind, targetName;  // spec.scaleTargetRef
};

struct ConfigMap {
  ObjectMeta meta;
  std::map<std::string, std::string> data;
  bool immutable = false;
};

Result<Workload> decodeWorkload(std::string_view json);
Result<Pod> decodePod(std::string_view json);
Result<Job> decodeJob(std::string_view json);
Result<ConfigMap> decodeConfigMap(std::string_view json);
Result<PersistentVolumeClaim> decodePersistentVolumeClaim(std::string_view json);
Result<HorizontalPodAutoscaler> decodeHorizontalPodAutoscaler(std::string_view json);
Result<ObjectMeta> decodeMeta(std::string_view json);

}  // namespace rollback::kube
