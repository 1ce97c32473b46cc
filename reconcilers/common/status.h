// The one way a status is written: whole, and only if the draft says something new.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "kube/objects/request.h"

namespace rollback::reconcilers {

// The write that makes `draft` the status of an object that was read as `before`; nothing where it is so already.
template <typename Object>
std::optional<kube::Request> statusWrite(const kube::Resource& resource, const Object& before, const Object& draft,
                                         std::string (*encode)(const Object&)) {
  if (draft.status == before.status) return std::nullopt;  // most passes; nothing is encoded to see it
  std::string body = encode(draft);
  if (body == encode(before)) return std::nullopt;
  return kube::updateStatus(resource, draft.meta.namespace_, draft.meta.name, std::move(body));
}

}  // namespace rollback::reconcilers
