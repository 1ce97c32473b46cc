// Deployments and StatefulSets, as an API server writes them.
#include <catch2/catch.hpp>

#include "kube/objects/workloads.h"

namespace rollback::kube {
namespace {

const char* const kDeployment = R"({
  "apiVersion":"apps/v1","kind":"Deployment",
  "metadata":{"name":"n8n","namespace":"automation","uid":"u-1","resourceVersion":"77","generation":4,
              "labels":{"app":"n8n"},"annotations":{"deployment.kubernetes.io/revision":"3"},
              "managedFields":[{"manager":"kubectl","operation":"Apply","fieldsV1":{"f:spec":{"f:replicas":{}}}}]},
  "spec":{"replicas":2,"paused":true,"strategy":{"type":"Recreate"},
    "selector":{"matchLabels":{"app":"n8n"}},
    "template":{"metadata":{"labels":{"app":"n8n"}},"spec":{
      "serviceAccountName":"n8n","nodeSelector":{"disk":"ssd"},
      "imagePullSecrets":[{"name":"pull"}],
      "initContainers":[{"name":"wait","image":"busybox:1"}],
      "containers":[{"name":"main","image":"n8n:1.123.0","env":[
          {"name":"LITERAL","value":"do-not-keep"},
          {"name":"EMPTY"},
          {"name":"N8N_ENCRYPTION_KEY","valueFrom":{"secretKeyRef":{"name":"n8n-secrets","key":"key"}}}]},
        {"name":"sidecar","image":"s:1"}],
      "volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"n8n-data"}},{"name":"tmp","emptyDir":{}}]}}},
  "status":{"observedGeneration":4,"replicas":2,"readyReplicas":2,"updatedReplicas":2,"availableReplicas":1}})";

TEST_CASE(
    "given a Deployment, when it is decoded, then all that a rollback needs is there and no literal value is kept") {
  const auto workload = decodeWorkload(kDeployment);
  REQUIRE(workload.ok());
  CHECK(workload->kind == "Deployment");
  CHECK(workload->meta.uid == "u-1");
  CHECK(workload->meta.generation == 4);
  CHECK(workload->replicas == 2);
  CHECK(workload->paused);
  CHECK(workload->selector.at("app") == "n8n");
  CHECK(workload->serviceAccountName == "n8n");
  CHECK(workload->nodeSelector.at("disk") == "ssd");
  CHECK(workload->imagePullSecrets == std::vector<std::string>{"pull"});
  CHECK(workload->claimNames == std::vector<std::string>{"n8n-data"});
  REQUIRE(workload->containers.size() == 2);
  REQUIRE(workload->initContainers.size() == 1);
  CHECK(workload->initContainers[0].image == "busybox:1");
  const Container* main = workload->container("main");
  REQUIRE(main != nullptr);
  CHECK(main->image == "n8n:1.123.0");
  REQUIRE(main->env.size() == 3);
  CHECK(main->env[0].literal);
  CHECK(main->env[0].valueFrom.empty());
  CHECK(main->env[1].literal);
  CHECK_FALSE(main->env[2].literal);
  CHECK(main->env[2].valueFrom == R"({"secretKeyRef":{"key":"key","name":"n8n-secrets"}})");
  CHECK(workload->container("absent") == nullptr);
  CHECK(workload->availableReplicas == 1);
  CHECK(workload->rolledOut());
}

TEST_CASE("given a StatefulSet, when it is decoded, then its claim templates and retention policy are there") {
  const auto workload = decodeWorkload(R"({"kind":"StatefulSet","metadata":{"name":"db"},"spec":{
      "serviceName":"db","updateStrategy":{"type":"RollingUpdate"},
      "persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Retain","whenScaled":"Delete"},
      "volumeClaimTemplates":[{"metadata":{"name":"data"}},{"metadata":{"name":"wal"}}]}})");
  REQUIRE(workload.ok());
  CHECK(workload->kind == "StatefulSet");
  CHECK(workload->whenScaled == "Delete");
  CHECK(workload->volumeClaimTemplates == std::vector<std::string>{"data", "wal"});
  CHECK(workload->replicas == 1);  // the API's default
}

