#include "runtime/manager.h"

#include <unistd.h>

#include <atomic>
#include <utility>

#include "crew.h"
#include "runtime/logging.h"

namespace rollback::runtime {
namespace {

constexpr Millis kSyncPoll{50};  // only while caches fill

}  // namespace

Manager::Manager(ManagerOptions options, Timing timing, Registry& metrics)
    : options_(std::move(options)),
      timing_(std::move(timing)),
      metrics_(metrics),
      crew_(std::make_unique<Crew>(timing_)) {
  readyz_.add("caches", [this]() -> Result<void> {
    const std::string missing = unsynced();
    if (missing.empty() && cachesStarted_.load()) return {};
    return Error{ErrorCode::Unavailable, "not synced: " + (missing.empty() ? "not started" : missing)};
  });
}

Manager::~Manager() = default;

void Manager::add(std::shared_ptr<Synced> reflector) { reflectors_.push_back(std::move(reflector)); }
void Manager::add(std::shared_ptr<Controller> controller) { controllers_.push_back(std::move(controller)); }
void Manager::addOther(std::shared_ptr<Runnable> other) { others_.push_back(std::move(other)); }

void Manager::elect(std::shared_ptr<LeaderElector> elector) {
  elector_ = std::move(elector);
  healthz_.add("leader-election", [elector = elector_] { return elector->healthy(); });
}

Result<void> Manager::run(const http::CancelToken& stop) {
  // Declared before everything it wakes.
  const std::shared_ptr<void> wake = stop.onCancel([this] { crew_->notify(); });
  if (auto serving = serve(); !serving) return serving;
  for (const auto& each : others_) crew_->start(Stage::Others, each);
  Result<void> outcome = syncCaches(stop);
  if (outcome) outcome = lead(stop);
  if (outcome) {
    crew_->wait(MonoTime::max(), [&] { return stop.cancelled(); });
    if (const auto failure = crew_->failure()) outcome = *failure;
  }
  stopAll(outcome.ok());
  return outcome;
}

Result<void> Manager::serve() {
  const std::pair<std::string, Endpoints> all[] = {{options_.healthAddress, Endpoints{&healthz_, &readyz_, nullptr}},
                                                   {options_.metricsAddress, Endpoints{nullptr, nullptr, &metrics_}}};
  for (const auto& [address, endpoints] : all) {
    if (address.empty()) continue;
    Result<std::unique_ptr<http::Server>> server = serveEndpoints(address, endpoints);
    if (!server) return server.error();
    log(Level::Info, "serving", {{"address", address}, {"port", (*server)->port()}});
    servers_.push_back(std::move(*server));
  }
  return {};
}

std::string Manager::unsynced() const {
  std::string missing;
  for (const auto& each : reflectors_) {
    if (!each->hasSynced()) missing += (missing.empty() ? "" : ", ") + each->name();
  }
  return missing;
}

// Reconcilers decide from caches, so none runs before all of them are complete.
Result<void> Manager::syncCaches(const http::CancelToken& stop) {
  for (const auto& each : reflectors_) crew_->start(Stage::Reflectors, each);
  cachesStarted_.store(true);
  const Deadline deadline = Deadline::after(timing_.clock, options_.syncTimeout);
  while (!unsynced().empty()) {
    if (stop.cancelled()) return {};
    if (const auto failure = crew_->failure()) return *failure;
    if (deadline.expired(timing_.clock)) {
      return Error{ErrorCode::Timeout,
                   "these resources could not be listed in " + std::to_string(options_.syncTimeout.count() / 1000) +
                       " s: " + unsynced() +
                       ". Are the CRDs installed and the operator's rights bound? The log says why."};
    }
    crew_->wait(timing_.clock.now() + kSyncPoll, [&] { return stop.cancelled() || unsynced().empty(); });
  }
  return {};
}

Result<void> Manager::lead(const http::CancelToken& stop) {
  if (elector_ && !stop.cancelled()) {
    // Outlives this call in the elector, but is only called while it runs, which the crew outlives.
    elector_->whenLeading([this] { crew_->notify(); });
    crew_->start(Stage::Election, elector_);
    crew_->wait(MonoTime::max(), [&] { return stop.cancelled() || elector_->leading(); });
    if (const auto failure = crew_->failure()) return *failure;
  }
  if (stop.cancelled()) return {};
  for (const auto& each : controllers_) crew_->start(Stage::Controllers, each);
  return {};
}

void Manager::stopAll(bool orderly) {
  log(Level::Info, "stopping", {{"orderly", orderly}});
  const auto within = [&](Millis time) { return Deadline::after(timing_.clock, time); };
  crew_->cancel(Stage::Controllers);
  if (!orderly || !crew_->ended(Stage::Controllers, within(options_.drain))) {
    for (const auto& each : controllers_) each->abort();
    if (!crew_->ended(Stage::Controllers, within(options_.abortTimeout))) stuck("controllers");
  }
  for (const auto& [stage, name] : {std::pair(Stage::Election, "leader election"),
                                    std::pair(Stage::Reflectors, "caches"), std::pair(Stage::Others, "others")}) {
    crew_->cancel(stage);
    if (!crew_->ended(stage, within(options_.stopTimeout))) stuck(name);
  }
  for (const auto& each : servers_) each->stop();
  servers_.clear();
}

// The Lease is not given back: what is stuck may still write, until the gate or the end of the process stops it.
void Manager::stuck(const std::string& what) {
  log(Level::Error, "did not stop in time", {{"part", what}});
  if (options_.onStuck) {
    options_.onStuck();
    return;
  }
  flushLogs();
  ::_exit(1);
}

}  // namespace rollback::runtime
