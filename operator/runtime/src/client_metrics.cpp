#include "runtime/client_metrics.h"

namespace rollback::runtime {

kube::RequestObserver requestMetrics(Registry& metrics, const std::string& host) {
  return [&metrics, host](const kube::Request& request, int status, Millis took) {
    // client-go's word for an attempt without an answer.
    const std::string code = status == 0 ? "<error>" : std::to_string(status);
    const std::string method = request.method();
    metrics
        .counter("rest_client_requests_total", "Requests to the API server, by status code.",
                 {{"code", code}, {"host", host}, {"method", method}})
        .add();
    metrics
        .histogram("rest_client_request_duration_seconds", "Time of a request to the API server; of a watch, until its end.",
                   secondsBuckets(), {{"host", host}, {"verb", method}})
        .observe(static_cast<double>(took.count()) / 1000);
  };
}

}  // namespace rollback::runtime
