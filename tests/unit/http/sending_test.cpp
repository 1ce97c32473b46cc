// What goes out: once, to where it was meant, with what it may hold.
#include <catch2/catch.hpp>
#include <thread>

#include "peer.h"
#include "setting.h"

using namespace rollback;
using namespace rollback::http;
using namespace rollback::http::testing;

namespace {

Request change(const std::string& method, const std::string& body) {
  return {method, "/item", {{"Content-Type", "application/json"}}, body};
}

// Answers a GET, closes the connection once told, and counts what else it reads on any connection.
struct ClosingPeer {
  std::atomic<int> changes{0};
  std::string body;
  Peer peer;

  explicit ClosingPeer(std::optional<PeerTls> tls = {})
      : peer(
            [this](Conversation& with, int) {
              while (const auto asked = with.read()) {
                if (asked->method == "GET") {
                  with.answer(200, "hello");
                  return;
                }
                ++changes;
                body = asked->body;
                with.answer(200, "changed");
              }
            },
            std::move(tls)) {}
};

}  // namespace

TEST_CASE("given a request with everything, when sent, then the server sees it as it was meant") {
  Asked seen;
  Peer peer([&](Conversation& with, int) {
    seen = with.read().value();
    with.answer(201, "made");
    with.waitForClient();
  });
  Request request{"POST",
                  "/apis/a/v1/b%2Fc?labelSelector=a%3Db%2Cc&limit=5",
                  {{"Authorization", "Bearer t"}, {"Content-Type", "application/json"}},
                  "{\"a\": \"\xc3\xa4\"}"};
  const auto answer = transportTo(peer.origin())->send(request, ample(), CancelToken{});
  REQUIRE(answer.ok());
  CHECK(answer->status == 201);
  CHECK(seen.method == "POST");
  CHECK(seen.target == "/apis/a/v1/b%2Fc?labelSelector=a%3Db%2Cc&limit=5");
  CHECK(seen.headers["authorization"] == "Bearer t");
  CHECK(seen.headers["content-type"] == "application/json");
  CHECK(seen.headers["host"] == "127.0.0.1:" + std::to_string(peer.port()));
  CHECK(seen.body == request.body);
}

TEST_CASE("given a body larger than every buffer, when sent, then it arrives whole") {
  const std::string body(3'000'000, 'b');
  std::string seen;
  Peer peer([&](Conversation& with, int) {
    seen = with.read().value().body;
    with.answer(200, "");
    with.waitForClient();
  });
  REQUIRE(transportTo(peer.origin())->send(change("PUT", body), ample(), CancelToken{}).ok());
  CHECK(seen == body);
}

TEST_CASE("given what a request must not hold, when sent, then BadInput and no connection") {
  Peer peer([](Conversation& with, int) { with.waitForClient(); });
  const auto request = GENERATE(
      Request{"GET", "/a", {{"Authorization", "Bearer secret\n"}}, ""},
      Request{"GET", "/a", {{"X", "a\r\nInjected: b"}}, ""}, Request{"GET", "/a", {{"X: y", "b"}}, ""},
      Request{"GET", "/a", {{"hOst", "elsewhere"}}, ""}, Request{"POST", "/a", {{"Content-Length", "1"}}, "abc"},
      Request{"GE T", "/a", {}, ""}, Request{"GET", "a", {}, ""}, Request{"GET", "//elsewhere/a", {}, ""},
      Request{"GET", "/a b", {}, ""}, Request{"GET", "/a\r\nX: y", {}, ""}, Request{"GET", "/a%zz\x80", {}, ""});
  const auto answer = transportTo(peer.origin())->send(request, ample(), CancelToken{});
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::BadInput);
  CHECK_THAT(answer.error().message, !Catch::Contains("secret"));
  CHECK(peer.connections() == 0);
}

TEST_CASE("given nobody who listens, when sent, then Unavailable") {
  std::string origin;
  {
    origin = Peer([](Conversation&, int) {}).origin();
  }
  const auto answer = transportTo(origin)->send(change("POST", "{}"), ample(), CancelToken{});
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Unavailable);
  CHECK_THAT(answer.error().message, Catch::StartsWith("POST " + origin + "/item: "));
}

TEST_CASE("given a name that does not resolve, when sent, then Unavailable") {
  // An empty label: the resolver refuses it without asking anybody.
  const auto answer = transportTo("http://no..where:80")->send(get("/a"), ample(), CancelToken{});
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Unavailable);
}

