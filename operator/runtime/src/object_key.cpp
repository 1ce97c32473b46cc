#include "runtime/object_key.h"

namespace rollback::runtime {
namespace {

bool wellFormed(std::string_view version) {
  return !version.empty() && version.front() != '0' &&
         version.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::string objectKey(std::string_view namespace_, std::string_view name) {
  if (namespace_.empty()) return std::string(name);
  std::string key;
  key.reserve(namespace_.size() + 1 + name.size());
  return key.append(namespace_).append("/").append(name);
}

std::pair<std::string, std::string> splitObjectKey(std::string_view key) {
  const std::size_t slash = key.find('/');
  if (slash == std::string_view::npos) return {"", std::string(key)};
  return {std::string(key.substr(0, slash)), std::string(key.substr(slash + 1))};
}

bool olderVersion(std::string_view a, std::string_view b) {
  if (!wellFormed(b)) return false;
  if (!wellFormed(a)) return true;
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

}  // namespace rollback::runtime
