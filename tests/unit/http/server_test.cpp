// The server of /metrics and the probes, asked over raw sockets by clients good and bad.
#include "http/server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "peer.h"

using namespace rollback;
using namespace rollback::http;
using namespace rollback::http::testing;

namespace {

class Visitor {
 public:
  explicit Visitor(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Visitor() { ::close(fd_); }
  Visitor(const Visitor&) = delete;
  Visitor& operator=(const Visitor&) = delete;

  bool connected() const { return connected_; }
  void say(const std::string& text) { (void)::send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  // All until the server closes.
  std::string hear() {
    std::string all;
    char bytes[4096];
    ssize_t got = 0;
    while ((got = ::recv(fd_, bytes, sizeof bytes, 0)) > 0) all.append(bytes, static_cast<std::size_t>(got));
    return all;
  }

 private:
  int fd_;
  bool connected_ = false;
};

std::unique_ptr<Server> start(ServerHandler handler) {
  auto server = startServer("127.0.0.1", 0, std::move(handler));
  REQUIRE(server.ok());
  REQUIRE((*server)->port() != 0);
  return std::move(*server);
}

ServerAnswer echo(const std::string& path, const std::string& query) {
  if (path == "/throws") throw std::runtime_error("secret");
  if (path != "/echo") return {404, "text/plain; charset=utf-8", "no such page\n"};
  return {200, "text/x-echo", path + "|" + query};
}

std::string ask(const Server& server, const std::string& text) {
  Visitor visitor(server.port());
  visitor.say(text);
  return visitor.hear();
}

}  // namespace

TEST_CASE("given a server, when a page is got, then path and query reach the handler and its answer comes back") {
  const auto server = start(echo);
  const std::string answer = ask(*server, "GET /echo?a=b%20c&d HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK_THAT(answer, Catch::StartsWith("HTTP/1.1 200 "));
  CHECK_THAT(answer, Catch::Contains("Content-Type: text/x-echo\r\n"));
  CHECK_THAT(answer, Catch::Contains("Content-Length: 15\r\n"));
  CHECK_THAT(answer, Catch::EndsWith("\r\n\r\n/echo|a=b%20c&d"));
}

TEST_CASE("given a server, when the head of a page is asked for, then the length comes and no body") {
  const auto server = start(echo);
  const std::string answer = ask(*server, "HEAD /echo?q HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK_THAT(answer, Catch::StartsWith("HTTP/1.1 200 "));
  CHECK_THAT(answer, Catch::Contains("Content-Length: 7\r\n"));
  CHECK_THAT(answer, Catch::EndsWith("\r\n\r\n"));
}

TEST_CASE("given a server, when asked what it does not do, then it says so") {
  const auto server = start(echo);
  const auto [text, status] =
      GENERATE(std::pair("GET /other HTTP/1.1\r\nHost: x\r\n\r\n", 404),
               std::pair("GET /throws HTTP/1.1\r\nHost: x\r\n\r\n", 500),
               std::pair("DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n", 405),
               std::pair("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 413),
               std::pair("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n", 400),
               std::pair("GET http://elsewhere/echo HTTP/1.1\r\nHost: x\r\n\r\n", 400),
               std::pair("nonsense\r\n\r\n", 400), std::pair("\x16\x03\x01\x02 TLS\r\n\r\n", 400));
  INFO(text);
  const std::string answer = ask(*server, text);
  CHECK_THAT(answer, Catch::StartsWith("HTTP/1.1 " + std::to_string(status) + " "));
  CHECK_THAT(answer, !Catch::Contains("secret"));
}

TEST_CASE("given a header beyond the limit, when sent, then 431; below it, then an answer") {
  const auto server = start(echo);
  const auto withHeader = [&](std::size_t size) {
    return ask(*server, "GET /echo HTTP/1.1\r\nHost: x\r\nX: " + std::string(size, 'x') + "\r\n\r\n");
  };
  CHECK_THAT(withHeader(16'000), Catch::StartsWith("HTTP/1.1 200 "));
  CHECK_THAT(withHeader(17'000), Catch::StartsWith("HTTP/1.1 431 "));
  CHECK_THAT(withHeader(1'000'000), Catch::StartsWith("HTTP/1.1 431 "));
}

TEST_CASE("given as many silent connections as are allowed, when one leaves, then the one that waits is served") {
  const auto server = start(echo);
  std::vector<std::unique_ptr<Visitor>> silent;
  for (int i = 0; i < 64; ++i) silent.push_back(std::make_unique<Visitor>(server->port()));
  Visitor waiting(server->port());
  waiting.say("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  silent.pop_back();
  CHECK_THAT(waiting.hear(), Catch::StartsWith("HTTP/1.1 200 "));
}

TEST_CASE("given many connections that end without a word, when a page is got, then it comes") {
  const auto server = start(echo);
  for (int i = 0; i < 500; ++i) REQUIRE(Visitor(server->port()).connected());
  CHECK_THAT(ask(*server, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"), Catch::StartsWith("HTTP/1.1 200 "));
}

TEST_CASE("given a connection in the middle of a request, when the server stops, then it is closed and stop returns") {
  const auto server = start(echo);
  Visitor visitor(server->port());
  visitor.say("GET /ec");
  CHECK_THAT(ask(*server, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"), Catch::StartsWith("HTTP/1.1 200 "));
  server->stop();
  server->stop();
  CHECK(visitor.hear().empty());
  CHECK_FALSE(Visitor(server->port()).connected());
}

TEST_CASE("given a handler at work, when the server stops, then stop returns after it") {
  Signal entered;
  Signal go;
  std::atomic<bool> left{false};
  const auto server = start([&](const std::string&, const std::string&) {
    entered.set();
    go.wait();
    left = true;
    return ServerAnswer{};
  });
  Visitor visitor(server->port());
  visitor.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(entered.wait());
  bool leftBefore = false;
  std::thread stopping([&] {
    server->stop();
    leftBefore = left;
  });
  go.set();
  stopping.join();
  CHECK(leftBefore);
}

TEST_CASE("given an address that is taken or is none, when a server is started, then an error that names it") {
  const auto server = start(echo);
  const auto taken = startServer("127.0.0.1", server->port(), echo);
  REQUIRE_FALSE(taken.ok());
  CHECK(taken.error().code == ErrorCode::Unavailable);
  CHECK_THAT(taken.error().message, Catch::Contains("127.0.0.1:" + std::to_string(server->port())));
  const auto none = startServer("localhost", 0, echo);
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == ErrorCode::BadInput);
}