TEST_CASE("given pooled connections the server has closed, when a change is sent, then it arrives, once") {
  const bool secure = GENERATE(false, true);
  const Identity authority = makeAuthority("test authority");
  std::optional<PeerTls> tls;
  if (secure) tls = PeerTls{issue(authority, "peer", "IP:127.0.0.1"), ""};
  ClosingPeer server(tls);
  TransportConfig config;
  config.origin = server.peer.origin();
  config.tls.caPem = authority.certificatePem;
  const auto transport = transportTo(config);
  constexpr int pooled = 5;
  std::vector<std::thread> callers;  // at once, so that each opens a connection
  std::atomic<int> answered{0};
  for (int i = 0; i < pooled; ++i) {
    callers.emplace_back([&] { answered += transport->send(get("/a"), ample(), CancelToken{}).ok() ? 1 : 0; });
  }
  for (std::thread& each : callers) each.join();
  REQUIRE(answered == pooled);
  server.peer.waitForClosed(server.peer.connections());
  const auto answer = transport->send(change("PATCH", "{\"a\": 1}"), ample(), CancelToken{});
  REQUIRE(answer.ok());
  CHECK(answer->body == "changed");
  CHECK(server.body == "{\"a\": 1}");
  CHECK(server.changes == 1);
}

TEST_CASE("given a pooled connection that ends after a change was read, when sent, then ConnectionLost and not again") {
  const std::string method =
      GENERATE(std::string("POST"), std::string("PATCH"), std::string("PUT"), std::string("DELETE"));
  const std::string body = GENERATE(std::string("{}"), std::string());
  std::atomic<int> changes{0};
  Peer peer([&](Conversation& with, int) {
    while (const auto asked = with.read()) {
      if (asked->method != "GET") {
        ++changes;
        return;  // closes without an answer
      }
      with.answer(200, "hello");
    }
  });
  const auto transport = transportTo(peer.origin());
  REQUIRE(transport->send(get("/a"), ample(), CancelToken{}).ok());
  const auto answer = transport->send(change(method, body), ample(), CancelToken{});
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::ConnectionLost);
  CHECK(changes == 1);
}

TEST_CASE("given a redirect, when received, then it is an answer and nobody follows it") {
  Peer elsewhere([](Conversation& with, int) { with.waitForClient(); });
  Peer peer([&](Conversation& with, int) {
    with.read();
    with.write("HTTP/1.1 307 X\r\nLocation: " + elsewhere.origin() + "/b\r\nContent-Length: 0\r\n\r\n");
    with.waitForClient();
  });
  Request request = get("/a");
  request.headers = {{"Authorization", "Bearer t"}};
  const auto answer = transportTo(peer.origin())->send(request, ample(), CancelToken{});
  REQUIRE(answer.ok());
  CHECK(answer->status == 307);
  CHECK(answer->header("location") == elsewhere.origin() + "/b");
  CHECK(elsewhere.connections() == 0);
}

TEST_CASE(
    "given as many requests as may be at once, when one more is sent, then it waits for its turn, within its time") {
  Signal asked;
  Signal answer;
  StepClock clock;
  Peer peer([&](Conversation& with, int) {
    while (with.read()) {
      asked.set();
      if (!answer.wait()) return;
      with.answer(200, "hello");
    }
  });
  TransportConfig config;
  config.origin = peer.origin();
  config.maxInFlight = 1;
  const auto transport = transportTo(config, clock);
  bool first = false;
  std::thread other([&] { first = transport->send(get("/a"), Deadline{}, CancelToken{}).ok(); });
  REQUIRE(asked.wait());
  const auto late = transport->send(get("/b"), Deadline::after(clock, Millis(0)), CancelToken{});
  CancelToken token;
  token.cancel();
  const auto cancelled = transport->send(get("/c"), ample(clock), token);
  answer.set();
  const auto second = transport->send(get("/d"), ample(clock), CancelToken{});
  other.join();
  CHECK(first);
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == ErrorCode::Timeout);
  REQUIRE_FALSE(cancelled.ok());
  CHECK(cancelled.error().code == ErrorCode::Cancelled);
  CHECK(second.ok());
}

TEST_CASE("given what cannot be an origin, when a transport is made, then BadInput") {
  TransportConfig config;
  config.origin = GENERATE("", "127.0.0.1:6443", "ftp://a", "http://", "http://a/path", "http://a?q",
                           "https://[::1]:6443", "http://user@a", "http://a b");
  const auto made = makeTransport(config, systemClock());
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().code == ErrorCode::BadInput);
  CHECK_THAT(made.error().message, Catch::Contains(config.origin));
}
