#include "runtime/work_queue.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "fakes.h"

using namespace rollback;
using namespace rollback::runtime;
using namespace rollback::runtime::fakes;

namespace {

struct Queued : Bench {
  WorkQueue queue{"test", timing(), metrics};
  // Time until the queue has something.
  Millis due() { return *queue.nextDue() - clock.now(); }
};

}  // namespace

TEST_CASE("work queue: given a key added many times, when got, then it comes once, and in order of arrival") {
  Queued q;
  for (int i = 0; i < 3; ++i) {
    q.queue.add("a");
    q.queue.add("b");
  }
  CHECK(q.queue.depth() == 2);
  CHECK(q.queue.tryGet() == "a");
  CHECK(q.queue.tryGet() == "b");
  CHECK_FALSE(q.queue.tryGet());
  CHECK(q.metric(R"(workqueue_adds_total{controller="test",name="test"})") == "2");
}

TEST_CASE("work queue: given a key being worked on, when added again, then no other worker gets it until it is done") {
  Queued q;
  q.queue.add("a");
  REQUIRE(q.queue.tryGet() == "a");
  q.queue.add("a");
  q.queue.add("a");
  CHECK_FALSE(q.queue.tryGet());
  q.queue.done("a");
  CHECK(q.queue.tryGet() == "a");
  q.queue.done("a");
  CHECK_FALSE(q.queue.tryGet());
}

TEST_CASE("work queue: given several delays of one key, then the earliest wins, and an add absorbs it") {
  Queued q;
  q.queue.addAfter("a", Millis(1000));
  q.queue.addAfter("a", Millis(300));
  q.queue.addAfter("a", Millis(2000));
  CHECK(q.due() == Millis(300));
  q.clock.advance(Millis(299));
  CHECK_FALSE(q.queue.tryGet());
  q.clock.advance(Millis(1));
  CHECK(q.queue.tryGet() == "a");
  q.queue.done("a");
  CHECK_FALSE(q.queue.nextDue());

  q.queue.addAfter("b", Millis(1000));
  q.queue.add("b");
  CHECK(q.queue.tryGet() == "b");
  q.queue.done("b");
  q.clock.advance(Millis(5000));
  CHECK_FALSE(q.queue.tryGet());
}

TEST_CASE("work queue: given a delay of no length, then the key is ready") {
  Queued q;
  q.queue.addAfter("a", Millis(0));
  q.queue.addAfter("b", Millis(-5));
  CHECK(q.queue.depth() == 2);
}

TEST_CASE("work queue back-off: given failures of a key, then it doubles from 5 ms to 1000 s, and forget starts over") {
  Queued q;
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 20; ++i) {
    q.clock.advance(Millis(1000000));
    REQUIRE((i == 0 || q.queue.tryGet() == "a"));
    q.queue.addRateLimited("a");
    q.queue.done("a");
    waits.push_back(q.due().count());
  }
  CHECK(waits[0] == 5);
  CHECK(waits[1] == 10);
  CHECK(waits[10] == 5120);
  CHECK(waits[17] == 655360);
  CHECK(waits[18] == 1000000);
  CHECK(waits[19] == 1000000);
  CHECK(q.queue.requeues("a") == 20);
  q.queue.forget("a");
  CHECK(q.queue.requeues("a") == 0);
  CHECK(q.metric(R"(workqueue_retries_total{controller="test",name="test"})") == "20");
}

TEST_CASE(
    "work queue back-off: given any dice, then the wait is within a fifth, and never before what the server asked") {
  Queued q;
  q.random = 0;
  q.queue.addRateLimited("low");
  CHECK(q.due() == Millis(4));
  q.random = 0.99999;
  Queued high;
  high.random = 0.99999;
  high.queue.addRateLimited("high");
  CHECK(high.due() == Millis(5));  // 5.99 ms
  Queued asked;
  asked.queue.addRateLimited("asked", Millis(3000));
  CHECK(asked.due() == Millis(3000));
}

TEST_CASE("work queue back-off: given failures of many keys, then beyond a hundred they come ten in a second") {
  Queued q;
  for (int i = 0; i < 100; ++i) q.queue.addRateLimited("first-" + std::to_string(i));
  for (int i = 0; i < 20; ++i) q.queue.addRateLimited("then-" + std::to_string(i));
  q.clock.advance(Millis(50));
  int early = 0;
  while (q.queue.tryGet()) ++early;
  CHECK(early == 100);
  q.clock.advance(Millis(1000));
  int later = 0;
  while (q.queue.tryGet()) ++later;
  CHECK(later == 10);
}

