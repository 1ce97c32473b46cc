// What a program of ours answers over HTTP: /healthz, /readyz, /metrics. Plain HTTP: nothing here is secret.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "http/server.h"
#include "runtime/health.h"
#include "runtime/metrics.h"

namespace rollback::runtime {

// Null: that path is 404. All outlive the server.
struct Endpoints {
  const Health* healthz = nullptr;
  const Health* readyz = nullptr;
  const Registry* metrics = nullptr;
};

http::ServerHandler endpointsHandler(Endpoints endpoints);

// `bindAddress` is ":8081", "127.0.0.1:8081" or "[::1]:8081"; port 0 is any free one. BadInput if it is not that.
Result<std::unique_ptr<http::Server>> serveEndpoints(const std::string& bindAddress, Endpoints endpoints);

}  // namespace rollback::runtime
