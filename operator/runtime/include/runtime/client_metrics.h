// rest_client_* metrics of a kube::Client, under the names client-go gives them.
#pragma once

#include <string>

#include "kube/client/client.h"
#include "runtime/metrics.h"

namespace rollback::runtime {

// For ClientOptions::observer. `host` is the label; `metrics` outlives the client.
kube::RequestObserver requestMetrics(Registry& metrics, const std::string& host);

}  // namespace rollback::runtime
