#include "runtime/http_endpoints.h"

#include <charconv>
#include <cstdint>

namespace rollback::runtime {
namespace {

struct Address {
  std::string host;  // empty: every interface
  std::uint16_t port = 0;
};

Result<Address> parseAddress(const std::string& text) {
  const Error malformed{ErrorCode::BadInput, "\"" + text + "\" is not an address to listen on; give \":8081\", \"127.0.0.1:8081\" or \"[::1]:8081\""};
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return malformed;
  Address address{text.substr(0, colon), 0};
  const char* const begin = text.data() + colon + 1;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(begin, end, address.port);
  if (begin == end || stopped != end || error != std::errc()) return malformed;
  if (!address.host.empty() && address.host.front() == '[') {
    if (address.host.size() < 3 || address.host.back() != ']') return malformed;
    address.host = address.host.substr(1, address.host.size() - 2);
  } else if (address.host.find(':') != std::string::npos) {
    return malformed;
  }
  return address;
}

// What follows `prefix` if `path` is it or below it.
bool below(const std::string& path, const std::string& prefix, std::string& rest) {
  if (path.compare(0, prefix.size(), prefix) != 0) return false;
  rest = path.substr(prefix.size());
  return rest.empty() || rest.front() == '/';
}

}  // namespace

http::ServerHandler endpointsHandler(Endpoints endpoints) {
  return [endpoints](const std::string& path, const std::string& query) -> http::ServerAnswer {
    std::string rest;
    if (endpoints.healthz && below(path, "/healthz", rest)) return endpoints.healthz->answer(rest, query);
    if (endpoints.readyz && below(path, "/readyz", rest)) return endpoints.readyz->answer(rest, query);
    if (endpoints.metrics && path == "/metrics") {
      return {200, "text/plain; version=0.0.4; charset=utf-8", endpoints.metrics->expose()};
    }
    return {404, "text/plain; charset=utf-8", "not found\n"};
  };
}

Result<std::unique_ptr<http::Server>> serveEndpoints(const std::string& bindAddress, Endpoints endpoints) {
  const Result<Address> address = parseAddress(bindAddress);
  if (!address) return address.error();
  const http::ServerHandler handler = endpointsHandler(endpoints);
  if (!address->host.empty()) return http::startServer(address->host, address->port, handler);
  // "::" answers IPv4 too; where the kernel has no IPv6, it cannot be bound.
  auto server = http::startServer("::", address->port, handler);
  return server ? std::move(server) : http::startServer("0.0.0.0", address->port, handler);
}

}  // namespace rollback::runtime
