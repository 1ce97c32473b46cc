#include "rollback/ledger.h"

#include <nlohmann/json.hpp>

#include "api/digest.h"
#include "api/resources.h"

namespace rollback::reconcilers {

std::string ledgerName(const api::FrameworkRollback& rollback) {
  return "frb-ledger-" +
         api::sha256Hex(rollback.spec.frameworkName + "\n" + rollback.meta.name + "\n" + rollback.specDigest)
             .substr(0, 16);
}

kube::Request createLedger(const api::FrameworkRollback& rollback, const std::string& at) {
  const nlohmann::json body = {{"apiVersion", "v1"},
                               {"kind", "ConfigMap"},
                               {"metadata",
                                {{"name", ledgerName(rollback)},
                                 {"namespace", rollback.meta.namespace_},
                                 {"labels",
                                  {{api::kLabelManagedBy, api::kFieldManager},
                                   {api::kLabelFramework, rollback.spec.frameworkName},
                                   {api::kLabelOwnerKind, "Ledger"}}}}},
                               {"immutable", true},
                               {"data",
                                {{"framework", rollback.spec.frameworkName},
                                 {"rollback", rollback.meta.name},
                                 {"uid", rollback.meta.uid},
                                 {"specDigest", rollback.specDigest},
                                 {"at", at}}}};
  auto request = kube::create(kube::resources::kConfigMaps, rollback.meta.namespace_, body.dump());
  request.asServiceAccount = api::kRunner;
  return request;
}

std::string ledgerUid(const kube::ConfigMap& entry) {
  const auto uid = entry.data.find("uid");
  return uid == entry.data.end() ? std::string() : uid->second;
}

}  // namespace rollback::reconcilers
