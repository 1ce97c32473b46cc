// Client::send: what goes over the wire, and what is sent again.
#include <catch2/catch.hpp>

#include "fakes.h"

namespace rollback::kube {
namespace {

using namespace fakes;
using Catch::Matchers::Contains;

const http::Headers kRetryAfter2{{"retry-after", "2"}};

Request readOne() { return get(resources::kPods, "demo", "shop-0"); }
Request writeOne() { return patch(resources::kDeployments, "demo", "shop", PatchType::Merge, R"({"spec":{}})"); }

TEST_CASE("given a read, when it is sent, then it carries who asks and nothing of a write") {
  Bench bench;
  bench.transport->script = {answer(200, "{\"kind\":\"Pod\"}")};
  const auto body = bench.send(readOne());
  REQUIRE(body.ok());
  CHECK(*body == "{\"kind\":\"Pod\"}");
  REQUIRE(bench.transport->requests.size() == 1);
  const http::Request& sent = bench.transport->requests[0];
  CHECK(sent.method == "GET");
  CHECK(sent.target == "/api/v1/namespaces/demo/pods/shop-0");
  CHECK(headerOf(sent, "Authorization") == "Bearer token-0");
  CHECK(headerOf(sent, "Accept") == "application/json");
  CHECK(headerOf(sent, "User-Agent") == "framework-rollback-operator");
  CHECK(headerOf(sent, "Content-Type") == "");
  CHECK(headerOf(sent, "Impersonate-User") == "");
}

TEST_CASE("every kind of write has its content type, and its field manager unless it names one") {
  Request dry = create(resources::kJobs, "demo", "{}");
  dry.query = {{"dryRun", "All"}};
  Request named = patch(resources::kJobs, "demo", "j", PatchType::Apply, "{}");
  named.query = {{"fieldManager", "other"}, {"force", "true"}};
  struct Row {
    Request request;
    const char* type;
    const char* query;
  };
  const std::string ours = "fieldManager=framework-rollback-operator";
  const Row rows[] = {
      {dry, "application/json", "?dryRun=All&fieldManager=framework-rollback-operator"},
      {updateStatus(resources::kJobs, "demo", "j", "{}"), "application/json",
       "?fieldManager=framework-rollback-operator"},
      {patch(resources::kJobs, "demo", "j", PatchType::Json, "[]"), "application/json-patch+json",
       "?fieldManager=framework-rollback-operator"},
      {patch(resources::kJobs, "demo", "j", PatchType::Merge, "{}"), "application/merge-patch+json",
       "?fieldManager=framework-rollback-operator"},
      {patch(resources::kJobs, "demo", "j", PatchType::StrategicMerge, "{}"), "application/strategic-merge-patch+json",
       "?fieldManager=framework-rollback-operator"},
      {named, "application/apply-patch+yaml", "?fieldManager=other&force=true"},
      {remove(resources::kJobs, "demo", "j", "u", ""), "application/json", ""},
  };
  for (const Row& row : rows) {
    INFO(row.request.describe());
    Bench bench;
    bench.transport->script = {answer(200, "{}")};
    REQUIRE(bench.send(row.request).ok());
    const http::Request& sent = bench.transport->requests[0];
    CHECK(headerOf(sent, "Content-Type") == row.type);
    const std::size_t query = sent.target.find('?');
    CHECK((query == std::string::npos ? "" : sent.target.substr(query)) == row.query);
    CHECK(sent.body == row.request.body);
  }
}

TEST_CASE(
    "given an apply, which the server reads as YAML, then what JSON and YAML disagree on is written the common way") {
  const std::pair<std::string, std::string> rows[] = {
      {R"({"a":"b","n":1.5,"x":[true,null]})", R"({"a":"b","n":1.5,"x":[true,null]})"},
      {"\"\xE2\x80\xA8 \xE2\x80\xA9 \xC2\x85\"", R"("\u2028 \u2029 \u0085")"},  // line breaks to YAML only
      {"\"\x7F \xC2\x80 \xC2\x9F \xEF\xBB\xBF \xEF\xBF\xBF\"", R"("\u007f \u0080 \u009f \ufeff \uffff")"},
      {"\"\xC2\xA0 \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80\"", "\"\xC2\xA0 \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80\""},
      {R"("\ud83d\ude00")", "\"\xF0\x9F\x98\x80\""},  // YAML has no surrogate pairs
      {R"("\uD83D\uDE00x\udbff\udfff")", "\"\xF0\x9F\x98\x80x\xF4\x8F\xBF\xBF\""},
      {R"("\/ \\/ \" \n \u0007 \u2028")", R"("/ \\/ \" \n \u0007 \u2028")"},
      {R"("\\ud83d\\ude00")", R"("\\ud83d\\ude00")"},                                      // a backslash, not an escape
      {R"("\ud83d \ude00 \ud83d\u0041 \ud83")", R"("\ud83d \ude00 \ud83d\u0041 \ud83")"},  // malformed stays so
      {"\"\x80 \xC3", "\"\x80 \xC3"},
      {"\\", "\\"},
  };
  for (const auto& [given, sent] : rows) {
    INFO(given);
    for (const PatchType type : {PatchType::Apply, PatchType::Merge}) {
      Bench bench;
      bench.transport->script = {answer(200, "{}")};
      REQUIRE(bench.send(patch(resources::kConfigMaps, "demo", "a", type, given)).ok());
      CHECK(bench.transport->requests[0].body == (type == PatchType::Apply ? sent : given));
    }
  }
}

TEST_CASE("given a ServiceAccount to act as, when a request is sent, then it impersonates it in its own namespace") {
  Bench bench;
  bench.transport->script = {answer(201, "{}")};
  Request job = create(resources::kJobs, "demo", "{}");
  job.asServiceAccount = "rollback-runner";
  REQUIRE(bench.send(job).ok());
  CHECK(headerOf(bench.transport->requests[0], "Impersonate-User") == "system:serviceaccount:demo:rollback-runner");
}

TEST_CASE("given a kubeconfig that impersonates, then its user is sent, and a second impersonation is refused") {
  Bench bench;
  bench.credentials->as = "alice";
  bench.transport->script = {answer(200, "{}")};
  REQUIRE(bench.send(readOne()).ok());
  CHECK(headerOf(bench.transport->requests[0], "Impersonate-User") == "alice");
  Request both = readOne();
  both.asServiceAccount = "rollback-runner";
  const auto refused = bench.send(both);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::BadInput);
  CHECK_THAT(refused.error().message, Contains("alice"));
  CHECK(bench.transport->requests.size() == 1);
}

TEST_CASE("given a request with a fault, then nothing is sent") {
  Bench bench;
  const auto refused = bench.send(remove(resources::kPods, "demo", "", "u", ""));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == ErrorCode::BadInput);
  CHECK(bench.transport->requests.empty());
}

