// A small HTTP/1.1 server for /metrics, /healthz and /readyz (Boost.Beast: cpprestsdk's listener can be ended by one
// remote request, docs/architecture.md). GET and HEAD only; everything is bounded: 16 KiB of header, no body,
// 10 s a request, 64 connections.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace rollback::http {

struct ServerAnswer {
  int status = 200;
  std::string contentType = "text/plain; charset=utf-8";
  std::string body;
};

// Called on the server's own thread with the path and the raw query; must not block for long.
using ServerHandler = std::function<ServerAnswer(const std::string& path, const std::string& query)>;

class Server {
 public:
  virtual ~Server() = default;  // stops
  virtual std::uint16_t port() const = 0;
  virtual void stop() = 0;  // idempotent; returns when no handler runs any more
};

// Listens on `address`:`port` (0: any free port) with one thread of its own.
Result<std::unique_ptr<Server>> startServer(const std::string& address, std::uint16_t port, ServerHandler handler);

}  // namespace rollback::http
