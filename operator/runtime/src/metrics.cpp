#include "runtime/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <stdexcept>

namespace rollback::runtime {
namespace {

enum class Type { Counter, Gauge, Histogram };

const char* word(Type type) {
  switch (type) {
    case Type::Counter:
      return "counter";
    case Type::Gauge:
      return "gauge";
    case Type::Histogram:
      return "histogram";
  }
  return "untyped";
}

bool isName(const std::string& text, bool label) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c == ':' && !label);
  });
}

std::string escaped(const std::string& text, bool quotes) {
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
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return std::string(text, end);
}

// "a=\"1\",b=\"2\"", in the order of the names: also what tells two series of a family apart.
std::string render(Labels labels) {
  std::sort(labels.begin(), labels.end());
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!isName(name, true)) throw std::logic_error("'" + name + "' is no label name");
    if (!out.empty()) out += ',';
    out += name + "=\"" + escaped(value, true) + '"';
  }
  return out;
}

// Whether rendered labels have this one in them. What stands in a value is escaped, so it is never taken for a label.
bool hasLabel(const std::string& rendered, const std::string& label) {
  const auto ends = [&](std::size_t at) { return at == rendered.size() || rendered[at] == ','; };
  for (std::size_t at = rendered.find(label); at != std::string::npos; at = rendered.find(label, at + 1))
    if ((at == 0 || rendered[at - 1] == ',') && ends(at + label.size())) return true;
  return false;
}

// Lines are added to one text: at thousands of series copies of parts of it would be what takes most memory.
void add(std::string& out, const std::string& name, const std::string& labels, const std::string& value) {
  out += name;
  if (!labels.empty()) ((out += '{') += labels) += '}';
  ((out += ' ') += value) += '\n';
}

void add(std::string& out, const std::string& name, const std::string& labels, const Histogram& histogram) {
  const Histogram::Snapshot now = histogram.snapshot();
  for (std::size_t i = 0; i < now.cumulative.size(); ++i) {
    const std::string bound = i < now.bounds.size() ? number(now.bounds[i]) : "+Inf";
    add(out, name + "_bucket", labels + (labels.empty() ? "" : ",") + "le=\"" + bound + '"',
        std::to_string(now.cumulative[i]));
  }
  add(out, name + "_sum", labels, number(now.sum));
  add(out, name + "_count", labels, std::to_string(now.cumulative.back()));
}

void addTo(std::atomic<double>& value, double by) {
  double before = value.load(std::memory_order_relaxed);
  while (!value.compare_exchange_weak(before, before + by, std::memory_order_relaxed)) {
  }
}

}  // namespace

void Counter::add(double by) { addTo(value_, by); }
void Gauge::add(double by) { addTo(value_, by); }

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  const std::lock_guard<std::mutex> hold(mutex_);
  ++counts_[static_cast<std::size_t>(bucket)];
  sum_ += value;
}

Histogram::Snapshot Histogram::snapshot() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  Snapshot out{bounds_, counts_, sum_};
  for (std::size_t i = 1; i < out.cumulative.size(); ++i) out.cumulative[i] += out.cumulative[i - 1];
  return out;
}

struct Registry::State {
  struct Family {
    Type type = Type::Counter;
    std::string help;
    std::map<std::string, Counter> counters;
    std::map<std::string, Gauge> gauges;
    std::map<std::string, Histogram> histograms;
  };
  struct Callback {
    std::set<std::string> families;  // whose series it may give
    std::function<void(const Sink&)> values;
  };

  // With mutex held.
  Family& family(const std::string& name, const std::string& help, Type type) {
    if (!isName(name, false)) throw std::logic_error("'" + name + "' is no metric name");
    const auto [found, isNew] = families.try_emplace(name);
    if (isNew) {
      found->second.type = type;
      found->second.help = help;
    } else if (found->second.type != type) {
      throw std::logic_error("metric " + name + " is a " + word(found->second.type) + " already, not a " + word(type));
    }
    return found->second;
  }

