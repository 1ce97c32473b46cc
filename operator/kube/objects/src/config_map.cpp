#include <nlohmann/json.hpp>

#include "decode.h"
#include "kube/objects/workloads.h"

namespace rollback::kube {

Result<ConfigMap> decodeConfigMap(std::string_view text) {
  using decode::Fields;
  const auto document = decode::parse(text, "ConfigMap");
  if (!document) return document.error();
  std::string fault;
  const Fields object(*document, fault);

  ConfigMap map;
  map.meta = decode::readMeta(object);
  map.data = object.stringMap("data");
  map.immutable = object.boolean("immutable");

  if (auto fine = decode::check(object, fault, "ConfigMap"); !fine) return fine.error();
  return map;
}

}  // namespace rollback::kube
