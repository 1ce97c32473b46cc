#include "rollback/workload_requests.h"

#include <nlohmann/json.hpp>

#include "api/resources.h"

namespace rollback::reconcilers {
namespace {

using nlohmann::json;

json aim(const kube::Workload& workload) {
  return {{"uid", workload.meta.uid}, {"resourceVersion", workload.meta.resourceVersion}};
}

}  // namespace

kube::Request scaleTo(const kube::Workload& workload, int replicas) {
  json body = {{"metadata", aim(workload)}, {"spec", {{"replicas", replicas}}}};
  if (workload.isCronJob()) body["spec"] = {{"suspend", replicas == 0}};
  auto request = kube::patch(kube::resources::ofWorkload(workload.kind), workload.meta.namespace_, workload.meta.name,
                             kube::PatchType::Merge, body.dump());
  if (!workload.isCronJob()) request.subresource = "scale";
  request.asServiceAccount = api::kRunner;
  return request;
}

kube::Request setImage(const kube::Workload& workload, const std::string& container, const std::string& image) {
  json spec = {{"template", {{"spec", {{"containers", json::array({{{"name", container}, {"image", image}}})}}}}}};
  if (workload.isCronJob()) spec = {{"jobTemplate", {{"spec", spec}}}};
  const json body = {{"metadata", aim(workload)}, {"spec", spec}};
  auto request = kube::patch(kube::resources::ofWorkload(workload.kind), workload.meta.namespace_, workload.meta.name,
                             kube::PatchType::StrategicMerge, body.dump());
  request.asServiceAccount = api::kRunner;
  return request;
}

kube::Request fence(const kube::Workload& workload, const std::string& uid) {
  json meta = aim(workload);
  meta["annotations"] = {{api::kAnnotationFence, uid}};
  auto request = kube::patch(kube::resources::ofWorkload(workload.kind), workload.meta.namespace_, workload.meta.name,
                             kube::PatchType::Merge, json{{"metadata", meta}}.dump());
  request.asServiceAccount = api::kRunner;
  return request;
}

}  // namespace rollback::reconcilers
