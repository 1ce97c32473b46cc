// Bodies: how they are framed, how they end, what bounds them.
#include <catch2/catch.hpp>

#include "peer.h"
#include "setting.h"

using namespace rollback;
using namespace rollback::http;
using namespace rollback::http::testing;

namespace {

const std::string chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

struct Streamed {
  Result<void> result;
  int status = 0;
  std::vector<std::string> pieces;
};

Streamed streamFrom(const Peer& peer) {
  Streamed out;
  const auto transport = transportTo(peer.origin());
  out.result = transport->stream(
      get("/watch"), ample(), Millis(15'000), CancelToken{},
      [&](const Response& head) {
        out.status = head.status;
        return true;
      },
      [&](std::string_view bytes) {
        out.pieces.emplace_back(bytes);
        return true;
      });
  return out;
}

}  // namespace

TEST_CASE("given a body with Content-Length in parts, when sent for, then it is whole") {
  const std::string body(200'000, 'x');
  Peer peer([&](Conversation& with, int) {
    with.read();
    with.write("HTTP/1.1 200 OK\r\nX-Name: Value\r\nContent-Length: 200000\r\n\r\n");
    with.write(std::string_view(body).substr(0, 3));
    with.write(std::string_view(body).substr(3));
    with.waitForClient();
  });
  const auto answer = transportTo(peer.origin())->send(get("/a"), ample(), CancelToken{});
  REQUIRE(answer.ok());
  CHECK(answer->status == 200);
  CHECK(answer->header("x-name") == "Value");
  CHECK(answer->header("x-other").empty());
  CHECK(answer->body == body);
}

// The library may hand over the first piece before the head.
TEST_CASE("given many small answers, when read, then each head comes before its body") {
  Peer peer([&](Conversation& with, int) {
    while (with.read()) with.answer(200, "small");
  });
  const auto transport = transportTo(peer.origin());
  int whole = 0;
  for (int i = 0; i < 500; ++i) {
    const auto answer = transport->send(get("/a"), ample(), CancelToken{});
    whole += answer.ok() && answer->status == 200 && answer->body == "small" ? 1 : 0;
  }
  CHECK(whole == 500);
  CHECK(peer.connections() < 50);  // a connection goes back to the pool a moment after its answer
}

TEST_CASE("given a body without length, when the server closes, then it is whole") {
  Peer peer([](Conversation& with, int) {
    with.read();
    with.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
  });
  const auto answer = transportTo(peer.origin())->send(get("/a"), ample(), CancelToken{});
  REQUIRE(answer.ok());
  CHECK(answer->body == "until the end");
}

TEST_CASE("given an answer without body, when sent for, then it ends at its headers") {
  const int status = GENERATE(204, 304);
  Peer peer([&](Conversation& with, int) {
    with.read();
    with.write("HTTP/1.1 " + std::to_string(status) + " X\r\n\r\n");
    with.waitForClient();
  });
  const auto answer = transportTo(peer.origin())->send(get("/a"), ample(), CancelToken{});
  REQUIRE(answer.ok());
  CHECK(answer->status == status);
}

TEST_CASE("given a stream, when a piece arrives, then it is handed over before the next is sent") {
  Signal first;
  Peer peer([&](Conversation& with, int) {
    with.read();
    with.write(chunkedHead);
    with.chunk("one\n");
    if (!first.wait()) return;
    with.chunk("two\n");
    with.chunk("");
    with.waitForClient();
  });
  std::string seen;
  const auto result =
      transportTo(peer.origin())
          ->stream(
              get("/watch"), ample(), Millis(15'000), CancelToken{}, [](const Response&) { return true; },
              [&](std::string_view bytes) {
                seen += bytes;
                first.set();
                return true;
              });
  CHECK(result.ok());
  CHECK(seen == "one\ntwo\n");
}

TEST_CASE("given a stream that ends inside a chunk, when read, then the whole pieces come and ConnectionLost") {
  const std::string half = GENERATE(std::string("a\r\nhalf"), std::string(""));  // or where a size should be
  Peer peer([&](Conversation& with, int) {
    with.read();
    with.write(chunkedHead);
    with.chunk("whole");
    with.write(half);
  });
  const Streamed got = streamFrom(peer);
  CHECK(got.status == 200);
  CHECK(got.pieces == std::vector<std::string>{"whole"});
  REQUIRE_FALSE(got.result.ok());
  CHECK(got.result.error().code == ErrorCode::ConnectionLost);
  CHECK_THAT(got.result.error().message, Catch::Contains("/watch"));
}

TEST_CASE("given a Content-Length that is not kept, when the server closes, then ConnectionLost") {
  Peer peer([](Conversation& with, int) {
    with.read();
    with.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
  });
  const auto answer = transportTo(peer.origin())->send(get("/a"), ample(), CancelToken{});
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::ConnectionLost);
}

TEST_CASE("given a chunk of nonsense size, when read, then an error and not the end of the process") {
  const std::string size = GENERATE(std::string("-3"), std::string("zz"), std::string("ffffffffff"));
  Peer peer([&](Conversation& with, int) {
    with.read();
    with.write(chunkedHead + size + "\r\nabc\r\n0\r\n\r\n");
  });
  const Streamed got = streamFrom(peer);
  REQUIRE_FALSE(got.result.ok());
  INFO(got.result.error().message);
  CHECK((got.result.error().code == ErrorCode::Protocol || got.result.error().code == ErrorCode::ConnectionLost));
}

TEST_CASE("given something that is not HTTP, when sent for, then Protocol") {
  Peer peer([](Conversation& with, int) {
    with.read();
    with.write("SSH-2.0-OpenSSH_9.2\r\n\r\n");
    with.waitForClient();
  });
  const auto answer = transportTo(peer.origin())->send(get("/a"), ample(), CancelToken{});
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Protocol);
}

TEST_CASE("given a status nobody asked for, when sent for, then Protocol") {
  Peer peer([](Conversation& with, int) {
    with.read();
    with.write("HTTP/1.1 100 Continue\r\n\r\n");
    with.waitForClient();
  });
  const auto answer = transportTo(peer.origin())->send(get("/a"), ample(), CancelToken{});
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Protocol);
}

