// The ledger makes a rollback run once: one immutable ConfigMap per executed rollback, created before its first effect
// and owned by nobody, so it outlives the rollback, and the Framework.
#pragma once

#include <string>

#include "api/framework_rollback.h"
#include "kube/objects/request.h"
#include "kube/objects/workloads.h"

namespace rollback::reconcilers {

// "frb-ledger-<16 hex>": from framework, rollback name and spec digest, so the same wish applied again finds it.
std::string ledgerName(const api::FrameworkRollback& rollback);
kube::Request createLedger(const api::FrameworkRollback& rollback, const std::string& at);
// The uid of the rollback an entry belongs to; empty if it is not an entry of ours.
std::string ledgerUid(const kube::ConfigMap& entry);

}  // namespace rollback::reconcilers
