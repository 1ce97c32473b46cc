#include "edge/beast_http.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "mover/outcome.h"

namespace rollback::mover {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using tcp = boost::asio::ip::tcp;

constexpr std::size_t kHeaderLimit = 16 * 1024;

}  // namespace

Result<UrlParts> splitUrl(const std::string& url) {
  const auto refuse = [&](const char* why) {
    return problem(ErrorCode::BadInput, "UrlUnsupported", "the URL " + url + " cannot be probed: " + why);
  };
  for (char c : url)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return refuse("it holds a space or control character");
  if (url.compare(0, 7, "http://") != 0) return refuse("only http:// is");
  const std::size_t end = std::min({url.find('/', 7), url.find('?', 7), url.size()});
  UrlParts out;
  std::string authority = url.substr(7, end - 7);
  out.target = url.substr(end);
  if (out.target.empty() || out.target[0] != '/') out.target = "/" + out.target;
  if (authority.find('@') != std::string::npos) return refuse("it names a user");
  const std::size_t bracket = authority.find(']');
  const std::size_t colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
  out.port = colon == std::string::npos ? "80" : authority.substr(colon + 1);
  out.host = authority.substr(0, colon);
  if (bracket != std::string::npos) out.host = authority.substr(1, bracket - 1);
  if (out.host.empty() || out.port.empty() || out.port.find_first_not_of("0123456789") != std::string::npos)
    return refuse("it names no host and port");
  return out;
}

Result<int> BeastHttp::get(const std::string& url, Deadline deadline) {
  auto parts = splitUrl(url);
  if (!parts) return parts.error();
  const auto left = deadline.left(clock_);
  if (left <= Millis(0)) return Error{ErrorCode::Timeout, "GET " + url + ": no time left"};

  // One operation after the other on a context of its own; the stream's timer bounds each of them.
  boost::asio::io_context context;
  tcp::resolver resolver(context);
  beast::tcp_stream stream(context);
  beast::flat_buffer buffer;
  http::request<http::empty_body> request(http::verb::get, parts->target, 11);
  request.set(http::field::host, parts->host + (parts->port == "80" ? "" : ":" + parts->port));
  request.set(http::field::user_agent, "rollback-mover");
  request.set(http::field::connection, "close");
  http::response_parser<http::buffer_body> parser;
  parser.header_limit(kHeaderLimit);
  parser.body_limit(UINT64_MAX);  // it is not read; "none" would refuse every length (Boost 1.74)
  beast::error_code failed;
  const char* doing = "resolving the name";
  stream.expires_after(std::min(left, Millis(24 * 3600 * 1000)));
  const auto end = [&](beast::error_code error) { failed = error; };
  resolver.async_resolve(parts->host, parts->port, [&](beast::error_code error, tcp::resolver::results_type found) {
    if (error) return end(error);
    doing = "connecting";
    stream.async_connect(found, [&](beast::error_code connectError, const tcp::endpoint&) {
      if (connectError) return end(connectError);
      doing = "sending";
      http::async_write(stream, request, [&](beast::error_code writeError, std::size_t) {
        if (writeError) return end(writeError);
        doing = "waiting for the answer";
        // The header is all that is wanted: the body may be endless.
        http::async_read_header(stream, buffer, parser,
                                [&](beast::error_code readError, std::size_t) { end(readError); });
      });
    });
  });
  context.run_for(std::min(left, Millis(24 * 3600 * 1000)) + Millis(1000));
  if (!context.stopped()) return Error{ErrorCode::Timeout, "GET " + url + ": " + doing + " took too long"};
  if (failed == beast::error::timeout) return Error{ErrorCode::Timeout, "GET " + url + ": " + doing + " took too long"};
  if (failed) return Error{ErrorCode::Unavailable, "GET " + url + ": " + doing + ": " + failed.message()};
  return static_cast<int>(parser.get().result_int());
}

}  // namespace rollback::mover