TEST_CASE("given a CronJob, when it is decoded, then it counts as one replica unless it is suspended") {
  const auto workload = decodeWorkload(R"({"kind":"CronJob","metadata":{"name":"report","managedFields":[
      {"manager":"helm","operation":"Update","fieldsV1":{"f:spec":{"f:suspend":{},"f:jobTemplate":{"f:spec":{"f:template":{
        "f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{"f:image":{}}}}}}}}}}]},
      "spec":{"schedule":"*/5 * * * *","jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"shop:1"}]}}}}}})");
  REQUIRE(workload.ok());
  CHECK(workload->isCronJob());
  CHECK(workload->replicas == 1);
  CHECK(workload->schedule == "*/5 * * * *");
  CHECK(workload->rolledOut());
  REQUIRE(workload->container("app"));
  CHECK(workload->container("app")->image == "shop:1");
  REQUIRE(workload->fieldOwners.size() == 1);
  CHECK(workload->fieldOwners[0].replicas);
  CHECK(workload->fieldOwners[0].images == std::vector<std::string>{"app"});
  const auto suspended = decodeWorkload(R"({"metadata":{"name":"report"},"spec":{"suspend":true,"jobTemplate":{}}})");
  REQUIRE(suspended.ok());
  CHECK(suspended->kind == "CronJob");
  CHECK(suspended->replicas == 0);
}

TEST_CASE("given an item of a list, which names no kind, when it is decoded, then its spec tells the kind") {
  const auto set =
      decodeWorkload(R"({"metadata":{"name":"db"},"spec":{"updateStrategy":{"type":"OnDelete"},"replicas":0}})");
  REQUIRE(set.ok());
  CHECK(set->kind == "StatefulSet");
  CHECK(set->replicas == 0);
  const auto deployment = decodeWorkload(R"({"metadata":{"name":"web"},"spec":{"strategy":{"type":"Recreate"}}})");
  REQUIRE(deployment.ok());
  CHECK(deployment->kind == "Deployment");
}

TEST_CASE(
    "given managed fields, when a workload is decoded, then those who wrote replicas or an image are known by name") {
  const auto workload = decodeWorkload(R"({"kind":"Deployment","metadata":{"name":"web","managedFields":[
      {"manager":"argocd-controller","operation":"Apply","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:replicas":{},
        "f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:image":{},"f:name":{}},
                                               "k:{\"name\":\"sidecar\"}":{".":{},"f:name":{}}}}}}}},
      {"manager":"keda","operation":"Update","subresource":"scale","fieldsV1":{"f:spec":{"f:replicas":{}}}},
      {"manager":"kube-controller-manager","operation":"Update","subresource":"status","fieldsV1":{"f:status":{"f:replicas":{}}}},
      {"manager":"labeller","operation":"Update","fieldsV1":{"f:metadata":{"f:labels":{}}}}]},"spec":{}})");
  REQUIRE(workload.ok());
  REQUIRE(workload->fieldOwners.size() == 2);
  CHECK(workload->fieldOwners[0].manager == "argocd-controller");
  CHECK(workload->fieldOwners[0].replicas);
  CHECK(workload->fieldOwners[0].images == std::vector<std::string>{"app"});
  CHECK(workload->fieldOwners[1].manager == "keda");
  CHECK(workload->fieldOwners[1].subresource == "scale");
  CHECK(workload->fieldOwners[1].images.empty());
  const auto odd =
      decodeWorkload(R"({"kind":"Deployment","metadata":{"name":"web","managedFields":[{"fieldsV1":7}]},"spec":{}})");
  REQUIRE(odd.ok());
  CHECK(odd->fieldOwners.empty());
}

