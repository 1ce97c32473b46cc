#include "common/finalizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace rollback::reconcilers {
namespace {

kube::Request patchFinalizers(const kube::Resource& resource, const kube::ObjectMeta& meta,
                              const std::vector<std::string>& finalizers) {
  const nlohmann::json body = {
      {"metadata", {{"uid", meta.uid}, {"resourceVersion", meta.resourceVersion}, {"finalizers", finalizers}}}};
  return kube::patch(resource, meta.namespace_, meta.name, kube::PatchType::Merge, body.dump());
}

}  // namespace

bool hasFinalizer(const kube::ObjectMeta& meta, const std::string& finalizer) {
  return std::find(meta.finalizers.begin(), meta.finalizers.end(), finalizer) != meta.finalizers.end();
}

kube::Request addFinalizer(const kube::Resource& resource, const kube::ObjectMeta& meta, const std::string& finalizer) {
  auto finalizers = meta.finalizers;
  if (!hasFinalizer(meta, finalizer)) finalizers.push_back(finalizer);
  return patchFinalizers(resource, meta, finalizers);
}

kube::Request removeFinalizer(const kube::Resource& resource, const kube::ObjectMeta& meta,
                              const std::string& finalizer) {
  auto finalizers = meta.finalizers;
  finalizers.erase(std::remove(finalizers.begin(), finalizers.end(), finalizer), finalizers.end());
  return patchFinalizers(resource, meta, finalizers);
}

}  // namespace rollback::reconcilers
