#include "kube/objects/meta.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "decode.h"
#include "kube/objects/document.h"
#include "kube/objects/workloads.h"

namespace rollback::kube {

void setCondition(std::vector<Condition>& conditions, Condition next) {
  const auto present =
      std::find_if(conditions.begin(), conditions.end(), [&](const Condition& each) { return each.type == next.type; });
  if (present == conditions.end()) {
    conditions.push_back(std::move(next));
    return;
  }
  if (present->status == next.status) next.lastTransitionTime = present->lastTransitionTime;
  *present = std::move(next);
}

const Condition* findCondition(const std::vector<Condition>& conditions, const std::string& type) {
  for (const Condition& each : conditions) {
    if (each.type == type) return &each;
  }
  return nullptr;
}

Result<nlohmann::json> decodeObject(std::string_view text, ObjectMeta& meta) {
  auto document = decode::parse(text, "object");
  if (!document) return document;
  std::string fault;
  const decode::Fields object(*document, fault);
  meta = decode::readMeta(object);
  const std::string kind = object.string("kind");
  if (auto fine = decode::check(object, fault, kind.empty() ? "object" : kind); !fine) return fine.error();
  return document;
}

Result<ObjectMeta> decodeMeta(std::string_view text) {
  ObjectMeta meta;
  if (const auto document = decodeObject(text, meta); !document) return document.error();
  return meta;
}

}  // namespace rollback::kube