TEST_CASE("an error names the request and keeps what the server said, but never a body") {
  Bench bench;
  bench.transport->script = {status(409, "Conflict")};
  const auto conflict =
      bench.send(patch(resources::kDeployments, "demo", "shop", PatchType::Merge, R"({"password":"s3cret"})"));
  REQUIRE_FALSE(conflict.ok());
  CHECK(conflict.error().code == ErrorCode::Conflict);
  CHECK(conflict.error().httpStatus == 409);
  CHECK(conflict.error().reason == "Conflict");
  CHECK(conflict.error().message == "PATCH deployments demo/shop: the API server answered 409 Conflict: because");
}

TEST_CASE("which answers are asked for again is a table") {
  const auto lost = failure(ErrorCode::ConnectionLost);
  struct Row {
    const char* what;
    Answer first;
    bool readAgain, writeAgain;
  };
  const Row rows[] = {
      {"429 with Retry-After", status(429, "TooManyRequests", kRetryAfter2), true, true},
      {"429 without", status(429, "TooManyRequests"), false, false},
      {"503 with Retry-After", status(503, "ServiceUnavailable", kRetryAfter2), true, true},
      {"503 without", status(503, "ServiceUnavailable"), false, false},
      {"500 InternalError without", status(500, "InternalError"), false, false},
      {"a timeout with Retry-After: a write may have been stored", status(504, "Timeout", kRetryAfter2), true, false},
      {"a server timeout with Retry-After", status(500, "ServerTimeout", kRetryAfter2), true, false},
      {"a bare 504 with Retry-After", answer(504, "<html>", kRetryAfter2), true, false},
      {"a bad gateway with Retry-After", answer(502, "<html>", kRetryAfter2), true, true},
      {"409 with Retry-After", status(409, "Conflict", kRetryAfter2), false, false},
      {"410", status(410, "Expired", kRetryAfter2), false, false},
      {"404", status(404, "NotFound"), false, false},
      {"422", status(422, "Invalid"), false, false},
      {"403", status(403, "Forbidden"), false, false},
      {"a lost connection", lost, true, false},
      {"no answer in time", failure(ErrorCode::Timeout), false, false},
      {"a refused connection", failure(ErrorCode::Unavailable), false, false},
      {"an untrusted peer", failure(ErrorCode::Tls), false, false},
      {"nonsense", failure(ErrorCode::Protocol), false, false},
      {"a cancellation", failure(ErrorCode::Cancelled), false, false},
  };
  for (const Row& row : rows) {
    for (const bool write : {false, true}) {
      INFO(row.what << (write ? ", a write" : ", a read"));
      Bench bench;
      bench.transport->script = {row.first, answer(200, "{}")};
      const auto result = bench.send(write ? writeOne() : readOne());
      const bool again = write ? row.writeAgain : row.readAgain;
      CHECK(result.ok() == again);
      CHECK(bench.transport->requests.size() == (again ? 2 : 1));
      CHECK(bench.pauses.size() == (again ? 1 : 0));
    }
  }
}

