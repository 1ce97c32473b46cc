#include "runtime/http_endpoints.h"

#include <charconv>
#include <optional>

namespace rollback::runtime {
namespace {

// What follows `prefix` in `path` ("" or "/…"), if it is that path or below it.
std::optional<std::string> below(const std::string& path, const std::string& prefix) {
  if (path.compare(0, prefix.size(), prefix) != 0) return std::nullopt;
  std::string rest = path.substr(prefix.size());
  if (!rest.empty() && rest[0] != '/') return std::nullopt;
  return rest;
}

}  // namespace

http::ServerHandler endpointsHandler(Endpoints endpoints) {
  return [endpoints](const std::string& path, const std::string& query) {
    if (const auto rest = below(path, "/healthz"); rest && endpoints.healthz)
      return endpoints.healthz->answer(*rest, query);
    if (const auto rest = below(path, "/readyz"); rest && endpoints.readyz)
      return endpoints.readyz->answer(*rest, query);
    http::ServerAnswer answer;
    if (path == "/metrics" && endpoints.metrics) {
      answer.contentType = "text/plain; version=0.0.4; charset=utf-8";
      answer.body = endpoints.metrics->expose();
      return answer;
    }
    answer.status = 404;
    answer.body = "not found\n";
    return answer;
  };
}

Result<std::unique_ptr<http::Server>> serveEndpoints(const std::string& bindAddress, Endpoints endpoints) {
  const Error malformed{
      ErrorCode::BadInput,
      "'" + bindAddress + "' is no address to listen on: use ':8081', '127.0.0.1:8081' or '[::1]:8081'"};
  const std::size_t colon = bindAddress.rfind(':');
  if (colon == std::string::npos) return malformed;
  std::string address = bindAddress.substr(0, colon);
  const bool bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']';
  if (bracketed) address = address.substr(1, address.size() - 2);
  if (!bracketed && address.find(':') != std::string::npos) return malformed;
  const char* const end = bindAddress.data() + bindAddress.size();
  std::uint16_t port = 0;
  const auto parsed = std::from_chars(bindAddress.data() + colon + 1, end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end) return malformed;
  const http::ServerHandler handler = endpointsHandler(endpoints);
  if (!address.empty()) return http::startServer(address, port, handler);
  // "::" answers IPv4 as well; where the kernel has no IPv6 it cannot be bound.
  Result<std::unique_ptr<http::Server>> both = http::startServer("::", port, handler);
  return both ? std::move(both) : http::startServer("0.0.0.0", port, handler);
}

}  // namespace rollback::runtime