TEST_CASE("given a stream that falls silent, when idle time passes, then Timeout") {
  StepClock clock;
  Peer peer([](Conversation& with, int) {
    with.read();
    with.write(chunkedHead);
    with.chunk("one");
    with.waitForClient();  // returns only because the client gives up
  });
  int pieces = 0;
  const auto result =
      transportTo(peer.origin(), clock)
          ->stream(
              get("/watch"), Deadline{}, Millis(60'000), CancelToken{}, [](const Response&) { return true; },
              [&](std::string_view) {
                ++pieces;
                clock.stepAtEachReading(Millis(40'000));
                return true;
              });
  CHECK(pieces == 1);
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Timeout);
  CHECK_THAT(result.error().message, Catch::Contains("60000 ms"));
  peer.waitForClosed(1);
}

TEST_CASE("given a stream that drips, when the deadline passes, then Timeout though it was never idle") {
  StepClock clock;
  Peer peer([](Conversation& with, int) {
    with.read();
    with.write(chunkedHead);
    while (with.chunk("drip")) continue;
  });
  int pieces = 0;
  const auto result = transportTo(peer.origin(), clock)
                          ->stream(
                              get("/watch"), Deadline::after(clock, Millis(10'000)), Millis(2'000), CancelToken{},
                              [](const Response&) { return true; },
                              [&](std::string_view) {
                                ++pieces;
                                clock.advance(Millis(1'000));
                                return true;
                              });
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Timeout);
  CHECK(pieces == 10);
  peer.waitForClosed(1);
}

TEST_CASE("given a server that never answers, when the deadline passes, then Timeout") {
  StepClock clock;
  Peer peer([&](Conversation& with, int) {
    with.read();
    clock.advance(Millis(60'000));
    with.waitForClient();
  });
  const auto answer = transportTo(peer.origin(), clock)->send(get("/a"), ample(clock), CancelToken{});
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == ErrorCode::Timeout);
  peer.waitForClosed(1);
}

TEST_CASE("given a receiver that has enough, when it says so, then the stream ends and the connection closes") {
  const bool atHead = GENERATE(true, false);
  Peer peer([](Conversation& with, int) {
    with.read();
    with.write(chunkedHead);
    while (with.chunk("more")) continue;
  });
  const auto result = transportTo(peer.origin())
                          ->stream(
                              get("/watch"), ample(), Millis(15'000), CancelToken{},
                              [&](const Response&) { return !atHead; }, [](std::string_view) { return false; });
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Cancelled);
  peer.waitForClosed(1);
}

TEST_CASE(
    "given a body limit, when the answer is one byte larger, then Protocol; when it is as large, then it is whole") {
  const bool chunked = GENERATE(true, false);
  const std::size_t size = GENERATE(std::size_t{1000}, std::size_t{1001});
  Peer peer([&](Conversation& with, int) {
    with.read();
    if (!chunked) return with.answer(200, std::string(size, 'x')), with.waitForClient();
    with.write(chunkedHead);
    with.chunk(std::string(500, 'x'));
    with.chunk(std::string(size - 500, 'x'));
    with.chunk("");
    with.waitForClient();
  });
  TransportConfig config;
  config.origin = peer.origin();
  config.maxBody = 1000;
  const auto answer = transportTo(config)->send(get("/a"), ample(), CancelToken{});
  REQUIRE(answer.ok() == (size <= 1000));
  if (answer) {
    CHECK(answer->body.size() == size);
  } else {
    CHECK(answer.error().code == ErrorCode::Protocol);
  }
}
