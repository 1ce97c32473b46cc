#include "runtime/controller.h"

#include <catch2/catch.hpp>
#include <set>
#include <stdexcept>
#include <thread>

#include "fakes.h"

using namespace rollback;
using namespace rollback::runtime;
using namespace rollback::runtime::fakes;

namespace {

struct Reconciled : Bench {
  std::function<Result<ReconcileResult>(const std::string&, const ReconcileContext&)> then;
  std::unique_ptr<Controller> controller;
  explicit Reconciled(int workers = 1) {
    controller = std::make_unique<Controller>(
        ControllerOptions{"rollback", workers},
        [this](const std::string& key, const ReconcileContext& context) { return then(key, context); }, timing(),
        metrics);
  }
  std::string total(const std::string& result) {
    return metric(R"(controller_runtime_reconcile_total{controller="rollback",result=")" + result + R"("})");
  }
  std::string count(const std::string& name) {
    return metric("controller_runtime_" + name + R"({controller="rollback"})");
  }
  Millis due() { return *controller->queue().nextDue() - clock.now(); }
};

}  // namespace

TEST_CASE("controller: given nothing done yet, then all its series are there at zero") {
  Reconciled r(3);
  for (const char* result : {"success", "error", "requeue", "requeue_after"}) CHECK(r.total(result) == "0");
  for (const char* name : {"reconcile_errors_total", "terminal_reconcile_errors_total", "reconcile_panics_total",
                           "reconcile_timeouts_total", "active_workers"}) {
    CHECK(r.count(name) == "0");
  }
  CHECK(r.count("max_concurrent_reconciles") == "3");
}

TEST_CASE("controller: given a success, then the key rests; given requeueAfter, then it comes again after that") {
  Reconciled r;
  std::optional<Millis> again;
  r.then = [&](const std::string&, const ReconcileContext&) -> Result<ReconcileResult> {
    return ReconcileResult{again, {}};
  };
  r.controller->enqueue("demo/a");
  CHECK(r.controller->processNext());
  CHECK_FALSE(r.controller->processNext());
  CHECK_FALSE(r.controller->queue().nextDue());
  CHECK(r.total("success") == "1");

  again = Millis(60000);
  r.controller->enqueue("demo/a");
  r.controller->processNext();
  CHECK(r.due() == Millis(60000));
  CHECK(r.total("requeue_after") == "1");
  r.clock.advance(Millis(60000));
  again = Millis(0);
  CHECK(r.controller->processNext());
  CHECK(r.due() == Millis(5));  // "now" has a back-off
  CHECK(r.total("requeue") == "1");
}

TEST_CASE("controller: given errors, then they are retried later and later, and a success forgets them") {
  Reconciled r;
  bool fails = true;
  r.then = [&](const std::string&, const ReconcileContext&) -> Result<ReconcileResult> {
    if (fails) return Error{ErrorCode::Unavailable, "no"};
    return ReconcileResult{};
  };
  r.controller->enqueue("demo/a");
  r.controller->processNext();
  CHECK(r.due() == Millis(5));
  r.clock.advance(Millis(5));
  r.controller->processNext();
  CHECK(r.due() == Millis(10));
  CHECK(r.count("reconcile_errors_total") == "2");
  fails = false;
  r.clock.advance(Millis(10));
  r.controller->processNext();
  CHECK(r.controller->queue().requeues("demo/a") == 0);
}

TEST_CASE("controller: given an error with Retry-After, then the server's wish is kept") {
  Reconciled r;
  r.then = [&](const std::string&, const ReconcileContext&) -> Result<ReconcileResult> {
    return Error{ErrorCode::TooManyRequests, "later", 429, "", std::chrono::seconds(9)};
  };
  r.controller->enqueue("demo/a");
  r.controller->processNext();
  CHECK(r.due() == Millis(9000));
}

