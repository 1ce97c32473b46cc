// The shape of our Jobs: what the admission policies demand and what security promises, and requests that touch them.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "api/resources.h"
#include "jobs/job.h"

using namespace rollback;
using nlohmann::json;
using reconcilers::JobSpec;

namespace {

const reconcilers::Settings kSettings{"mover:test", "IfNotPresent"};

JobSpec specOf() {
  JobSpec spec;
  spec.name = "frb-ab12cd34-stage-database-1";
  spec.owner = {"FrameworkRollback", "back", "ab12cd34-1", "demo", "shop"};
  spec.step = "stage";
  spec.store = "database";
  spec.effect = reconcilers::Effect::Write;
  spec.image = "postgres:15";
  spec.task = R"({"verb":"stage"})";
  return spec;
}

json made(const JobSpec& spec) {
  const auto request = reconcilers::createJob(spec, kSettings);
  REQUIRE(request.fault().empty());
  REQUIRE(request.asServiceAccount == api::kRunner);
  return json::parse(request.body);
}

json named(const json& list, const std::string& name) {
  for (const auto& entry : list)
    if (entry["name"] == name) return entry;
  return nullptr;
}

}  // namespace

TEST_CASE("Given any Job, when made, then it is suspended, tried once, has no token and no privilege") {
  const json job = made(specOf());
  const json& pod = job["spec"]["template"]["spec"];
  REQUIRE(job["spec"]["suspend"] == true);
  REQUIRE(job["spec"]["backoffLimit"] == 0);
  REQUIRE(job["spec"]["podReplacementPolicy"] == "Failed");
  REQUIRE_FALSE(job["spec"].contains("ttlSecondsAfterFinished"));
  REQUIRE(pod["restartPolicy"] == "Never");
  REQUIRE(pod["automountServiceAccountToken"] == false);
  REQUIRE(pod["enableServiceLinks"] == false);
  REQUIRE(pod["securityContext"]["runAsNonRoot"] == true);
  REQUIRE(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault");
  for (const char* list : {"containers", "initContainers"}) {
    REQUIRE(pod[list].size() == 1);
    const json& container = pod[list][0];
    REQUIRE(container["securityContext"]["allowPrivilegeEscalation"] == false);
    REQUIRE(container["securityContext"]["readOnlyRootFilesystem"] == true);
    REQUIRE(container["securityContext"]["capabilities"]["drop"] == json::array({"ALL"}));
    REQUIRE(container["resources"]["limits"].contains("memory"));
    REQUIRE_FALSE(container.contains("args"));
  }
  REQUIRE(pod["initContainers"][0]["image"] == "mover:test");
  REQUIRE(pod["initContainers"][0]["command"] ==
          json::array({"/rollback-mover", "install", "/frb/bin/rollback-mover"}));
  REQUIRE(pod["containers"][0]["command"] == json::array({"/frb/bin/rollback-mover", "run"}));
}

TEST_CASE(
    "Given a Job, when made, then labels say whose it is, on it and on its pods, and it is owned by that object "
    "alone") {
  const json job = made(specOf());
  for (const json* labels : {&job["metadata"]["labels"], &job["spec"]["template"]["metadata"]["labels"]}) {
    REQUIRE((*labels)[api::kLabelManagedBy] == api::kFieldManager);
    REQUIRE((*labels)[api::kLabelOwnerUid] == "ab12cd34-1");
    REQUIRE((*labels)[api::kLabelOwnerKind] == "FrameworkRollback");
    REQUIRE((*labels)[api::kLabelOwnerName] == "back");
    REQUIRE((*labels)[api::kLabelEffect] == "write");
    REQUIRE((*labels)[api::kLabelStore] == "database");
  }
  REQUIRE(job["metadata"]["ownerReferences"].size() == 1);
  REQUIRE(job["metadata"]["ownerReferences"][0]["uid"] == "ab12cd34-1");
}

TEST_CASE("Given a store with secrets, when a Job is made, then they are named, never held") {
  api::PostgresStore pg;
  pg.credentials = {"shop-db", "username", "password"};
  pg.admin = api::SecretKeys{"db-admin", "u", "p"};
  pg.caSecretName = "db-ca";
  JobSpec spec = specOf();
  spec.postgres = &pg;
  spec.keys = {
      {"encryption-key", R"({"secretKeyRef":{"name":"shop-secrets","key":"KEY"}})"}, {"literal", ""}, {"broken", "{"}};
  const json job = made(spec);
  const json& container = job["spec"]["template"]["spec"]["containers"][0];
  REQUIRE(named(container["env"], "FRB_APP_PASSWORD")["valueFrom"]["secretKeyRef"]["name"] == "shop-db");
  REQUIRE(named(container["env"], "FRB_ADMIN_USER")["valueFrom"]["secretKeyRef"]["key"] == "u");
  REQUIRE(named(container["env"], "FRB_KEY_0")["valueFrom"]["secretKeyRef"]["name"] == "shop-secrets");
  REQUIRE(named(container["env"], "FRB_KEY_1").is_null());
  REQUIRE(named(container["env"], "FRB_KEY_2").is_null());
  REQUIRE(named(container["volumeMounts"], "ca")["readOnly"] == true);
}

TEST_CASE("Given a repository, when a Job is made, then it is writable only for who writes, and below its path") {
  api::BackupRepository repository;
  repository.spec.claimName = "backups";
  repository.spec.path = "/team/a";
  JobSpec spec = specOf();
  spec.repository = &repository;
  spec.repositoryWritable = GENERATE(true, false);
  const json pod = made(spec)["spec"]["template"]["spec"];
  const json volume = named(pod["volumes"], "repository"),
             mount = named(pod["containers"][0]["volumeMounts"], "repository");
  REQUIRE(volume["persistentVolumeClaim"]["claimName"] == "backups");
  REQUIRE(mount["subPath"] == "team/a");
  REQUIRE(mount.value("readOnly", false) != spec.repositoryWritable);
  REQUIRE(volume["persistentVolumeClaim"].value("readOnly", false) != spec.repositoryWritable);
}

TEST_CASE("Given a repository whose folders belong to root, when a Job is made, then its own user is taken") {
  api::BackupRepository repository;
  repository.spec.podSecurity = {0, 0, 100};
  JobSpec spec = specOf();
  spec.repository = &repository;
  const json context = made(spec)["spec"]["template"]["spec"]["securityContext"];
  REQUIRE(context["runAsUser"] == 0);
  REQUIRE(context["runAsNonRoot"] == false);
  REQUIRE(context["fsGroup"] == 100);
}

TEST_CASE("Given a job template, when a Job is made, then it is added to, and cannot take a label of ours") {
  api::JobTemplate extra;
  extra.labels = {{"team", "a"}, {api::kLabelEffect, "read"}};
  extra.annotations = {{"sidecar.istio.io/inject", "false"}};
  extra.nodeSelector = {{"disk", "ssd"}};
  extra.imagePullSecrets = {"mine"};
  extra.tolerations = R"([{"key":"db","operator":"Exists"}])";
  extra.resources = R"({"limits":{"memory":"4Gi"}})";
  JobSpec spec = specOf();
  spec.jobTemplate = &extra;
  spec.imagePullSecrets = {"of-the-workload"};
  const json job = made(spec);
  const json& pod = job["spec"]["template"]["spec"];
  REQUIRE(job["spec"]["template"]["metadata"]["labels"]["team"] == "a");
  REQUIRE(job["spec"]["template"]["metadata"]["labels"][api::kLabelEffect] == "write");
  REQUIRE(job["spec"]["template"]["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false");
  REQUIRE(pod["nodeSelector"]["disk"] == "ssd");
  REQUIRE(pod["imagePullSecrets"] == json::array({{{"name", "mine"}}}));
  REQUIRE(pod["tolerations"][0]["key"] == "db");
  REQUIRE(pod["containers"][0]["resources"]["limits"]["memory"] == "4Gi");
}

TEST_CASE("Given a template that only requests, when a Job is made, then its container has limits that hold that") {
  api::JobTemplate extra;
  extra.resources = R"({"requests":{"memory":"2Gi","cpu":"50m"}})";
  JobSpec spec = specOf();
  spec.jobTemplate = &extra;
  const json resources = made(spec)["spec"]["template"]["spec"]["containers"][0]["resources"];
  REQUIRE(resources["requests"] == json{{"memory", "2Gi"}, {"cpu", "50m"}});
  REQUIRE(resources["limits"] == json{{"memory", "2Gi"}, {"cpu", "2"}});
}

TEST_CASE("Given a Job that waits for go, when made, then the token's annotation is there, empty, and mounted") {
  JobSpec spec = specOf();
  spec.waitsForGo = true;
  const json job = made(spec);
  REQUIRE(job["spec"]["template"]["metadata"]["annotations"][api::kAnnotationGo] == "");
  const json items = named(job["spec"]["template"]["spec"]["volumes"], "task")["downwardAPI"]["items"];
  REQUIRE(items.size() == 2);
  REQUIRE(items[1]["path"] == "go");
}

TEST_CASE(
    "Given a uid and a store, when a name is made, then it is short enough, lower case, and keeps uid, step and "
    "attempt") {
  const std::string uid = "AB12CD34-0000-0000-0000-000000000001";
  REQUIRE(reconcilers::shortId(uid) == "ab12cd34");
  REQUIRE(reconcilers::jobName("frb", uid, "stage", "database", 2) == "frb-ab12cd34-stage-database-2");
  REQUIRE(reconcilers::jobName("frb", uid, "start", "", 1) == "frb-ab12cd34-start-1");
  const auto longest = reconcilers::jobName("frb", uid, "inspect-12345678", std::string(63, 's'), 10);
  REQUIRE(longest.size() <= 63);
  REQUIRE(longest.rfind("frb-ab12cd34-inspect-12345678-s", 0) == 0);
  REQUIRE(longest.substr(longest.size() - 3) == "-10");
}

TEST_CASE("Given a Job or pod that was seen, when it is touched, then only that very one is") {
  kube::Job job;
  job.meta.name = "j";
  job.meta.namespace_ = "demo";
  job.meta.uid = "job-uid";
  job.meta.resourceVersion = "7";
  const auto start = reconcilers::unsuspendJob(job);
  REQUIRE(start.patchType == kube::PatchType::Json);
  const json ops = json::parse(start.body);
  REQUIRE(ops[0] == json({{"op", "test"}, {"path", "/metadata/uid"}, {"value", "job-uid"}}));
  REQUIRE(ops[1] == json({{"op", "test"}, {"path", "/metadata/resourceVersion"}, {"value", "7"}}));
  REQUIRE(ops[2]["value"] == false);
  REQUIRE(json::parse(reconcilers::deleteJob(job).body)["preconditions"]["uid"] == "job-uid");
  kube::Pod pod;
  pod.meta.name = "p";
  pod.meta.namespace_ = "demo";
  pod.meta.uid = "pod-uid";
  pod.meta.resourceVersion = "9";
  const json go = json::parse(reconcilers::giveGo(pod, "token").body);
  REQUIRE(go["metadata"]["uid"] == "pod-uid");
  REQUIRE(go["metadata"]["resourceVersion"] == "9");
  REQUIRE(go["metadata"]["annotations"][api::kAnnotationGo] == "token");
}
