// Keys of objects, "namespace/name" ("name" for the cluster-scoped), and the order of their versions.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace rollback::runtime {

std::string objectKey(std::string_view namespace_, std::string_view name);
template <typename Meta>
std::string objectKey(const Meta& meta) {
  return objectKey(meta.namespace_, meta.name);
}

// {namespace, name}; the namespace is empty for "name".
std::pair<std::string, std::string> splitObjectKey(std::string_view key);

// True if `a` is a version before `b` of the same resource. They are decimal numbers without leading zeros of any
// length (KEP-5504); an empty or malformed one is before every other.
bool olderVersion(std::string_view a, std::string_view b);

}  // namespace rollback::runtime