TEST_CASE("work queue: given a waiting worker, when a delay comes due, then it gets the key") {
  Queued q;
  std::atomic<bool> got{false};
  std::thread worker([&] { got = q.queue.get() == "a"; });
  q.queue.addAfter("a", Millis(5000));
  q.clock.advance(Millis(5000));
  CHECK(eventually([&] { return got.load(); }));
  worker.join();
}

TEST_CASE("work queue: given a shut down queue, then waiting workers leave, adds are refused, running work may end") {
  Queued q;
  q.queue.add("running");
  REQUIRE(q.queue.tryGet() == "running");
  q.queue.add("waiting");
  q.queue.addAfter("delayed", Millis(10));
  std::vector<std::thread> workers;
  std::atomic<int> left{0};
  q.queue.add("one");
  q.queue.shutDown();
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back([&] { left += q.queue.get() ? 0 : 1; });
  }
  for (std::thread& each : workers) each.join();
  CHECK(left == 3);
  q.queue.add("late");
  q.queue.addAfter("later", Millis(1));
  q.queue.addRateLimited("again");
  CHECK(q.queue.depth() == 0);
  CHECK_FALSE(q.queue.nextDue());

  std::atomic<bool> drained{false};
  std::thread drainer([&] { drained = q.queue.drain(Deadline::after(q.clock, Millis(20000))); });
  q.queue.done("running");
  drainer.join();
  CHECK(drained);
}

TEST_CASE("work queue: given work that does not end, when drained, then the deadline ends the waiting") {
  Queued q;
  q.queue.add("stuck");
  REQUIRE(q.queue.tryGet());
  q.queue.shutDown();
  const Deadline until = Deadline::after(q.clock, Millis(20000));
  std::thread time([&] { q.clock.advance(Millis(20000)); });
  CHECK_FALSE(q.queue.drain(until));
  time.join();
}

TEST_CASE("work queue metrics: given work under way, when scraped, then its age is there without a ticker") {
  Queued q;
  q.queue.add("a");
  q.queue.add("b");
  q.queue.add("c");
  q.clock.advance(Millis(2000));
  q.queue.tryGet();
  q.clock.advance(Millis(3000));
  q.queue.tryGet();
  q.clock.advance(Millis(1000));
  const std::string labels = R"({controller="test",name="test"})";
  CHECK(q.metric("workqueue_depth" + labels) == "1");
  CHECK(q.metric("workqueue_unfinished_work_seconds" + labels) == "5");
  CHECK(q.metric("workqueue_longest_running_processor_seconds" + labels) == "4");
  CHECK(q.metric("workqueue_queue_duration_seconds_sum" + labels) == "7");
  q.queue.done("a");
  CHECK(q.metric("workqueue_work_duration_seconds_sum" + labels) == "4");
}

TEST_CASE(
    "work queue: given random traffic, then no key is worked on twice at once and every add is followed by a get") {
  const unsigned seed = GENERATE(1u, 2u, 3u, 4u, 5u);
  Queued q;
  std::mt19937 dice(seed);
  std::set<std::string> running;
  std::map<std::string, bool> owed;  // added since it was last got
  for (int i = 0; i < 5000; ++i) {
    const std::string key(1, static_cast<char>('a' + dice() % 6));
    switch (dice() % 5) {
      case 0:
        q.queue.add(key);
        owed[key] = true;
        break;
      case 1:
        q.queue.addAfter(key, Millis(dice() % 50));
        owed[key] = true;
        break;
      case 2:
        q.clock.advance(Millis(dice() % 30));
        break;
      case 3:
        if (const auto got = q.queue.tryGet()) {
          REQUIRE(running.insert(*got).second);
          REQUIRE(owed[*got]);
          owed[*got] = false;
        }
        break;
      default:
        if (!running.empty()) {
          const std::string done = *running.begin();
          running.erase(running.begin());
          q.queue.done(done);
        }
    }
  }
  for (const std::string& each : running) q.queue.done(each);
  q.clock.advance(Millis(1000));
  while (const auto got = q.queue.tryGet()) {
    owed[*got] = false;
    q.queue.done(*got);
  }
  for (const auto& [key, still] : owed) {
    INFO("key " << key << ", seed " << seed);
    CHECK_FALSE(still);
  }
}
