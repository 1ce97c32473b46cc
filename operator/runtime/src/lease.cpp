#include "lease.h"

#include <nlohmann/json.hpp>

namespace rollback::runtime {
namespace {

using nlohmann::json;

const Error kNoLease{ErrorCode::Protocol, "what the API server sent is no Lease"};

std::string text(const json& spec, const char* key) {
  const auto found = spec.find(key);
  return found != spec.end() && found->is_string() ? found->get<std::string>() : "";
}

int integer(const json& spec, const char* key) {
  const auto found = spec.find(key);
  return found != spec.end() && found->is_number_integer() ? found->get<int>() : 0;
}

}  // namespace

Result<Lease> decodeLease(std::string_view document) {
  const json object = json::parse(document, nullptr, false);
  if (!object.is_object() || !object.contains("metadata")) return kNoLease;
  const json spec = object.value("spec", json::object());
  if (!spec.is_object()) return kNoLease;
  Lease lease;
  lease.object = std::string(document);
  lease.spec = spec.dump(-1, ' ', false, json::error_handler_t::replace);
  lease.record.holder = text(spec, "holderIdentity");
  lease.record.durationSeconds = integer(spec, "leaseDurationSeconds");
  lease.record.acquireTime = text(spec, "acquireTime");
  lease.record.renewTime = text(spec, "renewTime");
  lease.record.transitions = integer(spec, "leaseTransitions");
  return lease;
}

std::string encodeLease(const std::string& document, const std::string& namespace_, const std::string& name,
                        const LeaseRecord& record) {
  json object = document.empty() ? json::object() : json::parse(document, nullptr, false);
  if (!object.is_object()) object = json::object();
  object["apiVersion"] = "coordination.k8s.io/v1";
  object["kind"] = "Lease";
  object["metadata"]["namespace"] = namespace_;
  object["metadata"]["name"] = name;
  json& spec = object["spec"];
  spec["holderIdentity"] = record.holder;
  spec["leaseDurationSeconds"] = record.durationSeconds;
  spec["acquireTime"] = record.acquireTime;
  spec["renewTime"] = record.renewTime;
  spec["leaseTransitions"] = record.transitions;
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace rollback::runtime
