#include "runtime/signals.h"

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>

#include "fakes.h"

using namespace rollback::runtime;
using namespace rollback::runtime::fakes;

TEST_CASE("signals: given a first SIGTERM, then the token is set; given a second signal, then the end is at once") {
  std::atomic<int> ends{0};
  StopSignals signals([&] { ++ends; });
  CHECK_FALSE(signals.token().cancelled());
  kill(getpid(), SIGTERM);
  REQUIRE(eventually([&] { return signals.token().cancelled(); }));
  CHECK(ends == 0);
  kill(getpid(), SIGINT);
  CHECK(eventually([&] { return ends == 1; }));
}

TEST_CASE("signals: given none, then the watcher ends with its owner") {
  StopSignals signals([] { FAIL("nobody sent a second signal"); });
  CHECK_FALSE(signals.token().cancelled());
}