  std::mutex mutex;  // guards families
  std::map<std::string, Family> families;
  // Guards callbacks and is held while they run, so that none runs after its registration is gone. Always taken alone:
  // a callback may take any lock of its owner's, but asks nothing of this registry.
  std::mutex callbacksMutex;
  std::map<std::uint64_t, Callback> callbacks;
  std::uint64_t nextCallback = 0;
};

Registry::Registry() : state_(std::make_shared<State>()) {}
Registry::~Registry() = default;

Counter& Registry::counter(const std::string& name, const std::string& help, Labels labels) {
  const std::string series = render(std::move(labels));
  const std::lock_guard<std::mutex> hold(state_->mutex);
  return state_->family(name, help, Type::Counter).counters[series];
}

Gauge& Registry::gauge(const std::string& name, const std::string& help, Labels labels) {
  const std::string series = render(std::move(labels));
  const std::lock_guard<std::mutex> hold(state_->mutex);
  return state_->family(name, help, Type::Gauge).gauges[series];
}

Histogram& Registry::histogram(const std::string& name, const std::string& help, std::vector<double> bounds,
                               Labels labels) {
  const std::string series = render(std::move(labels));
  const std::lock_guard<std::mutex> hold(state_->mutex);
  return state_->family(name, help, Type::Histogram).histograms.try_emplace(series, std::move(bounds)).first->second;
}

std::shared_ptr<void> Registry::gaugeCallback(const std::string& name, const std::string& help, Labels labels,
                                              std::function<double()> value) {
  render(labels);  // refuses what is no label name, at start-up
  return collect({{name, help}}, [name, labels = std::move(labels), value = std::move(value)](const Sink& sink) {
    sink({name, labels, value()});
  });
}

std::shared_ptr<void> Registry::collect(const std::vector<std::pair<std::string, std::string>>& families,
                                        std::function<void(const Sink&)> values) {
  State::Callback callback{{}, std::move(values)};
  {
    const std::lock_guard<std::mutex> hold(state_->mutex);
    for (const auto& [name, help] : families) {
      state_->family(name, help, Type::Gauge);
      callback.families.insert(name);
    }
  }
  const std::lock_guard<std::mutex> hold(state_->callbacksMutex);
  const std::uint64_t id = state_->nextCallback++;
  state_->callbacks[id] = std::move(callback);
  return std::shared_ptr<void>(nullptr, [state = state_, id](void*) {
    const std::lock_guard<std::mutex> holdToo(state->callbacksMutex);
    state->callbacks.erase(id);
  });
}

void Registry::remove(const Labels& labels) {
  std::vector<std::string> wanted;
  for (const auto& label : labels) wanted.push_back(render({label}));
  const auto gone = [&](const auto& series) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const auto& each) { return hasLabel(series.first, each); });
  };
  const std::lock_guard<std::mutex> hold(state_->mutex);
  for (auto& [name, family] : state_->families) {
    std::erase_if(family.counters, gone);
    std::erase_if(family.gauges, gone);
    std::erase_if(family.histograms, gone);
  }
}

std::string Registry::expose() const {
  std::map<std::string, std::string> called;  // samples by family
  {
    const std::lock_guard<std::mutex> hold(state_->callbacksMutex);
    for (const auto& [id, each] : state_->callbacks)
      each.values([&called, &families = each.families](Series series) {
        if (families.count(series.name) > 0)
          add(called[series.name], series.name, render(std::move(series.labels)), number(series.value));
      });
  }
  std::string out;
  const std::lock_guard<std::mutex> hold(state_->mutex);
  for (const auto& [name, family] : state_->families) {
    const std::string& samples = called[name];
    if (family.counters.empty() && family.gauges.empty() && family.histograms.empty() && samples.empty()) continue;
    out += "# HELP " + name + " " + escaped(family.help, false) + "\n# TYPE " + name + " " + word(family.type) + "\n";
    for (const auto& [labels, each] : family.counters) add(out, name, labels, number(each.value()));
    for (const auto& [labels, each] : family.gauges) add(out, name, labels, number(each.value()));
    for (const auto& [labels, each] : family.histograms) add(out, name, labels, each);
    out += samples;
  }
  return out;
}

const std::vector<double>& secondsBuckets() {
  static const std::vector<double> bounds{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
  return bounds;
}

}  // namespace rollback::runtime
