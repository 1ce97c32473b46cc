#include "failure.h"

#include <openssl/err.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace rollback::http {
namespace {

enum class Step { Reaching, Handshake, Exchange, Meaning };

struct Row {
  std::string_view text;
  Step step;
};

// The texts of 2.10.18 and 2.10.19 (http_client_asio.cpp, the same in both). What is not here happened during the
// exchange, so the server may have acted on the request: the careful answer for a text nobody has seen.
constexpr Row rows[] = {
    {"Error resolving address", Step::Reaching},
    {"Failed to resolve address", Step::Reaching},
    {"Failed to connect to any resolved endpoint", Step::Reaching},
    {"Error in SSL handshake", Step::Handshake},
    {"Invalid HTTP status line", Step::Meaning},
    {"Invalid chunked response header", Step::Meaning},
    {"the answer has a piece of more than 1 GiB", Step::Meaning},  // our own sink's
};

Step stepOf(const std::string& text) {
  for (const Row& row : rows) {
    if (text.compare(0, row.text.size(), row.text) == 0) return row.step;
  }
  return Step::Exchange;
}

// Above every errno: the library of the error in the high bits, ERR_LIB_SSL or ERR_LIB_X509.
bool isOpenSsl(int number) { return number >= 1 << 23; }

std::string reason(const LibraryFailure& failure) {
  std::string out = failure.text;
  if (isOpenSsl(failure.number)) {
    const char* text = ERR_reason_error_string(static_cast<unsigned long>(failure.number));
    if (text != nullptr) out += std::string(" (") + text + ")";
  } else if (failure.number == ENOENT || failure.number == ECONNABORTED) {
    out += " (the server closed the connection)";  // asio's end of file, as the library renames it
  } else if (failure.number == EHOSTUNREACH) {
    out += " (refused or unreachable)";  // so it reports ECONNREFUSED
  } else if (failure.number > 1) {
    out += std::string(" (") + std::strerror(failure.number) + ")";
  }
  return out;
}

}  // namespace

Error toError(const LibraryFailure& failure, const std::string& what) {
  const std::string start = what + ": " + reason(failure);
  switch (failure.headSeen ? (stepOf(failure.text) == Step::Meaning ? Step::Meaning : Step::Exchange)
                           : stepOf(failure.text)) {
    case Step::Reaching:
      return {ErrorCode::Unavailable, start + "; nothing was sent; check that the server runs and its address"};
    case Step::Handshake:
      if (!isOpenSsl(failure.number)) {
        return {ErrorCode::Unavailable, start + "; nothing was sent; the connection ended during the TLS handshake"};
      }
      return {ErrorCode::Tls, start + "; nothing was sent; check the certificate authority and the server's name"};
    case Step::Meaning:
      return {ErrorCode::Protocol, start + "; check that the address is that of an HTTP/1.1 server"};
    case Step::Exchange:
      break;
  }
  if (failure.stale) {
    return {ErrorCode::Unavailable, what + ": every pooled connection was closed by the server; nothing was sent"};
  }
  if (failure.number == ETIMEDOUT) return {ErrorCode::Timeout, start + "; the server may have acted on it"};
  return {ErrorCode::ConnectionLost, start + "; the server may have acted on it"};
}

}  // namespace rollback::http
