// Client::list and Client::watch over streams that arrive in any pieces.
#include <catch2/catch.hpp>

#include "fakes.h"

namespace rollback::kube {
namespace {

using namespace fakes;
using Catch::Matchers::Contains;

const Request kList = list(resources::kPods, "demo", "app=shop");

Result<ListMeta> collect(Bench& bench, std::vector<std::string>& items, int pageSize = 500,
                         const Request& request = kList) {
  return bench.client()->list(request, pageSize, bench.in(Millis(60000)), bench.cancel, [&](std::string_view item) {
    items.emplace_back(item);
    return Result<void>{};
  });
}

std::string page(const std::string& items, const std::string& version, const std::string& next = "") {
  return R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":")" + version + R"(","continue":")" +
         next + R"("},"items":[)" + items + "]}";
}

TEST_CASE(
    "given a list of several pages, then every item is delivered and the first page's resourceVersion is returned") {
  Bench bench;
  Request request = kList;
  request.query.emplace_back("resourceVersion", "0");
  request.query.emplace_back("resourceVersionMatch", "NotOlderThan");
  bench.transport->script = {answer(200, page(R"({"n":1},{"n":2})", "10", "a+b=")),
                             answer(200, page(R"({"n":3})", "11", "c")), answer(200, page("", "12"))};
  std::vector<std::string> items;
  const auto meta = collect(bench, items, 2, request);
  REQUIRE(meta.ok());
  CHECK(items == std::vector<std::string>{R"({"n":1})", R"({"n":2})", R"({"n":3})"});
  CHECK(meta->resourceVersion == "10");
  CHECK(meta->continueToken.empty());
  const std::string path = "/api/v1/namespaces/demo/pods?labelSelector=app%3Dshop";
  REQUIRE(bench.transport->requests.size() == 3);
  CHECK(bench.transport->requests[0].target == path + "&resourceVersion=0&resourceVersionMatch=NotOlderThan&limit=2");
  CHECK(bench.transport->requests[1].target == path + "&limit=2&continue=a%2Bb%3D");  // a token names its own version
  CHECK(bench.transport->requests[2].target == path + "&limit=2&continue=c");
}

TEST_CASE("given a page size of 0, then no limit is asked for; silence is bounded by the request timeout") {
  Bench bench;
  bench.options.requestTimeout = Millis(17000);
  bench.transport->script = {answer(200, page("", "5"))};
  std::vector<std::string> items;
  REQUIRE(collect(bench, items, 0).ok());
  CHECK(bench.transport->requests[0].target == "/api/v1/namespaces/demo/pods?labelSelector=app%3Dshop");
  CHECK(bench.transport->idles[0] == Millis(17000));
}

TEST_CASE("given an answer in single bytes, then the items are the same") {
  Bench bench;
  Answer slow;
  for (const char c : page(R"({"n":1},{"s":"}]\","})", "10")) slow.pieces.emplace_back(1, c);
  bench.transport->script = {slow};
  std::vector<std::string> items;
  REQUIRE(collect(bench, items).ok());
  CHECK(items == std::vector<std::string>{R"({"n":1})", R"({"s":"}]\","})"});
}

TEST_CASE("given a continue token that expired, then the list is Expired and nothing is repeated") {
  Bench bench;
  bench.transport->script = {answer(200, page(R"({"n":1})", "10", "old")), status(410, "Expired")};
  std::vector<std::string> items;
  const auto meta = collect(bench, items);
  REQUIRE_FALSE(meta.ok());
  CHECK(meta.error().code == ErrorCode::Expired);
  CHECK(bench.transport->requests.size() == 2);
}

TEST_CASE("given a page that fails before its first item, then it is asked for again like any read") {
  Bench bench;
  bench.transport->script = {status(429, "TooManyRequests", {{"retry-after", "1"}}),
                             answer(200, page(R"({"n":1})", "10", "x")), failure(ErrorCode::ConnectionLost),
                             answer(200, page(R"({"n":2})", "10"))};
  std::vector<std::string> items;
  REQUIRE(collect(bench, items).ok());
  CHECK(items == std::vector<std::string>{R"({"n":1})", R"({"n":2})"});
  CHECK(bench.pauses.size() == 2);
}

TEST_CASE("given a page that breaks off after an item, then the list fails instead of delivering twice") {
  Bench bench;
  Answer broken;
  broken.pieces = {R"({"kind":"PodList","metadata":{},"items":[{"n":1},{"n)"};
  broken.end = Error{ErrorCode::ConnectionLost, "cut"};
  bench.transport->script = {broken, answer(200, page(R"({"n":1})", "10"))};
  std::vector<std::string> items;
  const auto meta = collect(bench, items);
  REQUIRE_FALSE(meta.ok());
  CHECK(meta.error().code == ErrorCode::ConnectionLost);
  CHECK(items.size() == 1);
  CHECK(bench.transport->requests.size() == 1);
}