TEST_CASE("given a server that asks to wait, then the pause is never shorter, and jitter only adds") {
  for (const double random : {0.0, 0.5, 0.999}) {
    Bench bench;
    bench.random = random;
    bench.transport->script = {status(429, "TooManyRequests", {{"retry-after", "4"}}), answer(200, "{}")};
    REQUIRE(bench.send(readOne()).ok());
    REQUIRE(bench.pauses.size() == 1);
    CHECK(bench.pauses[0].count() == Millis::rep(4000 * (1 + 0.25 * random)));
  }
}

TEST_CASE(
    "given a server that asks for no wait, or connections that are lost, then pauses grow by themselves up to a "
    "limit") {
  Bench refused;
  for (int i = 0; i < 9; ++i)
    refused.transport->script.push_back(status(429, "TooManyRequests", {{"retry-after", "0"}}));
  refused.transport->script.push_back(answer(200, "{}"));
  REQUIRE(refused.send(readOne()).ok());
  const std::vector<Millis> expected{Millis(100),  Millis(200),  Millis(400),  Millis(800), Millis(1600),
                                     Millis(3200), Millis(5000), Millis(5000), Millis(5000)};
  CHECK(refused.pauses == expected);

  Bench lost;
  lost.random = 0.5;
  lost.transport->script = {failure(ErrorCode::ConnectionLost), failure(ErrorCode::ConnectionLost), answer(200, "{}")};
  REQUIRE(lost.send(readOne()).ok());
  CHECK(lost.pauses == std::vector<Millis>{Millis(75), Millis(150)});
}

TEST_CASE("given a server that never recovers, then after ten attempts its last error is returned") {
  Bench bench;
  for (int i = 0; i < 12; ++i)
    bench.transport->script.push_back(status(503, "ServiceUnavailable", {{"retry-after", "1"}}));
  const auto result = bench.send(readOne());
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Unavailable);
  CHECK(result.error().retryAfter == std::chrono::seconds(1));
  CHECK(bench.transport->requests.size() == 10);
}

