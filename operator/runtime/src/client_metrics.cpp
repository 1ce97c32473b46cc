#include "runtime/client_metrics.h"

namespace rollback::runtime {

kube::RequestObserver requestMetrics(Registry& metrics, const std::string& host) {
  return [&metrics, host](const kube::Request& request, int status, Millis took) {
    const std::string code = status == 0 ? "<error>" : std::to_string(status);
    metrics
        .counter("rest_client_requests_total", "Requests to the API server, by status code.",
                 {{"code", code}, {"host", host}, {"method", request.method()}})
        .add();
    if (request.verb == kube::Verb::Watch) return;  // its length says nothing about the server
    metrics
        .histogram("rest_client_request_duration_seconds", "Time of a request to the API server.", secondsBuckets(),
                   {{"host", host}, {"verb", request.method()}})
        .observe(static_cast<double>(took.count()) / 1000);
  };
}

}  // namespace rollback::runtime