TEST_CASE("given ephemeral volumes, when a workload is decoded, then their names are there") {
  const auto workload =
      decodeWorkload(R"({"kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":{"volumes":[
      {"name":"scratch","ephemeral":{"volumeClaimTemplate":{"spec":{}}}},{"name":"tmp","emptyDir":{}}]}}}})");
  REQUIRE(workload.ok());
  CHECK(workload->ephemeralVolumes == std::vector<std::string>{"scratch"});
}

TEST_CASE("given a claim, when it is decoded, then its capacity is there once it is bound") {
  const auto bound = decodePersistentVolumeClaim(R"({"kind":"PersistentVolumeClaim","metadata":{"name":"data-db-0",
      "ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"db-0","uid":"u"}]},
      "spec":{"resources":{"requests":{"storage":"5Gi"}}},"status":{"phase":"Bound","capacity":{"storage":"8Gi"}}})");
  REQUIRE(bound.ok());
  CHECK(bound->phase == "Bound");
  CHECK(bound->capacity == "8Gi");
  CHECK(bound->meta.ownerReferences.at(0).kind == "Pod");
  const auto pending = decodePersistentVolumeClaim(R"({"metadata":{"name":"new"},"status":{"phase":"Pending"}})");
  REQUIRE(pending.ok());
  CHECK(pending->capacity.empty());
}

TEST_CASE("given a HorizontalPodAutoscaler, when it is decoded, then what it scales and who owns it is there") {
  const auto autoscaler =
      decodeHorizontalPodAutoscaler(R"({"kind":"HorizontalPodAutoscaler","metadata":{"name":"keda-hpa-web",
      "ownerReferences":[{"apiVersion":"keda.sh/v1alpha1","kind":"ScaledObject","name":"web","uid":"u","controller":true}]},
      "spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"},"minReplicas":1}})");
  REQUIRE(autoscaler.ok());
  CHECK(autoscaler->targetKind == "Deployment");
  CHECK(autoscaler->targetName == "web");
  CHECK(autoscaler->meta.ownerReferences.at(0).kind == "ScaledObject");
}

TEST_CASE("given another kind or a wrong member, when a workload is decoded, then it is refused with the reason") {
  const auto pod = decodeWorkload(R"({"kind":"DaemonSet","metadata":{"name":"x"}})");
  REQUIRE_FALSE(pod.ok());
  CHECK_THAT(pod.error().message, Catch::Matchers::Contains("DaemonSet"));
  const auto wrong = decodeWorkload(
      R"({"kind":"Deployment","metadata":{"name":"web","namespace":"demo"},"spec":{"template":{"spec":{"containers":[{"image":5}]}}}})");
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.error().code == ErrorCode::Protocol);
  CHECK(wrong.error().message == "reading Deployment demo/web: spec.template.spec.containers[0].image is not a string");
}

TEST_CASE("a workload is rolled out only when the status is current and every replica is updated and ready") {
  Workload base;
  base.meta.generation = 5;
  base.observedGeneration = 5;
  base.replicas = base.statusReplicas = base.updatedReplicas = base.readyReplicas = 3;
  CHECK(base.rolledOut());
  struct Row {
    const char* why;
    int Workload::*member;
    int value;
  };
  for (const Row& row :
       {Row{"a pod is not ready", &Workload::readyReplicas, 2}, Row{"a pod is old", &Workload::updatedReplicas, 2},
        Row{"a pod too many is still there", &Workload::statusReplicas, 4},
        Row{"it was scaled and the controller has not seen it", &Workload::replicas, 4}}) {
    Workload changed = base;
    changed.*row.member = row.value;
    INFO(row.why);
    CHECK_FALSE(changed.rolledOut());
  }
  base.observedGeneration = 4;
  CHECK_FALSE(base.rolledOut());
  Workload none;
  none.replicas = 0;
  CHECK(none.rolledOut());
}

}  // namespace
}  // namespace rollback::kube