TEST_CASE("given a reader that fails on an item, then its error ends the list") {
  Bench bench;
  bench.transport->script = {answer(200, page(R"({"n":1},{"n":2})", "10", "more"))};
  int seen = 0;
  const auto meta =
      bench.client()->list(kList, 500, bench.in(Millis(60000)), bench.cancel, [&](std::string_view) -> Result<void> {
        ++seen;
        return Error{ErrorCode::Protocol, "cannot read it"};
      });
  REQUIRE_FALSE(meta.ok());
  CHECK_THAT(meta.error().message, Contains("LIST pods demo") && Contains("cannot read it"));
  CHECK(seen == 1);
  CHECK(bench.transport->requests.size() == 1);
}

TEST_CASE("given an answer that is no list, then it is a Protocol error") {
  for (const char* body : {R"({"kind":"Pod","metadata":{}})", R"({"kind":"Table","rows":[]})", R"({"metadata":{}})",
                           R"({"kind":"List"})"}) {
    INFO(body);
    Bench bench;
    bench.transport->script = {answer(200, body)};
    std::vector<std::string> items;
    const auto meta = collect(bench, items);
    REQUIRE_FALSE(meta.ok());
    CHECK(meta.error().code == ErrorCode::Protocol);
  }
}

TEST_CASE("given a list that is refused, then the Status is decoded from the stream, in whatever pieces") {
  Bench bench;
  Answer refused;
  refused.status = 403;
  for (const char c : std::string(R"({"kind":"Status","reason":"Forbidden","message":"no list for you"})"))
    refused.pieces.emplace_back(1, c);
  bench.transport->script = {refused};
  std::vector<std::string> items;
  const auto meta = collect(bench, items);
  REQUIRE_FALSE(meta.ok());
  CHECK(meta.error().code == ErrorCode::Forbidden);
  CHECK_THAT(meta.error().message, Contains("no list for you"));
}

TEST_CASE("given an endless error body, then reading it ends") {
  Bench bench;
  Answer flood;
  flood.status = 502;
  flood.pieces.assign(100, std::string(64 << 10, 'x'));
  bench.transport->script = {flood};
  std::vector<std::string> items;
  const auto meta = collect(bench, items);
  REQUIRE_FALSE(meta.ok());
  CHECK(meta.error().code == ErrorCode::Unavailable);
}

struct Seen {
  std::vector<std::pair<WatchEvent::Type, std::string>> events;
  std::size_t stopAfter = 1000;
};

Result<void> follow(Bench& bench, Seen& seen, Deadline deadline = {}) {
  Request request = kList;
  request.query.emplace_back("resourceVersion", "7");
  return bench.client()->watch(request, deadline, Millis(70000), bench.cancel, [&](const WatchEvent& event) {
    seen.events.emplace_back(event.type, std::string(event.object));
    return seen.events.size() < seen.stopAfter;
  });
}

TEST_CASE("given a watch stream cut anywhere, then every event arrives once with its object's bytes as they were") {
  const std::string stream = R"({"type":"ADDED","object":{"n":1,"s":"}\"{"}})"
                             "\n"
                             R"({"object":{"n":2},"type":"MODIFIED"})"
                             "\n\n"
                             R"( { "extra" : [ {"object":{}} , "x" ] , "type" : "DELETED" , "object" : { "n" : 3 } } )"
                             "\r\n"
                             R"({"type":"NOVEL","object":{}})"
                             "\n"
                             R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}})"
                             "\n";
  const std::vector<std::pair<WatchEvent::Type, std::string>> expected{
      {WatchEvent::Type::Added, R"({"n":1,"s":"}\"{"})"},
      {WatchEvent::Type::Modified, R"({"n":2})"},
      {WatchEvent::Type::Deleted, R"({ "n" : 3 })"},
      {WatchEvent::Type::Bookmark, R"({"metadata":{"resourceVersion":"9"}})"}};
  for (const std::size_t size : {std::size_t(1), std::size_t(7), stream.size()}) {
    Bench bench;
    Answer cut;
    for (std::size_t at = 0; at < stream.size(); at += size) cut.pieces.push_back(stream.substr(at, size));
    bench.transport->script = {cut};
    Seen seen;
    CHECK(follow(bench, seen).ok());
    CHECK(seen.events == expected);
  }
}

