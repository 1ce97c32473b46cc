// Errors as values: every fallible call between layers returns Result<T>. Exceptions of libraries are caught where the
// library is called and become an Error there.
//
//   Result<Job> job = decodeJob(text);
//   if (!job) return job.error();
//   use(*job);
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace rollback {

// The closed set of kinds of failure that code decides on. The API server's reasons map onto it (kube/client/errors.h).
enum class ErrorCode {
  BadInput,         // what was given cannot be meant: malformed, out of range, refused by a schema
  NotFound,         // 404
  AlreadyExists,    // 409 reason AlreadyExists
  Conflict,         // 409: resourceVersion or uid precondition failed
  Invalid,          // 422
  Unauthorized,     // 401
  Forbidden,        // 403
  Expired,          // 410 Gone/Expired: the resourceVersion is too old
  TooManyRequests,  // 429
  Unavailable,      // 5xx, connection refused, DNS: nothing was executed as far as is known
  Timeout,          // no answer in time: it may have been executed
  ConnectionLost,   // the connection ended before the answer: it may have been executed
  Cancelled,        // by our own cancellation or shutdown
  Fenced,           // this process is not, or no longer surely, the leader: the request was never sent
  Tls,              // the peer could not be trusted
  Protocol,         // the peer sent what the protocol forbids
  Internal,         // a defect of ours
};

const char* toString(ErrorCode code);

// What was attempted, on what, what happened, what to do: `message` is a sentence a user can act on. Holds no secrets.
struct Error {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
  int httpStatus = 0;                                // 0: not an HTTP answer
  std::string reason{};                              // Status.reason of the API server, empty if none
  std::optional<std::chrono::seconds> retryAfter{};  // what the server asked for
};

// A value or an Error. `operator*` and `operator->` require ok(). Not thread-safe by itself, like the T it holds.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT(google-explicit-constructor): `return value;`
  Result(Error error) : state_(std::move(error)) {}  // NOLINT(google-explicit-constructor): `return error;`

  bool ok() const { return std::holds_alternative<T>(state_); }
  explicit operator bool() const { return ok(); }
  T& operator*() & { return std::get<T>(state_); }
  const T& operator*() const& { return std::get<T>(state_); }
  T&& operator*() && { return std::get<T>(std::move(state_)); }
  T* operator->() { return &std::get<T>(state_); }
  const T* operator->() const { return &std::get<T>(state_); }
  const Error& error() const { return std::get<Error>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace rollback
