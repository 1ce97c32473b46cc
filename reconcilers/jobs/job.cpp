#include "jobs/job.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "api/digest.h"
#include "api/quantity.h"
#include "api/resources.h"
#include "jobs/outcome.h"

namespace rollback::reconcilers {
namespace {

using nlohmann::json;

constexpr std::int64_t kUser = 65532;

json parseOr(const std::string& text, json otherwise) {
  if (text.empty()) return otherwise;
  json doc = json::parse(text, nullptr, false);
  return doc.is_discarded() ? otherwise : doc;
}

json containerSecurity() {
  return {{"allowPrivilegeEscalation", false}, {"readOnlyRootFilesystem", true}, {"capabilities", {{"drop", {"ALL"}}}}};
}

json secretEnv(const char* name, const std::string& secret, const std::string& key) {
  return {{"name", name}, {"valueFrom", {{"secretKeyRef", {{"name", secret}, {"key", key}}}}}};
}

json environment(const JobSpec& spec) {
  json env = json::array({{{"name", "HOME"}, {"value", "/frb/tmp"}}, {{"name", "TMPDIR"}, {"value", "/frb/tmp"}}});
  if (spec.postgres) {
    const auto& pg = *spec.postgres;
    env.push_back(secretEnv("FRB_APP_USER", pg.credentials.name, pg.credentials.usernameKey));
    env.push_back(secretEnv("FRB_APP_PASSWORD", pg.credentials.name, pg.credentials.passwordKey));
    if (pg.admin) {
      env.push_back(secretEnv("FRB_ADMIN_USER", pg.admin->name, pg.admin->usernameKey));
      env.push_back(secretEnv("FRB_ADMIN_PASSWORD", pg.admin->name, pg.admin->passwordKey));
    }
  }
  for (std::size_t i = 0; i < spec.keys.size(); ++i) {
    json source = parseOr(spec.keys[i].second, nullptr);
    if (source.is_object()) env.push_back({{"name", "FRB_KEY_" + std::to_string(i)}, {"valueFrom", source}});
  }
  return env;
}

// What a container of ours asks for and may use. Every container has limits: of what a template says nothing of, the
// default's, or what it requests where that is more.
json resourcesFor(const JobSpec& spec) {
  const json defaults = {{"requests", {{"cpu", "100m"}, {"memory", "128Mi"}}},
                         {"limits", {{"cpu", "2"}, {"memory", "1Gi"}}}};
  json out = spec.jobTemplate ? parseOr(spec.jobTemplate->resources, nullptr) : json(nullptr);
  if (!out.is_object()) return defaults;
  const auto amount = [](const json& value) {
    const auto parsed = api::parseQuantity(value.is_string() ? value.get<std::string>() : value.dump());
    return parsed ? *parsed : 0;
  };
  for (const auto& [name, usual] : defaults["limits"].items()) {
    if (out.contains("limits") && out["limits"].contains(name)) continue;
    const bool asked = out.contains("requests") && out["requests"].contains(name);
    out["limits"][name] = asked && amount(out["requests"][name]) > amount(usual) ? out["requests"][name] : usual;
  }
  return out;
}

// A path of the claim as a subPath: relative, no leading slash.
std::string subPath(const std::string& path) {
  const auto first = path.find_first_not_of('/');
  return first == std::string::npos ? std::string() : path.substr(first);
}

json podSecurityContext(const JobSpec& spec) {
  json context = {{"runAsNonRoot", true},
                  {"runAsUser", kUser},
                  {"runAsGroup", kUser},
                  {"fsGroup", kUser},
                  {"fsGroupChangePolicy", "OnRootMismatch"},
                  {"seccompProfile", {{"type", "RuntimeDefault"}}}};
  if (spec.repository) {
    const auto& own = spec.repository->spec.podSecurity;
    if (own.runAsUser) {
      context["runAsUser"] = *own.runAsUser;
      context["runAsNonRoot"] = *own.runAsUser != 0;
    }
    if (own.runAsGroup) context["runAsGroup"] = *own.runAsGroup;
    if (own.fsGroup) context["fsGroup"] = *own.fsGroup;
  }
  return context;
}

}  // namespace

std::string shortId(const std::string& uid) {
  std::string id;
  for (char c : uid)
    if (std::isxdigit(static_cast<unsigned char>(c)) && id.size() < 8)
      id += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return id;
}

std::string jobName(const std::string& prefix, const std::string& uid, const std::string& step,
                    const std::string& store, int attempt) {
  std::string head = prefix + "-" + shortId(uid) + "-" + step;
  const std::string tail = "-" + std::to_string(attempt);
  std::string middle = store.empty() ? "" : "-" + store;
  const std::size_t room = 63 - head.size() - tail.size();
  if (middle.size() > room) {  // a digest of the whole: two stores whose long names begin alike have two Jobs
    middle.resize(room - std::min<std::size_t>(room, 9));
    middle = (middle + "-" + api::sha256Hex(store).substr(0, 8)).substr(0, room);
  }
  std::string name = head + middle;
  while (!name.empty() && name.back() == '-') name.pop_back();
  name += tail;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::isalnum(c) ? std::tolower(c) : '-'; });
  return name;
}

