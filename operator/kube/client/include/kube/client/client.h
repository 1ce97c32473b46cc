// Client: sends kube::Request values to one API server and gives typed errors back. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "http/transport.h"
#include "kube/objects/request.h"

namespace rollback::kube {

// Asked before every mutating request is sent; returns the moment after which it may no longer be sent, or Fenced.
// Leader election installs one (runtime/leader_election.h); without one every write is allowed.
using WriteGate = std::function<Result<Deadline>()>;

// Sees every finished attempt, for metrics: verb, HTTP status (0: none), duration.
using RequestObserver = std::function<void(const Request& request, int status, Millis took)>;

struct ListMeta {
  std::string resourceVersion;
  std::string continueToken;  // empty: last page
};

struct WatchEvent {
  enum class Type { Added, Modified, Deleted, Bookmark, Error };
  Type type = Type::Error;
  std::string_view object;  // JSON of the object (or Status); valid during the callback
};

class Credentials;

struct ClientOptions {
  std::string userAgent = "framework-rollback-operator";
  Millis requestTimeout{30000};  // each attempt
  int maxAttempts = 10;          // only where a retry is safe, see send()
  // Sent with creates, updates and patches that name none themselves.
  std::string fieldManager = "framework-rollback-operator";
  WriteGate writeGate;
  RequestObserver observer;
  // Called for each distinct Warning header, once.
  std::function<void(const std::string&)> onWarning;
  // Jitter, in [0, 1); the default is a generator of the client's own, seeded by the system.
  std::function<double()> random;
  // Waits between attempts, at most `time`, less if `cancel` is set; the default sleeps. Tests put their own here.
  std::function<void(Millis time, const http::CancelToken& cancel)> pause;
};

class Client {
 public:
  virtual ~Client() = default;

  // Returns the body of a 2xx answer. Errors carry the code, `reason` and message of the server's Status (errors.h).
  // Retries as client-go does (rest/with_retry.go): 429 and 5xx only with Retry-After, any verb, because the server
  // says it did not execute; a lost connection for reads only. A write whose outcome is unknown is never repeated here,
  // not even when a timeout (reason Timeout, ServerTimeout) carries Retry-After. A pause that would outlast `deadline`
  // is not begun. 401: credentials are read again and the request is sent once more. BadInput, and nothing is sent, for
  // a request with a fault() or one that would impersonate twice.
  virtual Result<std::string> send(const Request& request, Deadline deadline, const http::CancelToken& cancel) = 0;

  // Lists in pages of `pageSize` (0: all at once); `onItem` gets each object's JSON as it arrives; an error of onItem's
  // ends the list and is returned. Retries like send() up to the first item of a page, not after it. A continue token
  // that has expired is Expired: start again. ClientOptions::requestTimeout bounds the silence between pieces,
  // `deadline` the whole. ListMeta::resourceVersion is that of the first page.
  virtual Result<ListMeta> list(const Request& request, int pageSize, Deadline deadline,
                                const http::CancelToken& cancel,
                                const std::function<Result<void>(std::string_view item)>& onItem) = 0;

  // Watches until the server ends the stream (ok), `onEvent` returns false (Cancelled) or an error. An ERROR event is
  // returned as its error (410: Expired), not given to onEvent; events of unknown type are left out. `idle` bounds the
  // silence between events. Nothing is retried but a 401: the reflector knows where to resume, and backs off.
  virtual Result<void> watch(const Request& request, Deadline deadline, Millis idle, const http::CancelToken& cancel,
                             const std::function<bool(const WatchEvent& event)>& onEvent) = 0;
};

// `credentials` is asked for transport and Authorization before every attempt, so that rotated material is used at
// once. `clock` must outlive the client.
std::shared_ptr<Client> makeClient(std::shared_ptr<Credentials> credentials, ClientOptions options, const Clock& clock);

}  // namespace rollback::kube
