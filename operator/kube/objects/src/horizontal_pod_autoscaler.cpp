#include <nlohmann/json.hpp>

#include "decode.h"
#include "kube/objects/workloads.h"

namespace rollback::kube {

Result<HorizontalPodAutoscaler> decodeHorizontalPodAutoscaler(std::string_view text) {
  using decode::Fields;
  const auto document = decode::parse(text, "HorizontalPodAutoscaler");
  if (!document) return document.error();
  std::string fault;
  const Fields object(*document, fault);

  HorizontalPodAutoscaler autoscaler;
  autoscaler.meta = decode::readMeta(object);
  const Fields target = object.object("spec").object("scaleTargetRef");
  autoscaler.targetKind = target.string("kind");
  autoscaler.targetName = target.string("name");

  if (auto fine = decode::check(object, fault, "HorizontalPodAutoscaler"); !fine) return fine.error();
  return autoscaler;
}

}  // namespace rollback::kube