kube::Request createJob(const JobSpec& spec, const Settings& settings) {
  json labels = {{api::kLabelManagedBy, api::kFieldManager},
                 {api::kLabelFramework, spec.owner.framework},
                 {api::kLabelOwnerUid, spec.owner.uid},
                 {api::kLabelOwnerKind, spec.owner.kind},
                 {api::kLabelOwnerName, spec.owner.name},
                 {api::kLabelStep, spec.step},
                 {api::kLabelEffect, spec.effect == Effect::Write ? "write" : "read"}};
  if (!spec.store.empty()) labels[api::kLabelStore] = spec.store;
  json podLabels = labels;
  json annotations = json::object();
  if (spec.jobTemplate) {
    for (const auto& [key, value] : spec.jobTemplate->labels)
      if (!podLabels.contains(key)) podLabels[key] = value;
    for (const auto& [key, value] : spec.jobTemplate->annotations) annotations[key] = value;
  }
  if (!spec.task.empty()) annotations[api::kAnnotationTask] = spec.task;
  if (spec.waitsForGo) annotations[api::kAnnotationGo] = "";

  json volumes = json::array(
      {{{"name", "bin"}, {"emptyDir", {{"sizeLimit", "64Mi"}}}}, {{"name", "tmp"}, {"emptyDir", json::object()}}});
  json mounts = json::array(
      {{{"name", "bin"}, {"mountPath", "/frb/bin"}, {"readOnly", true}}, {{"name", "tmp"}, {"mountPath", "/frb/tmp"}}});
  if (!spec.task.empty()) {
    json items = json::array(
        {{{"path", "task.json"},
          {"fieldRef", {{"fieldPath", std::string("metadata.annotations['") + api::kAnnotationTask + "']"}}}}});
    if (spec.waitsForGo)
      items.push_back(
          {{"path", "go"},
           {"fieldRef", {{"fieldPath", std::string("metadata.annotations['") + api::kAnnotationGo + "']"}}}});
    volumes.push_back({{"name", "task"}, {"downwardAPI", {{"items", items}}}});
    mounts.push_back({{"name", "task"}, {"mountPath", "/frb/task"}, {"readOnly", true}});
  }
  if (spec.postgres && !spec.postgres->caSecretName.empty()) {
    volumes.push_back({{"name", "ca"},
                       {"secret",
                        {{"secretName", spec.postgres->caSecretName},
                         {"items", json::array({{{"key", spec.postgres->caSecretKey}, {"path", "ca.crt"}}})}}}});
    mounts.push_back({{"name", "ca"}, {"mountPath", "/frb/ca"}, {"readOnly", true}});
  }
  if (spec.repository) {
    json claim = {{"claimName", spec.repository->spec.claimName}};
    if (!spec.repositoryWritable) claim["readOnly"] = true;
    volumes.push_back({{"name", "repository"}, {"persistentVolumeClaim", claim}});
    json mount = {{"name", "repository"}, {"mountPath", "/repository"}};
    if (!spec.repositoryWritable) mount["readOnly"] = true;
    if (const auto path = subPath(spec.repository->spec.path); !path.empty()) mount["subPath"] = path;
    mounts.push_back(mount);
  }

  json main = {{"name", kMoverContainer},
               {"image", spec.image},
               {"imagePullPolicy", settings.imagePullPolicy},
               {"command", {"/frb/bin/rollback-mover", spec.verb}},
               {"env", environment(spec)},
               {"volumeMounts", mounts},
               {"securityContext", containerSecurity()},
               {"resources", resourcesFor(spec)}};
  json init = {
      {"name", "install"},
      {"image", settings.moverImage},
      {"imagePullPolicy", settings.imagePullPolicy},
      {"command", {"/rollback-mover", "install", "/frb/bin/rollback-mover"}},
      {"volumeMounts", json::array({{{"name", "bin"}, {"mountPath", "/frb/bin"}}})},
      {"securityContext", containerSecurity()},
      {"resources",
       {{"requests", {{"cpu", "10m"}, {"memory", "16Mi"}}}, {"limits", {{"cpu", "500m"}, {"memory", "64Mi"}}}}}};

  json pod = {{"restartPolicy", "Never"},
              {"automountServiceAccountToken", false},
              {"enableServiceLinks", false},
              {"terminationGracePeriodSeconds", 30},
              {"securityContext", podSecurityContext(spec)},
              {"initContainers", json::array({init})},
              {"containers", json::array({main})},
              {"volumes", volumes}};
  std::vector<std::string> secrets = spec.imagePullSecrets;
  if (spec.jobTemplate) {
    if (!spec.jobTemplate->imagePullSecrets.empty()) secrets = spec.jobTemplate->imagePullSecrets;
    if (!spec.jobTemplate->nodeSelector.empty()) pod["nodeSelector"] = spec.jobTemplate->nodeSelector;
    if (json tolerations = parseOr(spec.jobTemplate->tolerations, nullptr); tolerations.is_array())
      pod["tolerations"] = tolerations;
  }
  if (!secrets.empty()) {
    pod["imagePullSecrets"] = json::array();
    for (const auto& secret : secrets) pod["imagePullSecrets"].push_back({{"name", secret}});
  }

  json job = {{"apiVersion", "batch/v1"},
              {"kind", "Job"},
              {"metadata",
               {{"name", spec.name},
                {"namespace", spec.owner.namespace_},
                {"labels", labels},
                {"ownerReferences", json::array({{{"apiVersion", std::string(api::kGroup) + "/" + api::kVersion},
                                                  {"kind", spec.owner.kind},
                                                  {"name", spec.owner.name},
                                                  {"uid", spec.owner.uid},
                                                  {"controller", true}}})}}},
              {"spec",
               {{"suspend", true},
                {"backoffLimit", 0},
                {"completions", 1},
                {"parallelism", 1},
                {"podReplacementPolicy", "Failed"},
                {"activeDeadlineSeconds", spec.deadlineSeconds},
                {"template", {{"metadata", {{"labels", podLabels}, {"annotations", annotations}}}, {"spec", pod}}}}}};
  if (spec.ttlSecondsAfterFinished >= 0) job["spec"]["ttlSecondsAfterFinished"] = spec.ttlSecondsAfterFinished;

  auto request = kube::create(kube::resources::kJobs, spec.owner.namespace_,
                              job.dump(-1, ' ', false, json::error_handler_t::replace));
  request.asServiceAccount = api::kRunner;
  return request;
}

