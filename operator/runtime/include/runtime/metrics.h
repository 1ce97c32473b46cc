// Metrics in the Prometheus text exposition format 0.0.4. A Registry owns its metrics; asking twice for the same name
// and labels gives the same object, which lives as long as the registry. Thread-safe.
//
//   Counter& errors = metrics.counter("controller_runtime_reconcile_errors_total", "Reconciles that failed.",
//                                     {{"controller", "frameworkrollback"}});
//   errors.add();
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace rollback::runtime {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(double by = 1);
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void set(double to) { value_.store(to, std::memory_order_relaxed); }
  void add(double by);
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  // `bounds` ascending, without +Inf.
  explicit Histogram(std::vector<double> bounds);
  void observe(double value);

  struct Snapshot {
    std::vector<double> bounds;
    std::vector<std::uint64_t> cumulative;  // per bound, then +Inf
    double sum = 0;
  };
  Snapshot snapshot() const;

 private:
  const std::vector<double> bounds_;
  mutable std::mutex mutex_;  // guards counts_ and sum_
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

class Registry {
 public:
  Registry();
  ~Registry();

  // A name that is already of another type, or not a metric name, is a defect: std::logic_error, at start-up.
  Counter& counter(const std::string& name, const std::string& help, Labels labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, Labels labels = {});
  Histogram& histogram(const std::string& name, const std::string& help, std::vector<double> bounds,
                       Labels labels = {});
  // Asked at every scrape, until the registration is destroyed (which waits for a scrape that is under way).
  [[nodiscard]] std::shared_ptr<void> gaugeCallback(const std::string& name, const std::string& help, Labels labels,
                                                    std::function<double()> value);

  struct Series {
    std::string name;
    Labels labels;
    double value = 0;
  };
  using Sink = std::function<void(Series)>;
  // Gauges whose series come and go with the objects they are about: `values` is asked once at every scrape and says
  // all of them, one by one, each of one of `families` (name and help). Otherwise as gaugeCallback.
  [[nodiscard]] std::shared_ptr<void> collect(const std::vector<std::pair<std::string, std::string>>& families,
                                              std::function<void(const Sink&)> values);
  // Takes out every series, of whatever name, that has all of `labels`. References to them dangle from then on: only
  // for series that are looked up anew at each use, by one that keeps use and removal apart.
  void remove(const Labels& labels);

  // All of it, families in the order of their names.
  std::string expose() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

// Upper bounds from 1 ms to 1 min: the span of controller-runtime's, in fewer steps.
const std::vector<double>& secondsBuckets();

}  // namespace rollback::runtime