TEST_CASE("given a watch, then it asks for the stream with the caller's query, silence and deadline") {
  Bench bench;
  bench.transport->script = {answer(200, "")};
  Seen seen;
  const Deadline deadline = bench.in(Millis(300000));
  REQUIRE(follow(bench, seen, deadline).ok());
  CHECK(bench.transport->requests[0].target ==
        "/api/v1/namespaces/demo/pods?watch=true&labelSelector=app%3Dshop&resourceVersion=7");
  CHECK(bench.transport->idles[0] == Millis(70000));
  CHECK(bench.transport->deadlines[0].at == deadline.at);
}

TEST_CASE("given an ERROR event, then the watch ends with its error and the reader does not see it") {
  struct Row {
    const char* object;
    ErrorCode code;
    int http;
  };
  const Row rows[] = {
      {R"({"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"})", ErrorCode::Expired,
       410},
      {R"({"kind":"Status","code":410,"reason":"Gone"})", ErrorCode::Expired, 410},
      {R"({"kind":"Status","code":500,"reason":"InternalError"})", ErrorCode::Unavailable, 500},
      {R"({"kind":"Status","reason":"Timeout"})", ErrorCode::Timeout, 500},
      {R"({})", ErrorCode::Unavailable, 500},
  };
  for (const Row& row : rows) {
    INFO(row.object);
    Bench bench;
    bench.transport->script = {answer(200, R"({"type":"ADDED","object":{"n":1}})"
                                           "\n"
                                           R"({"type":"ERROR","object":)" +
                                               std::string(row.object) +
                                               "}\n"
                                               R"({"type":"ADDED","object":{"n":2}})"
                                               "\n")};
    Seen seen;
    const auto end = follow(bench, seen);
    REQUIRE_FALSE(end.ok());
    CHECK(toString(end.error().code) == std::string(toString(row.code)));
    CHECK(end.error().httpStatus == row.http);
    CHECK(seen.events.size() == 1);
  }
}

TEST_CASE("given a reader that has seen enough, then the watch is Cancelled after that event") {
  Bench bench;
  bench.transport->script = {answer(200, R"({"type":"ADDED","object":{"n":1}})"
                                         "\n"
                                         R"({"type":"ADDED","object":{"n":2}})"
                                         "\n")};
  Seen seen;
  seen.stopAfter = 1;
  const auto end = follow(bench, seen);
  REQUIRE_FALSE(end.ok());
  CHECK(end.error().code == ErrorCode::Cancelled);
  CHECK(seen.events.size() == 1);
}

TEST_CASE("given lines that are no events, then the watch is a Protocol error that does not quote them") {
  for (const char* line :
       {"garbage", "{", "{}", "[]", R"({"type":"ADDED"})", R"({"object":{}})", R"({"type":"ADDED","object":[]})",
        R"({"type":5,"object":{}})", R"({"type":"ADDED","object":{}} x)", R"({"type":"ADDED","object":{"a":[}})",
        R"({"type":"ADDED" "object":{}})", R"({"type":"ADDED","object":"s3cret"})",
        R"({"type":"ADDED","object":{"s3cret)"}) {
    INFO(line);
    Bench bench;
    bench.transport->script = {answer(200, std::string(line) + "\n")};
    Seen seen;
    const auto end = follow(bench, seen);
    REQUIRE_FALSE(end.ok());
    CHECK(end.error().code == ErrorCode::Protocol);
    CHECK_THAT(end.error().message, !Contains("s3cret") && Contains("WATCH pods demo"));
    CHECK(seen.events.empty());
  }
}

TEST_CASE("given a watch that fails, then only a 401 is tried again") {
  struct Row {
    Answer first;
    std::size_t requests;
  };
  for (const Row& row :
       {Row{status(401, "Unauthorized"), 2}, Row{status(429, "TooManyRequests", {{"retry-after", "1"}}), 1},
        Row{failure(ErrorCode::ConnectionLost), 1}, Row{failure(ErrorCode::Unavailable), 1},
        Row{status(410, "Expired"), 1}}) {
    Bench bench;
    bench.transport->script = {row.first, answer(200, "")};
    Seen seen;
    CHECK(follow(bench, seen).ok() == (row.requests == 2));
    CHECK(bench.transport->requests.size() == row.requests);
    CHECK(bench.pauses.empty());
  }
}

TEST_CASE(
    "given a stream that ends in the middle of an event, then the transport's error is returned and the piece is no "
    "event") {
  Bench bench;
  Answer cut = answer(200, R"({"type":"ADDED","object":{"n":1}})"
                           "\n"
                           R"({"type":"ADDED","obj)");
  cut.end = Error{ErrorCode::Timeout, "silence"};
  bench.transport->script = {cut};
  Seen seen;
  const auto end = follow(bench, seen);
  REQUIRE_FALSE(end.ok());
  CHECK(end.error().code == ErrorCode::Timeout);
  CHECK(seen.events.size() == 1);
}

}  // namespace
}  // namespace rollback::kube
