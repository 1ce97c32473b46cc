// Transport: HTTP/1.1 requests to one origin. The narrow interface behind which cpprestsdk lives; the simulator's
// in-memory API server is another implementation.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace rollback::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;  // GET, POST, PUT, PATCH, DELETE
  std::string target;  // path and encoded query, "/api/v1/pods?limit=500"
  Headers headers;     // values hold no control characters; refused with BadInput otherwise
  std::string body;
};

struct Response {
  int status = 0;
  Headers headers;  // names lower-cased
  std::string body;

  // Value of the first header of that lower-case name, or empty.
  std::string_view header(std::string_view name) const;
};

// Set once, from any thread; a request that sees it ends with ErrorCode::Cancelled within milliseconds.
class CancelToken {
 public:
  CancelToken();
  void cancel() const;
  bool cancelled() const;
  // Runs `then` once, at cancellation (at once if it has happened). Returns a registration that stops it when
  // destroyed.
  std::shared_ptr<void> onCancel(std::function<void()> then) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Thread-safe. Every call blocks its caller, never a pool thread, and returns by `deadline` (plus milliseconds).
class Transport {
 public:
  virtual ~Transport() = default;

  // One request, whole answer, at most `maxBody` bytes (Protocol error beyond). A request with a body is never sent
  // twice by the transport. ErrorCode::Unavailable: nothing reached the server; Timeout, ConnectionLost: it may have.
  virtual Result<Response> send(const Request& request, Deadline deadline, const CancelToken& cancel) = 0;

  // A streamed answer. `onHead` sees status and headers first; `onBytes` then gets the bytes in pieces and is
  // back-pressure: not much more than 128 KiB is read before it returns. Each piece comes at once, those of an answer
  // whose Content-Length is known within a second. Either returns false to end the stream (Cancelled).
  // `idle` bounds the silence between pieces (Timeout), `deadline` the whole. A clean end returns ok.
  virtual Result<void> stream(const Request& request, Deadline deadline, Millis idle, const CancelToken& cancel,
                              const std::function<bool(const Response& head)>& onHead,
                              const std::function<bool(std::string_view bytes)>& onBytes) = 0;
};

// PEM material for one origin. Only `caPem` is trusted when it is set; the system's store otherwise.
struct TlsConfig {
  std::string caPem;
  std::string certificatePem;  // client certificate chain and key; both or neither
  std::string keyPem;
  std::string serverName;  // verified instead of the host in the URL when set
  bool insecureSkipVerify = false;
};

struct TransportConfig {
  std::string origin;  // "https://10.97.0.1:6443"
  TlsConfig tls;
  std::size_t maxBody = 64u << 20;  // bytes
  int maxInFlight = 32;             // unary requests at once; more wait for their turn within their deadline
};

// Call once, before threads are started: sizes cpprestsdk's thread pool (its default is 40) and takes OpenSSL's default
// trust store out of the way where every connection would parse it (40 ms of CPU each).
// It does so through SSL_CERT_FILE and SSL_CERT_DIR of this process, which child processes inherit.
void initializeTransport(int threads);

// SSL_CERT_FILE and SSL_CERT_DIR as they were before that, for a child process that makes its own TLS connections. No
// value: it was not set, and must not be in the child, since programs differ in what they take for the default.
std::vector<std::pair<std::string, std::optional<std::string>>> trustEnvironment();

Result<std::shared_ptr<Transport>> makeTransport(const TransportConfig& config, const Clock& clock);

}  // namespace rollback::http
