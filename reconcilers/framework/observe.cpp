// What runs, whether it is healthy, and the history of what was.
#include <algorithm>

#include "common/journal.h"
#include "common/version.h"
#include "framework/pass.h"

namespace rollback::reconcilers {
namespace {

using Images = std::vector<std::pair<std::string, std::string>>;

// Newest first, one entry per version; a version that was never healthy is nothing to go back to.
void remember(api::FrameworkStatus& status, const api::RunningVersion& past, int retain) {
  if (past.version.empty() || past.healthySince.empty()) return;
  auto& history = status.history;
  history.erase(
      std::remove_if(history.begin(), history.end(), [&](const auto& entry) { return entry.version == past.version; }),
      history.end());
  history.insert(history.begin(), past);
  if (history.size() > static_cast<std::size_t>(std::max(retain, 1)))
    history.resize(static_cast<std::size_t>(std::max(retain, 1)));
}

}  // namespace

std::optional<Unhealthy> unhealthy(const FrameworkPass& pass) {
  if (pass.components.empty()) return Unhealthy{"NoComponents", "spec.components names no workload"};
  if (auto why = unsettled(pass.components); !why.empty()) return Unhealthy{"RolloutUnsettled", why};
  for (const auto& component : pass.components) {
    const bool optional = component.described && component.described->optional;
    const bool rests = component.view->workload->replicas == 0 && !component.view->workload->isCronJob();
    if (rests && !optional) return Unhealthy{"ScaledToZero", component.key() + " is scaled to 0"};
  }
  return std::nullopt;
}

std::string unsupportedStores(const FrameworkPass& pass) {
  const auto& classSpec = pass.in.ns.frameworkClass->spec;
  for (const auto& store : pass.spec().stores) {
    const auto* described = findStoreClass(classSpec, store.name);
    if (!described) return "store " + store.name + " is not described by class " + pass.spec().className;
    if (described->driver != "postgres" || !store.postgres)
      return "store " + store.name + " is no PostgreSQL database (driver " + described->driver +
             "), which is all that is supported";
    if (pass.driver(store)->toolsImage().empty())
      return "the image with pg_dump and pg_restore of store " + store.name +
             " is not known: stores[].postgres.tools names no existing workload, container or image";
  }
  for (const auto& described : classSpec.stores) {
    if (described.optional) continue;
    const bool there = std::any_of(pass.spec().stores.begin(), pass.spec().stores.end(),
                                   [&](const auto& store) { return store.name == described.name; });
    if (!there)
      return "spec.stores does not say where store " + described.name + " is, which class " + pass.spec().className +
             " requires";
  }
  return {};
}

void observeRunning(FrameworkPass& pass, bool healthy) {
  auto& status = pass.draft.status;
  const Images images = imagesOf(pass.components);
  const bool wasHealthy = pass.in.object.status.healthy;
  status.healthy = healthy;
  if (images.size() != pass.components.size() || images.empty()) {  // a workload is missing: not known what runs
    if (wasHealthy && status.running) status.running->lastSeen = pass.nowText();
    return;
  }
  if (!status.running || !sameImages(status.running->images, images)) {
    if (status.running) {
      if (wasHealthy) status.running->lastSeen = pass.nowText();
      remember(status, *status.running, pass.spec().policy.retainHistory);
    }
    status.running = api::RunningVersion{versionOf(images.front().second), images, {}, "", ""};
    // Its schema is not known, whatever was read of an image of the same name.
    auto& steps = status.steps;
    steps.erase(std::remove_if(steps.begin(), steps.end(), [](const auto& record) { return record.name == "Inspect"; }),
                steps.end());
  }
  if (healthy) {
    status.running->images = images;
    if (status.running->healthySince.empty() || !wasHealthy) status.running->lastSeen = pass.nowText();
    if (status.running->healthySince.empty()) status.running->healthySince = pass.nowText();
  } else if (wasHealthy && !status.running->healthySince.empty()) {
    status.running->lastSeen = pass.nowText();
  }
}

}  // namespace rollback::reconcilers
