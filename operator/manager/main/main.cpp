// rollback-operator: watches, decides, acts.
#include <unistd.h>

#include <cstdio>

#include "kube/client/credentials.h"
#include "manager/deciders.h"
#include "manager/gather.h"
#include "manager/instruments.h"
#include "manager/options.h"
#include "manager/reconcile.h"
#include "manager/triggers.h"
#include "runtime/client_metrics.h"
#include "runtime/leader_election.h"
#include "runtime/logging.h"
#include "runtime/manager.h"
#include "runtime/signals.h"

namespace rollback::manager {
namespace {

constexpr const char* kLeaseName = "framework-rollback-operator";

Result<void> run(const Options& options, const runtime::StopSignals& signals) {
  const runtime::Timing timing = runtime::systemTiming();
  runtime::Registry metrics;
  kube::CredentialsOptions from;
  from.kubeconfig = options.kubeconfig;
  auto credentials = kube::loadCredentials(from, timing.clock);
  if (!credentials) return credentials.error();

  // Two clients: what writes for a user passes the leader's gate; leases and Events do not, so that a hung write never
  // costs the lease.
  kube::ClientOptions plain;
  plain.observer = runtime::requestMetrics(metrics, "kubernetes");
  plain.onWarning = [](const std::string& warning) {
    runtime::log(runtime::Level::Warn, "the API server warns", {{"warning", warning}});
  };
  auto ungated = kube::makeClient(*credentials, plain, timing.clock);
  kube::ClientOptions gated = plain;

  std::shared_ptr<runtime::LeaderElector> elector;
  if (options.leaderElection) {
    runtime::LeaderElectionOptions election;
    election.namespace_ = options.leaseNamespace.empty() ? (*credentials)->defaultNamespace() : options.leaseNamespace;
    election.name = kLeaseName;
    election.identity = runtime::leaderIdentity(options.instance, timing.random);
    runtime::LeaderCallbacks callbacks;
    callbacks.onStarted = [] { runtime::log(runtime::Level::Info, "leading"); };
    callbacks.onLost = [] { runtime::log(runtime::Level::Error, "the lease was lost"); };
    callbacks.onNew = [](const std::string& identity) {
      runtime::log(runtime::Level::Info, "leader", {{"identity", identity}});
    };
    kube::ClientOptions lease = plain;
    lease.requestTimeout = Millis(5000);
    auto made = runtime::LeaderElector::make(election, kube::makeClient(*credentials, lease, timing.clock), timing,
                                             callbacks, metrics);
    if (!made) return made.error();
    elector = *made;
    gated.writeGate = elector->writeGate();
  }
  auto client = kube::makeClient(*credentials, gated, timing.clock);
  auto recorder = std::make_shared<runtime::EventRecorder>(
      runtime::EventRecorderOptions{"rollback.pa-ecosystem.io/operator", options.instance}, ungated, timing, metrics);

  Triggers triggers(client, timing, metrics);
  Gatherer gatherer(client, timing.clock, triggers.frameworks(), triggers.rollbacks(), systemTokens());
  const reconcilers::Settings settings{options.moverImage, options.imagePullPolicy};

  const auto controller = [&](const char* name, Decide decide) {
    runtime::ControllerOptions controllerOptions;
    controllerOptions.name = name;
    controllerOptions.workers = options.workers;
    return std::make_shared<runtime::Controller>(controllerOptions, reconcileLoop(std::move(decide), client, *recorder),
                                                 timing, metrics);
  };
  Instruments instruments(
      metrics, timing.clock, [&triggers] { return triggers.caches(); },
      [&triggers](const std::string& namespace_, const std::string& name) {
        return triggers.frameworks().get(namespace_, name) != nullptr;
      });
  triggers.count(instruments);
  const Deciders decide = deciders(gatherer, settings, &instruments);
  Controllers controllers;
  controllers.rollbacks = controller("frameworkrollback", decide.rollbacks);
  controllers.backups = controller("frameworkbackup", decide.backups);
  controllers.frameworks = controller("framework", decide.frameworks);
  controllers.repositories = controller("backuprepository", decide.repositories);

  runtime::ManagerOptions managerOptions;
  managerOptions.healthAddress = options.healthAddress;
  managerOptions.metricsAddress = options.metricsAddress;
  runtime::Manager manager(managerOptions, timing, metrics);
  for (auto& reflector : triggers.reflectors(controllers)) manager.add(reflector);
  for (auto& each : {controllers.rollbacks, controllers.backups, controllers.frameworks, controllers.repositories})
    manager.add(each);
  manager.addOther(recorder);
  if (elector) manager.elect(elector);
  runtime::log(runtime::Level::Info, "starting", {{"moverImage", options.moverImage}, {"instance", options.instance}});
  return manager.run(signals.token());
}

}  // namespace
}  // namespace rollback::manager

int main(int argc, char** argv) {
  using namespace rollback;
  const auto options = manager::parseOptions(std::vector<std::string>(argv + 1, argv + argc));
  if (!options) {
    std::fprintf(stderr, "rollback-operator: %s\n%s", options.error().message.c_str(), manager::usage());
    return 2;
  }
  if (options->help) {
    std::fputs(manager::usage(), stdout);
    return 0;
  }
  runtime::LogOptions logging;
  logging.format = options->logFormat;
  logging.level = options->logLevel;
  if (auto set = runtime::setUpLogging(logging); !set) {
    std::fprintf(stderr, "rollback-operator: %s\n", set.error().message.c_str());
    return 2;
  }
  const runtime::StopSignals signals;
  http::initializeTransport(3);
  const auto result = manager::run(*options, signals);
  if (!result) runtime::log(runtime::Level::Error, "ended", {{"error", result.error()}});
  runtime::flushLogs();
  // cpprestsdk joins its threads in a static destructor, where one stuck request would hang.
  _exit(result ? 0 : 1);
}