TEST_CASE("controller: given a terminal error, then it is counted and not retried") {
  Reconciled r;
  r.then = [&](const std::string&, const ReconcileContext&) -> Result<ReconcileResult> {
    return ReconcileResult{{}, Error{ErrorCode::BadInput, "never"}};
  };
  r.controller->enqueue("demo/a");
  r.controller->processNext();
  CHECK_FALSE(r.controller->queue().nextDue());
  CHECK(r.count("terminal_reconcile_errors_total") == "1");
  CHECK(r.total("error") == "1");
  CHECK(r.total("success") == "0");
}

TEST_CASE("controller: given an exception of any type, then it is an error like others, and counted as a panic") {
  Reconciled r;
  int calls = 0;
  r.then = [&](const std::string&, const ReconcileContext&) -> Result<ReconcileResult> {
    if (++calls == 1) throw std::runtime_error("bug");
    if (calls == 2) throw 7;
    return ReconcileResult{};
  };
  r.controller->enqueue("demo/a");
  for (int i = 0; i < 3; ++i) {
    CHECK(r.controller->processNext());
    r.clock.advance(Millis(100));
  }
  CHECK(r.count("reconcile_panics_total") == "2");
  CHECK(r.count("reconcile_errors_total") == "2");
  CHECK(r.total("success") == "1");
}

TEST_CASE("controller: given a reconcile that outlives its deadline, then it knew it and it is counted") {
  Reconciled r;
  r.then = [&](const std::string&, const ReconcileContext& context) -> Result<ReconcileResult> {
    CHECK(context.deadline.left(r.clock) == Millis(120000));
    CHECK(context.id.size() == 16);
    r.clock.advance(Millis(120000));
    return Error{ErrorCode::Timeout, "slow"};
  };
  r.controller->enqueue("demo/a");
  r.controller->processNext();
  CHECK(r.count("reconcile_timeouts_total") == "1");
  CHECK(r.metric(R"(controller_runtime_reconcile_time_seconds_sum{controller="rollback"})") == "120");
}

TEST_CASE("controller: given several workers, then keys run side by side, but never one key twice") {
  Reconciled r(4);
  std::mutex mutex;  // guards running, most, twice
  std::set<std::string> running;
  std::size_t most = 0;
  bool twice = false;
  std::atomic<int> runs{0};
  r.then = [&](const std::string& key, const ReconcileContext&) -> Result<ReconcileResult> {
    {
      const std::lock_guard<std::mutex> hold(mutex);
      twice = !running.insert(key).second || twice;
      most = std::max(most, running.size());
    }
    if (++runs <= 2) eventually([&] { return runs >= 2; });  // the first two meet
    const std::lock_guard<std::mutex> hold(mutex);
    running.erase(key);
    return ReconcileResult{};
  };
  std::thread thread([&] { r.controller->run(r.stop).ok(); });
  for (int i = 0; i < 400; ++i) r.controller->enqueue("demo/" + std::to_string(i % 5));
  CHECK(eventually([&] { return r.controller->queue().depth() == 0 && runs >= 5; }));
  r.stop.cancel();
  thread.join();
  CHECK_FALSE(twice);
  CHECK(most >= 2);
}

TEST_CASE("controller: given a stop, then the running reconcile ends by itself, or is told by abort") {
  Reconciled r;
  std::atomic<bool> started{false}, mayEnd{false};
  r.then = [&](const std::string&, const ReconcileContext& context) -> Result<ReconcileResult> {
    started = true;
    eventually([&] { return mayEnd.load() || context.cancel.cancelled(); });
    return Error{ErrorCode::Cancelled, "told to stop"};
  };
  const bool aborts = GENERATE(true, false);
  r.controller->enqueue("demo/a");
  r.controller->enqueue("demo/b");
  std::thread thread([&] { r.controller->run(r.stop).ok(); });
  REQUIRE(eventually([&] { return started.load(); }));
  r.stop.cancel();
  if (aborts) {
    r.controller->abort();
  } else {
    mayEnd = true;
  }
  thread.join();
  CHECK(r.total("error") == "1");  // the other key was not begun
}