kube::Request unsuspendJob(const kube::Job& job) {
  const json body =
      json::array({{{"op", "test"}, {"path", "/metadata/uid"}, {"value", job.meta.uid}},
                   {{"op", "test"}, {"path", "/metadata/resourceVersion"}, {"value", job.meta.resourceVersion}},
                   {{"op", "replace"}, {"path", "/spec/suspend"}, {"value", false}}});
  auto request =
      kube::patch(kube::resources::kJobs, job.meta.namespace_, job.meta.name, kube::PatchType::Json, body.dump());
  request.asServiceAccount = api::kRunner;
  return request;
}

kube::Request deleteJob(const kube::Job& job) {
  auto request = kube::remove(kube::resources::kJobs, job.meta.namespace_, job.meta.name, job.meta.uid, "");
  request.asServiceAccount = api::kRunner;
  return request;
}

kube::Request giveGo(const kube::Pod& pod, const std::string& token) {
  // Aimed at the pod as it was seen: one that arrives late meets another version, and is refused.
  const json body = {{"metadata",
                      {{"uid", pod.meta.uid},
                       {"resourceVersion", pod.meta.resourceVersion},
                       {"annotations", {{api::kAnnotationGo, token}}}}}};
  auto request =
      kube::patch(kube::resources::kPods, pod.meta.namespace_, pod.meta.name, kube::PatchType::Merge, body.dump());
  request.asServiceAccount = api::kRunner;
  return request;
}

}  // namespace rollback::reconcilers
