#include "runtime/metrics.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <thread>

#include "runtime/client_metrics.h"

using namespace rollback;
using namespace rollback::runtime;

TEST_CASE("given metrics of every type, when exposed, then it is the text format, families and series in order") {
  Registry registry;
  registry.gauge("b_gauge", "A gauge.").set(-1.5);
  registry.counter("a_total", "Things\nthat \\ happened.", {{"x", "2"}, {"a", "q\"\\\n"}}).add();
  registry.counter("a_total", "Things\nthat \\ happened.", {{"a", "0"}, {"x", "1"}}).add(2);
  Histogram& histogram = registry.histogram("c_seconds", "Time.", {0.5, 1}, {{"x", "1"}});
  for (const double value : {0.25, 0.5, 0.75, 7.0}) histogram.observe(value);
  CHECK(registry.expose() ==
        "# HELP a_total Things\\nthat \\\\ happened.\n"
        "# TYPE a_total counter\n"
        "a_total{a=\"0\",x=\"1\"} 2\n"
        "a_total{a=\"q\\\"\\\\\\n\",x=\"2\"} 1\n"
        "# HELP b_gauge A gauge.\n"
        "# TYPE b_gauge gauge\n"
        "b_gauge -1.5\n"
        "# HELP c_seconds Time.\n"
        "# TYPE c_seconds histogram\n"
        "c_seconds_bucket{x=\"1\",le=\"0.5\"} 2\n"
        "c_seconds_bucket{x=\"1\",le=\"1\"} 3\n"
        "c_seconds_bucket{x=\"1\",le=\"+Inf\"} 4\n"
        "c_seconds_sum{x=\"1\"} 8.5\n"
        "c_seconds_count{x=\"1\"} 4\n");
}

TEST_CASE("given the same name and labels in any order, when asked again, then it is the same metric") {
  Registry registry;
  Counter& one = registry.counter("a_total", "", {{"a", "1"}, {"b", "2"}});
  Counter& same = registry.counter("a_total", "", {{"b", "2"}, {"a", "1"}});
  Counter& other = registry.counter("a_total", "", {{"a", "2"}, {"b", "1"}});
  CHECK(&one == &same);
  CHECK(&one != &other);
}

TEST_CASE("given a name of another type, or no metric name, when registered, then it is refused") {
  Registry registry;
  registry.counter("a_total", "");
  CHECK_THROWS_AS(registry.gauge("a_total", ""), std::logic_error);
  CHECK_THROWS_AS(registry.counter("a-total", ""), std::logic_error);
  CHECK_THROWS_AS(registry.counter("", ""), std::logic_error);
  CHECK_THROWS_AS(registry.counter("b_total", "", {{"a b", "1"}}), std::logic_error);
}

TEST_CASE("given values no decimal can write, when exposed, then they are spelled as Prometheus does") {
  Registry registry;
  registry.gauge("a", "").set(std::numeric_limits<double>::infinity());
  registry.gauge("b", "").set(std::nan(""));
  registry.gauge("c", "").set(-std::numeric_limits<double>::infinity());
  const std::string text = registry.expose();
  CHECK(text.find("\na +Inf\n") != std::string::npos);
  CHECK(text.find("\nb NaN\n") != std::string::npos);
  CHECK(text.find("\nc -Inf\n") != std::string::npos);
}

TEST_CASE("given a callback, when scraped, then it is asked each time, until its registration is gone") {
  Registry registry;
  double value = 1;
  auto registration = registry.gaugeCallback("depth", "Depth.", {{"name", "q"}}, [&] { return value; });
  CHECK(registry.expose().find("depth{name=\"q\"} 1\n") != std::string::npos);
  value = 2;
  CHECK(registry.expose().find("depth{name=\"q\"} 2\n") != std::string::npos);
  registration.reset();
  CHECK(registry.expose().find("depth{") == std::string::npos);
}

TEST_CASE("given threads that count at once, when they are done, then nothing was lost") {
  Registry registry;
  Counter& counter = registry.counter("a_total", "");
  Histogram& histogram = registry.histogram("b_seconds", "", {1});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 5000; ++n) {
        counter.add();
        histogram.observe(1);
        if (n % 1000 == 0) static_cast<void>(registry.expose());
      }
    });
  }
  for (auto& each : threads) each.join();
  CHECK(counter.value() == 20000);
  CHECK(histogram.snapshot().cumulative.back() == 20000);
}

TEST_CASE(
    "given a client's attempts, when observed, then they are counted by code and method, one without answer as "
    "<error>") {
  Registry registry;
  const auto observe = requestMetrics(registry, "api:6443");
  observe(kube::get(kube::resources::kPods, "demo", "shop"), 200, Millis(20));
  observe(kube::get(kube::resources::kPods, "demo", "shop"), 0, Millis(20));
  const std::string text = registry.expose();
  INFO(text);
  CHECK(text.find("rest_client_requests_total{code=\"200\",host=\"api:6443\",method=\"GET\"} 1\n") !=
        std::string::npos);
  CHECK(text.find("rest_client_requests_total{code=\"<error>\",host=\"api:6443\",method=\"GET\"} 1\n") !=
        std::string::npos);
  CHECK(text.find("rest_client_request_duration_seconds_count{") != std::string::npos);
}

TEST_CASE("given series that come and go, when exposed, then they are what the callback says at that moment") {
  Registry registry;
  std::vector<Registry::Series> now{{"b", {{"of", "1"}}, 1}, {"a", {}, 2}, {"b", {{"of", "2"}}, 3}};
  const auto registration = registry.collect({{"a", "One."}, {"b", "Many."}}, [&](const auto& out) {
    for (const auto& series : now) out(series);
  });
  CHECK(registry.expose() ==
        "# HELP a One.\n# TYPE a gauge\na 2\n"
        "# HELP b Many.\n# TYPE b gauge\nb{of=\"1\"} 1\nb{of=\"2\"} 3\n");
  now = {{"b", {{"of", "2"}}, 4}, {"undeclared", {}, 1}};
  CHECK(registry.expose() == "# HELP b Many.\n# TYPE b gauge\nb{of=\"2\"} 4\n");
}

TEST_CASE("given a series that was removed, when exposed, then it is gone, and begins anew when asked for again") {
  Registry registry;
  registry.counter("a_total", "A.", {{"of", "1"}}).add(5);
  registry.counter("a_total", "A.", {{"of", "2"}}).add(7);
  registry.histogram("b_seconds", "B.", {1}, {{"in", "x"}, {"of", "1"}}).observe(2);
  registry.gauge("c", "C.", {{"of", "an \"of=\\\"1\\\",of=\"1\""}, {"in", "x"}}).set(1);
  registry.remove({{"of", "1"}});
  registry.remove({{"of", "3"}});
  registry.remove({{"of", "2"}, {"in", "x"}});
  CHECK(registry.expose().find("c{in=") != std::string::npos);
  registry.remove({{"in", "x"}});
  CHECK(registry.expose() == "# HELP a_total A.\n# TYPE a_total counter\na_total{of=\"2\"} 7\n");
  registry.counter("a_total", "A.", {{"of", "1"}}).add();
  CHECK(registry.counter("a_total", "A.", {{"of", "1"}}).value() == 1);
}
