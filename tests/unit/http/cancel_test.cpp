// Cancellation, in every state a request can be in.
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "peer.h"
#include "setting.h"

using namespace rollback;
using namespace rollback::http;
using namespace rollback::http::testing;

namespace {

// Sends on a thread of its own and cancels once `ready` is set.
template <typename Call>
ErrorCode cancelledWhen(Signal& ready, const CancelToken& token, Call call) {
  std::optional<Error> error;
  std::thread caller([&] {
    const auto result = call();
    if (!result) error = result.error();
  });
  const bool came = ready.wait();
  token.cancel();
  caller.join();
  REQUIRE(came);
  REQUIRE(error.has_value());
  return error->code;
}

}  // namespace

TEST_CASE("given a token, when cancelled, then each callback runs once, also one that comes later") {
  CancelToken token;
  int early = 0;
  int late = 0;
  int gone = 0;
  const auto registration = token.onCancel([&] { ++early; });
  token.onCancel([&] { ++gone; });  // destroyed at once
  CHECK_FALSE(token.cancelled());
  const CancelToken same = token;
  same.cancel();
  token.cancel();
  const auto afterwards = token.onCancel([&] { ++late; });
  CHECK(token.cancelled());
  CHECK(early == 1);
  CHECK(late == 1);
  CHECK(gone == 0);
}

TEST_CASE("given a cancelled token, when sent, then Cancelled and no connection") {
  Peer peer([](Conversation& with, int) { with.waitForClient(); });
  CancelToken token;
  token.cancel();
  const auto answer = transportTo(peer.origin())->send(get("/a"), ample(), token);
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Cancelled);
  CHECK(peer.connections() == 0);
}

TEST_CASE("given a request without answer, when cancelled, then Cancelled and the connection is closed") {
  Signal asked;
  Peer peer([&](Conversation& with, int) {
    with.read();
    asked.set();
    with.waitForClient();
  });
  const auto transport = transportTo(peer.origin());
  CancelToken token;
  CHECK(cancelledWhen(asked, token, [&] { return transport->send(get("/a"), ample(), token); }) ==
        ErrorCode::Cancelled);
  peer.waitForClosed(1);
}

TEST_CASE("given a TLS handshake the server does not answer, when cancelled, then Cancelled") {
  Signal greeted;
  Peer peer([&](Conversation& with, int) {
    greeted.set();  // connected; the client can only be waiting for the server's part of the handshake
    with.waitForClient();
  });
  const auto transport = transportTo("https://127.0.0.1:" + std::to_string(peer.port()));
  CancelToken token;
  CHECK(cancelledWhen(greeted, token, [&] { return transport->send(get("/a"), ample(), token); }) ==
        ErrorCode::Cancelled);
  peer.waitForClosed(1);
}

TEST_CASE("given a body the server does not read, when cancelled while it is written, then Cancelled") {
  Signal begun;
  Signal done;
  Peer peer([&](Conversation& with, int) {
    std::string line;
    with.readLine(line);
    begun.set();
    done.wait();
  });
  const auto transport = transportTo(peer.origin());
  CancelToken token;
  const Request request{"PUT", "/a", {}, std::string(32u << 20, 'x')};
  const ErrorCode code = cancelledWhen(begun, token, [&] { return transport->send(request, ample(), token); });
  done.set();
  CHECK(code == ErrorCode::Cancelled);
}

TEST_CASE("given a stream between two pieces, when cancelled, then Cancelled and the connection is closed") {
  Signal piece;
  Peer peer([&](Conversation& with, int) {
    with.read();
    with.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    with.chunk("one");
    with.waitForClient();
  });
  const auto transport = transportTo(peer.origin());
  CancelToken token;
  const ErrorCode code = cancelledWhen(piece, token, [&] {
    return transport->stream(
        get("/watch"), ample(), Millis(15'000), token, [](const Response&) { return true; },
        [&](std::string_view) {
          piece.set();
          return true;
        });
  });
  CHECK(code == ErrorCode::Cancelled);
  peer.waitForClosed(1);
}

TEST_CASE("given a stream that never pauses, when cancelled by its receiver's token, then no further piece comes") {
  Peer peer([&](Conversation& with, int) {
    with.read();
    with.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (with.chunk("more")) continue;
  });
  CancelToken token;
  int pieces = 0;
  const auto result = transportTo(peer.origin())
                          ->stream(
                              get("/watch"), ample(), Millis(15'000), token, [](const Response&) { return true; },
                              [&](std::string_view) {
                                if (++pieces == 3) token.cancel();
                                return true;
                              });
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Cancelled);
  CHECK(pieces == 3);
  peer.waitForClosed(1);
}

TEST_CASE(
    "given more streams than pool threads, when all are ended with a piece on its way, then others are still served") {
  constexpr int streams = 40;
  Peer peer([&](Conversation& with, int number) {
    with.read();
    if (number > streams) return with.answer(200, "hello");
    with.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (with.chunk("more")) continue;
  });
  const auto transport = transportTo(peer.origin());
  std::atomic<int> holding{0};
  Signal all;
  std::vector<std::thread> callers;
  for (int each = 0; each < streams; ++each) {
    callers.emplace_back([&] {
      (void)transport->stream(
          get("/watch"), ample(), Millis(60'000), CancelToken{}, [](const Response&) { return true; },
          [&](std::string_view) {
            if (++holding == streams) all.set();
            all.wait();
            return false;
          });
    });
  }
  for (std::thread& each : callers) each.join();
  peer.waitForClosed(streams);
  CHECK(holding == streams);
  CHECK(transport->send(get("/a"), ample(), CancelToken{}).ok());
}

TEST_CASE("given a request that waits for its turn, when cancelled, then Cancelled and nothing is sent") {
  Signal asked;
  Signal answer;
  std::atomic<int> requests{0};
  Peer peer([&](Conversation& with, int) {
    while (with.read()) {
      ++requests;
      asked.set();
      if (!answer.wait()) return;
      with.answer(200, "hello");
    }
  });
  TransportConfig config;
  config.origin = peer.origin();
  config.maxInFlight = 1;
  const auto transport = transportTo(config);
  std::thread first([&] { CHECK_NOTHROW(transport->send(get("/a"), ample(), CancelToken{}).ok()); });
  const bool came = asked.wait();
  CancelToken token;
  Signal now;
  now.set();
  const ErrorCode code = cancelledWhen(now, token, [&] { return transport->send(get("/b"), ample(), token); });
  answer.set();
  first.join();
  CHECK(came);
  CHECK(code == ErrorCode::Cancelled);
  CHECK(requests == 1);
}

TEST_CASE(
    "given a receiver that throws, when a piece arrives, then its exception passes and the connection is closed") {
  Peer peer([&](Conversation& with, int) {
    with.read();
    with.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    with.chunk("one");
    with.waitForClient();
  });
  const auto transport = transportTo(peer.origin());
  CHECK_THROWS_AS((void)transport->stream(
                      get("/watch"), ample(), Millis(15'000), CancelToken{}, [](const Response&) { return true; },
                      [](std::string_view) -> bool { throw std::runtime_error("full"); }),
                  std::runtime_error);
  peer.waitForClosed(1);
}