TEST_CASE("given a pause that would outlast the deadline, then it is not begun") {
  Bench bench;
  bench.transport->script = {status(429, "TooManyRequests", {{"retry-after", "30"}}), answer(200, "{}")};
  const auto result = bench.send(readOne(), Millis(10000));
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::TooManyRequests);
  CHECK(bench.pauses.empty());
  CHECK(bench.transport->requests.size() == 1);
}

TEST_CASE("each attempt is bounded by the request timeout and by the caller's deadline") {
  Bench bench;
  bench.options.requestTimeout = Millis(30000);
  bench.transport->script = {answer(200, "{}"), answer(200, "{}")};
  const MonoTime start = bench.clock.now();
  REQUIRE(bench.send(readOne(), Millis(100000)).ok());
  REQUIRE(bench.send(readOne(), Millis(7000)).ok());
  CHECK(bench.transport->deadlines[0].at == start + Millis(30000));
  CHECK(bench.transport->deadlines[1].at == start + Millis(7000));
}

TEST_CASE("given no time left or a cancellation, then nothing is sent") {
  Bench bench;
  const auto late = bench.send(readOne(), Millis(0));
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().code == ErrorCode::Timeout);
  bench.cancel.cancel();
  const auto cancelled = bench.send(readOne());
  REQUIRE_FALSE(cancelled.ok());
  CHECK(cancelled.error().code == ErrorCode::Cancelled);
  CHECK(bench.transport->requests.empty());
}

TEST_CASE("given a cancellation during a pause, then there is no further attempt") {
  Bench bench;
  bench.transport->script = {status(429, "TooManyRequests", kRetryAfter2), answer(200, "{}")};
  bench.options.random = [] { return 0.0; };
  bench.options.pause = [&](Millis, const http::CancelToken& token) { token.cancel(); };
  const auto client = makeClient(bench.credentials, bench.options, bench.clock);
  const auto result = client->send(readOne(), bench.in(Millis(60000)), bench.cancel);
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Cancelled);
  CHECK(bench.transport->requests.size() == 1);
}

TEST_CASE(
    "given the client's own pause and a token that is cancelled meanwhile, then it does not wait the whole time") {
  Bench bench;
  bench.transport->script = {status(429, "TooManyRequests", {{"retry-after", "500"}})};
  bench.transport->script.front().also = [&] { bench.cancel.cancel(); };
  const auto client = makeClient(bench.credentials, ClientOptions{}, bench.clock);
  const auto result = client->send(readOne(), bench.in(Millis(3600000)), bench.cancel);  // would take 500 s
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Cancelled);
}

TEST_CASE("given a 401, then credentials older than the request are dropped and it is sent once more, a write too") {
  for (const bool write : {false, true}) {
    Bench bench;
    bench.transport->script = {status(401, "Unauthorized"), answer(200, "{}")};
    const MonoTime sent = bench.clock.now();
    REQUIRE(bench.send(write ? writeOne() : readOne()).ok());
    REQUIRE(bench.credentials->rejections.size() == 1);
    CHECK(bench.credentials->rejections[0] == sent);
    CHECK(headerOf(bench.transport->requests[1], "Authorization") == "Bearer token-1");
    CHECK(bench.pauses.empty());
  }
  Bench bench;
  bench.transport->script = {status(401, "Unauthorized"), status(401, "Unauthorized"), answer(200, "{}")};
  const auto result = bench.send(readOne());
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::Unauthorized);
  CHECK(bench.transport->requests.size() == 2);
}

TEST_CASE("given credentials that cannot be had, then nothing is sent and the error says why") {
  Bench bench;
  bench.credentials->transportError = Error{ErrorCode::Tls, "no CA"};
  const auto result = bench.send(readOne());
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().message == "GET pods demo/shop-0: no CA");
}

