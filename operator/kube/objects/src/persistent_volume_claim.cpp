#include <nlohmann/json.hpp>

#include "decode.h"
#include "kube/objects/workloads.h"

namespace rollback::kube {

Result<PersistentVolumeClaim> decodePersistentVolumeClaim(std::string_view text) {
  using decode::Fields;
  const auto document = decode::parse(text, "PersistentVolumeClaim");
  if (!document) return document.error();
  std::string fault;
  const Fields object(*document, fault);

  PersistentVolumeClaim claim;
  claim.meta = decode::readMeta(object);
  claim.phase = object.object("status").string("phase");
  claim.capacity = object.object("status").object("capacity").string("storage");

  if (auto fine = decode::check(object, fault, "PersistentVolumeClaim"); !fine) return fine.error();
  return claim;
}

}  // namespace rollback::kube
