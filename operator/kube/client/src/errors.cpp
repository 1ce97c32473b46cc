#include "kube/client/errors.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace rollback::kube {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxMessage = 2048;
constexpr std::int64_t kMaxRetryAfter = 24 * 3600;  // seconds; more is a broken clock or a broken proxy

struct Mapping {
  const char* reason;
  ErrorCode code;
};

// metav1.StatusReason, all of them; a reason that is not here leaves the decision to the HTTP status.
constexpr Mapping kReasons[] = {
    {"Unauthorized", ErrorCode::Unauthorized},
    {"Forbidden", ErrorCode::Forbidden},
    {"NotFound", ErrorCode::NotFound},
    {"AlreadyExists", ErrorCode::AlreadyExists},
    {"Conflict", ErrorCode::Conflict},
    {"Gone", ErrorCode::Expired},
    {"Expired", ErrorCode::Expired},
    {"Invalid", ErrorCode::Invalid},
    {"ServerTimeout", ErrorCode::Timeout},
    {"Timeout", ErrorCode::Timeout},
    {"TooManyRequests", ErrorCode::TooManyRequests},
    {"BadRequest", ErrorCode::BadInput},
    {"MethodNotAllowed", ErrorCode::BadInput},
    {"NotAcceptable", ErrorCode::BadInput},
    {"RequestEntityTooLarge", ErrorCode::BadInput},
    {"UnsupportedMediaType", ErrorCode::BadInput},
    {"InternalError", ErrorCode::Unavailable},
    {"ServiceUnavailable", ErrorCode::Unavailable},
    {"StoreReadError", ErrorCode::Unavailable},
};

ErrorCode codeOfStatus(int status) {
  switch (status) {
    case 401:
      return ErrorCode::Unauthorized;
    case 403:
      return ErrorCode::Forbidden;
    case 404:
      return ErrorCode::NotFound;
    case 409:
      return ErrorCode::Conflict;
    case 410:
      return ErrorCode::Expired;
    case 422:
      return ErrorCode::Invalid;
    case 429:
      return ErrorCode::TooManyRequests;
    case 504:
      return ErrorCode::Timeout;
    default:
      break;
  }
  if (status >= 500) return ErrorCode::Unavailable;
  if (status >= 400) return ErrorCode::BadInput;
  return ErrorCode::Protocol;  // 1xx, 3xx: redirects are not followed, credentials would go with them
}

std::string text(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<std::chrono::seconds> boundedSeconds(std::int64_t seconds) {
  if (seconds < 0) return std::nullopt;
  return std::chrono::seconds(std::min(seconds, kMaxRetryAfter));
}

// Seconds only, like client-go; the HTTP date form would be judged by two clocks.
std::optional<std::chrono::seconds> retryAfterHeader(const http::Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (name != "retry-after") continue;
    std::int64_t seconds = 0;
    const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (fault == std::errc() && end == value.data() + value.size()) return boundedSeconds(seconds);
  }
  return std::nullopt;
}

bool contains(const std::string& haystack, const char* needle) { return haystack.find(needle) != std::string::npos; }

// How servers of all ages say that a resourceVersion is from the future: a cause (1.19 and later), a cause's message
// (1.17 to 1.18.5), the message (before), the last two only on timeouts (client-go isTooLargeResourceVersionError).
bool tooLarge(const json& status, const std::string& reason, const std::string& message) {
  bool causeMessage = false;
  const json details = status.value("details", json::object());
  const json causes = details.is_object() ? details.value("causes", json::array()) : json::array();
  for (const json& cause : causes) {
    if (!cause.is_object()) continue;
    if (text(cause, "reason") == kTooLargeResourceVersion) return true;
    if (text(cause, "message") == "Too large resource version") causeMessage = true;
  }
  return reason == "Timeout" && (causeMessage || contains(message, "Too large resource version"));
}

std::string cut(std::string message) {
  if (message.size() <= kMaxMessage) return message;
  std::size_t end = kMaxMessage;
  while (end > 0 && (static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;  // not inside a UTF-8 sequence
  return message.substr(0, end) + "…";
}

}  // namespace

Error statusError(int httpStatus, std::string_view body, const http::Headers& headers) {
  Error error;
  error.httpStatus = httpStatus;
  error.code = codeOfStatus(httpStatus);
  error.retryAfter = retryAfterHeader(headers);
  const std::string answered = "the API server answered " + std::to_string(httpStatus);

  const json status = json::parse(body.begin(), body.end(), nullptr, /*allow_exceptions=*/false);
  if (!status.is_object() || text(status, "kind") != "Status") {
    error.message =
        answered + " without saying why (" + std::to_string(body.size()) + " bytes that are no Status object";
    error.message +=
        httpStatus >= 300 && httpStatus < 400 ? "; redirects are not followed, correct the server's address)" : ")";
    return error;
  }

  error.reason = text(status, "reason");
  for (const Mapping& each : kReasons) {
    if (error.reason == each.reason) error.code = each.code;
  }
  const std::string message = text(status, "message");
  const auto details = status.find("details");
  if (!error.retryAfter && details != status.end() && details->is_object()) {
    const auto seconds = details->find("retryAfterSeconds");
    if (seconds != details->end() && seconds->is_number_integer() && *seconds > 0) {
      error.retryAfter = boundedSeconds(seconds->get<std::int64_t>());
    }
  }
  if (tooLarge(status, error.reason, message)) {
    error.code = ErrorCode::Expired;
    error.reason = kTooLargeResourceVersion;
  }
  error.message =
      answered + (error.reason.empty() ? "" : " " + error.reason) + (message.empty() ? "" : ": " + cut(message));
  return error;
}

}  // namespace rollback::kube