TEST_CASE("given a write gate, then reads pass by it and writes ask it before every attempt") {
  Bench bench;
  int asked = 0;
  bench.options.writeGate = [&]() -> Result<Deadline> {
    ++asked;
    return bench.in(Millis(5000));
  };
  bench.transport->script = {answer(200, "{}"), status(429, "TooManyRequests", {{"retry-after", "1"}}),
                             answer(200, "{}")};
  REQUIRE(bench.send(readOne()).ok());
  CHECK(asked == 0);
  const MonoTime start = bench.clock.now();
  REQUIRE(bench.send(writeOne()).ok());
  CHECK(asked == 2);
  CHECK(bench.transport->deadlines[1].at == start + Millis(5000));  // never beyond what the gate allows
}

TEST_CASE(
    "given a closed gate, or one that closes while credentials are fetched, then a write is fenced and never sent") {
  Bench closed;
  closed.options.writeGate = []() -> Result<Deadline> { return Error{ErrorCode::Fenced, "not the leader"}; };
  const auto fenced = closed.send(writeOne());
  REQUIRE_FALSE(fenced.ok());
  CHECK(fenced.error().code == ErrorCode::Fenced);
  CHECK(closed.transport->requests.empty());

  Bench late;
  late.options.writeGate = [&]() -> Result<Deadline> { return Deadline{late.clock.now()}; };
  const auto tooLate = late.send(writeOne());
  REQUIRE_FALSE(tooLate.ok());
  CHECK(tooLate.error().code == ErrorCode::Fenced);
  CHECK(late.transport->requests.empty());
}

TEST_CASE("given an observer, then it sees every attempt with its status and duration") {
  Bench bench;
  std::vector<std::string> seen;
  bench.options.observer = [&](const Request& request, int code, Millis took) {
    seen.push_back(std::string(request.method()) + " " + std::to_string(code) + " " + std::to_string(took.count()));
  };
  bench.transport->script = {failure(ErrorCode::ConnectionLost), status(404, "NotFound")};
  bench.transport->script[0].takes = Millis(12);
  bench.transport->script[1].takes = Millis(3);
  CHECK_FALSE(bench.send(readOne()).ok());
  CHECK(seen == std::vector<std::string>{"GET 0 12", "GET 404 3"});
}

TEST_CASE("given warnings, then each distinct text is shown once, however it is written") {
  Bench bench;
  std::vector<std::string> shown;
  bench.options.onWarning = [&](const std::string& text) { shown.push_back(text); };
  const auto client = bench.client();
  const auto seeing = [&](std::vector<std::string> values) {
    Answer next = answer(200, "{}");
    for (auto& value : values) next.headers.emplace_back("warning", value);
    bench.transport->script.push_back(next);
    REQUIRE(client->send(readOne(), bench.in(Millis(60000)), bench.cancel).ok());
  };
  seeing({R"(299 - "v1beta1 is deprecated")", R"(299 - "unknown field \"x\", and \\")"});
  seeing({R"(299 - "v1beta1 is deprecated")"});
  seeing({R"(299 - "a, b" "Tue, 24 Nov 2026 03:00:00 GMT", 299 agent "c")"});
  seeing({R"(199 - "other code")", "299 - \"forged\nline\x1b\"", R"(299 - "not closed)", "", "299", R"(299 - "")"});
  CHECK(shown ==
        std::vector<std::string>{"v1beta1 is deprecated", R"(unknown field "x", and \)", "a, b", "c", "forged line "});
}

TEST_CASE("given a warning on an error or on a stream, then it is shown as well") {
  Bench bench;
  std::vector<std::string> shown;
  bench.options.onWarning = [&](const std::string& text) { shown.push_back(text); };
  bench.transport->script = {status(404, "NotFound", {{"warning", R"(299 - "one")"}}),
                             answer(200, "", {{"warning", R"(299 - "two")"}})};
  CHECK_FALSE(bench.send(readOne()).ok());
  CHECK(bench.client()
            ->watch(list(resources::kPods, ""), bench.in(Millis(1000)), Millis(100), bench.cancel,
                    [](const WatchEvent&) { return true; })
            .ok());
  CHECK(shown == std::vector<std::string>{"one", "two"});
}

}  // namespace
}  // namespace rollback::kube
