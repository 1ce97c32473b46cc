#include "runtime/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <string_view>

namespace rollback::runtime {
namespace {

enum class Type { Counter, Gauge, Histogram };

const char* nameOf(Type type) {
  switch (type) {
    case Type::Counter: return "counter";
    case Type::Gauge: return "gauge";
    case Type::Histogram: return "histogram";
  }
  return "untyped";
}

// [a-zA-Z_][a-zA-Z0-9_]*, for metrics with ':' too.
bool validName(std::string_view name, bool colon) {
  const auto letter = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':');
  };
  return !name.empty() && letter(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return std::string(text.data(), end);
}

std::string sample(const std::string& name, const Labels& labels, const std::string& value,
                   const std::string& bound = "") {
  std::string out = name;
  char separator = '{';
  for (const auto& [label, text] : labels) {
    out += separator + label + "=\"" + escaped(text, true) + "\"";
    separator = ',';
  }
  if (!bound.empty()) {
    out += separator + ("le=\"" + bound + "\"");
    separator = ',';
  }
  if (separator == ',') out += '}';
  return out + ' ' + value + '\n';
}

struct Family {
  Type type = Type::Counter;
  std::string help;
  std::map<Labels, std::unique_ptr<Counter>> counters;
  std::map<Labels, std::unique_ptr<Gauge>> gauges;
  std::map<Labels, std::unique_ptr<Histogram>> histograms;
};

std::string exposeHistogram(const std::string& name, const Labels& labels, const Histogram& histogram) {
  const Histogram::Snapshot now = histogram.snapshot();
  std::string out;
  for (std::size_t i = 0; i < now.cumulative.size(); ++i) {
    const std::string bound = i < now.bounds.size() ? number(now.bounds[i]) : "+Inf";
    out += sample(name + "_bucket", labels, std::to_string(now.cumulative[i]), bound);
  }
  out += sample(name + "_sum", labels, number(now.sum));
  return out + sample(name + "_count", labels, std::to_string(now.cumulative.back()));
}

}  // namespace

void Counter::add(double by) {
  double before = value_.load(std::memory_order_relaxed);
  while (!value_.compare_exchange_weak(before, before + by, std::memory_order_relaxed)) {
  }
}

void Gauge::add(double by) {
  double before = value_.load(std::memory_order_relaxed);
  while (!value_.compare_exchange_weak(before, before + by, std::memory_order_relaxed)) {
  }
}

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  const std::lock_guard<std::mutex> hold(mutex_);
  ++counts_[static_cast<std::size_t>(bucket)];
  sum_ += value;
}

Histogram::Snapshot Histogram::snapshot() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  Snapshot now{bounds_, counts_, sum_};
  for (std::size_t i = 1; i < now.cumulative.size(); ++i) now.cumulative[i] += now.cumulative[i - 1];
  return now;
}

struct Registry::State {
  struct Callback {
    std::string name;
    Labels labels;
    std::function<double()> value;
  };

  // With `mutex` held. Sorts the labels, so that their order does not make another series.
  Family& family(const std::string& name, const std::string& help, Type type, Labels& labels) {
    if (!validName(name, true)) throw std::logic_error("\"" + name + "\" is not a metric name");
    std::sort(labels.begin(), labels.end());
    for (const auto& [label, text] : labels) {
      if (!validName(label, false) || label == "le") {
        throw std::logic_error("\"" + label + "\" is not a label name for metric " + name);
      }
    }
    const auto [at, fresh] = families.try_emplace(name);
    if (fresh) {
      at->second.type = type;
      at->second.help = help;
    } else if (at->second.type != type) {
      throw std::logic_error("metric " + name + " is a " + nameOf(at->second.type) + " already, and no " + nameOf(type));
    }
    return at->second;
  }

  std::mutex mutex;  // guards families
  std::map<std::string, Family> families;
  // Guards callbacks; held while they run, so that one that is unregistered runs no more. Taken before `mutex`.
  std::mutex callbackMutex;
  std::map<std::uint64_t, Callback> callbacks;
  std::uint64_t nextCallback = 0;
};

Registry::Registry() : state_(std::make_shared<State>()) {}
Registry::~Registry() = default;

Counter& Registry::counter(const std::string& name, const std::string& help, Labels labels) {
  const std::lock_guard<std::mutex> hold(state_->mutex);
  auto& metric = state_->family(name, help, Type::Counter, labels).counters[std::move(labels)];
  if (!metric) metric = std::make_unique<Counter>();
  return *metric;
}

Gauge& Registry::gauge(const std::string& name, const std::string& help, Labels labels) {
  const std::lock_guard<std::mutex> hold(state_->mutex);
  auto& metric = state_->family(name, help, Type::Gauge, labels).gauges[std::move(labels)];
  if (!metric) metric = std::make_unique<Gauge>();
  return *metric;
}

Histogram& Registry::histogram(const std::string& name, const std::string& help, std::vector<double> bounds,
                               Labels labels) {
  const std::lock_guard<std::mutex> hold(state_->mutex);
  auto& metric = state_->family(name, help, Type::Histogram, labels).histograms[std::move(labels)];
  if (!metric) metric = std::make_unique<Histogram>(std::move(bounds));
  return *metric;
}

std::shared_ptr<void> Registry::gaugeCallback(const std::string& name, const std::string& help, Labels labels,
                                              std::function<double()> value) {
  const std::lock_guard<std::mutex> holdCallbacks(state_->callbackMutex);
  {
    const std::lock_guard<std::mutex> hold(state_->mutex);
    state_->family(name, help, Type::Gauge, labels);
  }
  const std::uint64_t id = state_->nextCallback++;
  state_->callbacks[id] = State::Callback{name, std::move(labels), std::move(value)};
  // The registration may outlive the registry.
  return std::shared_ptr<void>(nullptr, [state = std::weak_ptr<State>(state_), id](void*) {
    const auto alive = state.lock();
    if (!alive) return;
    const std::lock_guard<std::mutex> hold(alive->callbackMutex);
    alive->callbacks.erase(id);
  });
}

std::string Registry::expose() const {
  std::map<std::string, std::map<Labels, double>> called;
  {
    const std::lock_guard<std::mutex> hold(state_->callbackMutex);
    for (const auto& [id, callback] : state_->callbacks) called[callback.name][callback.labels] = callback.value();
  }
  std::string out;
  const std::lock_guard<std::mutex> hold(state_->mutex);
  for (const auto& [name, family] : state_->families) {
    std::string samples;
    for (const auto& [labels, metric] : family.counters) samples += sample(name, labels, number(metric->value()));
    auto gauges = called[name];
    for (const auto& [labels, metric] : family.gauges) gauges.try_emplace(labels, metric->value());
    for (const auto& [labels, value] : gauges) samples += sample(name, labels, number(value));
    for (const auto& [labels, metric] : family.histograms) samples += exposeHistogram(name, labels, *metric);
    if (samples.empty()) continue;
    out += "# HELP " + name + " " + escaped(family.help, false) + "\n# TYPE " + name + " " + nameOf(family.type) + "\n";
    out += samples;
  }
  return out;
}

const std::vector<double>& secondsBuckets() {
  static const std::vector<double> bounds{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60};
  return bounds;
}

}  // namespace rollback::runtime
