// Finalizers of our own objects, added and removed by a merge patch that only the object and version seen accepts.
#pragma once

#include <string>

#include "kube/objects/meta.h"
#include "kube/objects/request.h"

namespace rollback::reconcilers {

bool hasFinalizer(const kube::ObjectMeta& meta, const std::string& finalizer);
kube::Request addFinalizer(const kube::Resource& resource, const kube::ObjectMeta& meta, const std::string& finalizer);
kube::Request removeFinalizer(const kube::Resource& resource, const kube::ObjectMeta& meta,
                              const std::string& finalizer);

}  // namespace rollback::reconcilers
