#include "runtime/health.h"

#include <catch2/catch.hpp>

#include "runtime/http_endpoints.h"

using namespace rollback;
using namespace rollback::runtime;

namespace {

Result<void> fine() { return {}; }
Result<void> broken() { return Error{ErrorCode::Unavailable, "not synced: pods"}; }

}  // namespace

TEST_CASE("health: given checks that pass, then the answer is ok; verbose lists them") {
  Health health("readyz");
  health.add("caches", fine);
  CHECK(health.answer("", "").status == 200);
  CHECK(health.answer("", "").body == "ok");
  CHECK(health.answer("/", "").body == "ok");
  CHECK(health.answer("", "verbose").body == "[+]ping ok\n[+]caches ok\nreadyz check passed\n");
  CHECK(health.answer("", "verbose=true").body == "[+]ping ok\n[+]caches ok\nreadyz check passed\n");
}

TEST_CASE("health: given a check that fails, then the answer is 500 and says which and why") {
  Health health("readyz");
  health.add("caches", broken);
  health.add("disk", fine);
  CHECK(health.answer("", "").status == 500);
  CHECK(health.answer("", "").body ==
        "[+]ping ok\n[-]caches failed: not synced: pods\n[+]disk ok\nreadyz check failed\n");
}

TEST_CASE("health: given a path below, then one check answers; an unknown one is 404") {
  Health health("healthz");
  health.add("good", fine);
  health.add("bad", broken);
  CHECK(health.answer("/good", "").status == 200);
  CHECK(health.answer("/bad", "").status == 500);
  CHECK(health.answer("/ping", "").status == 200);
  CHECK(health.answer("/other", "").status == 404);
}

TEST_CASE("health: given excluded checks, then they do not decide") {
  Health health("readyz");
  health.add("a", broken);
  health.add("b", broken);
  CHECK(health.answer("", "exclude=a").status == 500);
  const http::ServerAnswer answer = health.answer("", "exclude=a&exclude=b&verbose");
  CHECK(answer.status == 200);
  CHECK(answer.body == "[+]ping ok\n[+]a excluded: ok\n[+]b excluded: ok\nreadyz check passed\n");
}

TEST_CASE("endpoints: given paths, then each goes where it belongs, and nothing else is there") {
  Health healthz("healthz"), readyz("readyz");
  readyz.add("caches", broken);
  Registry metrics;
  metrics.counter("things_total", "Things.").add();
  const http::ServerHandler both = endpointsHandler({&healthz, &readyz, &metrics});
  CHECK(both("/healthz", "").status == 200);
  CHECK(both("/readyz", "").status == 500);
  CHECK(both("/readyz/ping", "").status == 200);
  CHECK(both("/readyzebra", "").status == 404);
  CHECK(both("/", "").status == 404);
  CHECK(both("/metrics", "").body == "# HELP things_total Things.\n# TYPE things_total counter\nthings_total 1\n");
  CHECK(both("/metrics", "").contentType == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(both("/metrics/x", "").status == 404);
  const http::ServerHandler probesOnly = endpointsHandler({&healthz, &readyz, nullptr});
  CHECK(probesOnly("/metrics", "").status == 404);
}

TEST_CASE("endpoints: given addresses, then those one can listen on are served, the others refused by name") {
  Health healthz("healthz");
  for (const char* address : {"127.0.0.1:0", ":0"}) {
    const auto server = serveEndpoints(address, {&healthz, nullptr, nullptr});
    INFO(address);
    REQUIRE(server.ok());
    CHECK((*server)->port() != 0);
  }
  for (const char* address : {"", "8081", "localhost", ":x", ":70000", "::1:80", "127.0.0.1:80x", "127.0.0.1:"}) {
    const auto server = serveEndpoints(address, {&healthz, nullptr, nullptr});
    INFO(address);
    REQUIRE_FALSE(server.ok());
    CHECK(server.error().code == ErrorCode::BadInput);
  }
}
