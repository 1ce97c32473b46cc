#include "manager/triggers.h"

#include "api/resources.h"
#include "json/projection.h"
#include "manager/gather.h"
#include "runtime/object_key.h"

namespace rollback::manager {
namespace {

using runtime::objectKey;

// "Deployment/demo/shop": the index by which a workload finds the Frameworks that name it.
std::vector<std::string> workloadsOf(const api::Framework& framework) {
  std::vector<std::string> out;
  for (const auto& component : framework.spec.components)
    out.push_back(component.workloadKind + "/" + framework.meta.namespace_ + "/" + component.workloadName);
  return out;
}

template <typename T>
std::string frameworkOf(const T& object) {
  return object.meta.namespace_ + "/" + object.spec.frameworkName;
}

// What no trigger and no gauge asks for is not held: there may be thousands of them.
Result<api::Framework> decodeWhatIsHeld(std::string_view document) {
  auto framework = api::decodeFramework(document);
  if (!framework) return framework;
  const auto drop = [](auto& list) { std::decay_t<decltype(list)>().swap(list); };
  drop(framework->status.history), drop(framework->status.steps), drop(framework->status.conditions);
  return framework;
}

}  // namespace

Result<Trace> decodeTrace(std::string_view document) {
  static const json::Projection projection(
      {"metadata.name", "metadata.namespace", "metadata.resourceVersion", "metadata.labels.*"});
  Trace out;
  auto decoded = projection.decode(
      document, [&](std::size_t path, const std::vector<std::string>& wild, const json::Value& value) {
        switch (path) {
          case 0:
            out.name = value.text;
            break;
          case 1:
            out.namespace_ = value.text;
            break;
          case 2:
            out.resourceVersion = value.text;
            break;
          default:
            if (wild[0] == api::kLabelOwnerKind) out.ownerKind = value.text;
            if (wild[0] == api::kLabelOwnerName) out.ownerName = value.text;
        }
      });
  if (!decoded) return decoded.error();
  return out;
}

Triggers::Triggers(std::shared_ptr<kube::Client> client, runtime::Timing timing, runtime::Registry& metrics)
    : client_(std::move(client)),
      timing_(std::move(timing)),
      metrics_(metrics),
      rollbacks_({{"framework", [](const api::FrameworkRollback& r) { return std::vector{frameworkOf(r)}; }}}),
      frameworks_({{"workload", workloadsOf},
                   {"database", databasesOf},
                   {"class", [](const api::Framework& f) { return std::vector{f.spec.className}; }}}),
      backups_({{"framework", [](const api::FrameworkBackup& b) { return std::vector{frameworkOf(b)}; }}}) {}

void Triggers::frameworkChanged(const std::string& namespace_, const std::string& name) {
  const std::string key = objectKey(namespace_, name);
  controllers_.frameworks->enqueue(key);
  for (const auto& rollback : rollbacks_.byIndex("framework", key))
    if (!rollback->status.phase || !api::isEnding(*rollback->status.phase) || !rollback->meta.finalizers.empty())
      controllers_.rollbacks->enqueue(objectKey(rollback->meta));
  for (const auto& backup : backups_.byIndex("framework", key))
    if (backup->status.phase != "Completed" && backup->status.phase != "Failed")
      controllers_.backups->enqueue(objectKey(backup->meta));
}

void Triggers::workloadChanged(const std::string& kind, const Trace& workload) {
  for (const auto& framework : frameworks_.byIndex("workload", kind + "/" + objectKey(workload)))
    frameworkChanged(framework->meta.namespace_, framework->meta.name);
}

void Triggers::ownedChanged(const Trace& owned) {
  const std::string key = objectKey(owned.namespace_, owned.ownerName);
  if (owned.ownerKind == "FrameworkRollback")
    controllers_.rollbacks->enqueue(key);
  else if (owned.ownerKind == "FrameworkBackup")
    controllers_.backups->enqueue(key);
  else if (owned.ownerKind == "BackupRepository")
    controllers_.repositories->enqueue(key);
  else if (owned.ownerKind == "Framework")
    controllers_.frameworks->enqueue(key);
}

std::vector<std::shared_ptr<runtime::Synced>> Triggers::reflectors(const Controllers& controllers) {
  controllers_ = controllers;
  std::vector<std::shared_ptr<runtime::Synced>> out;
  const auto watch = [&](auto& store, const kube::Resource& resource, const std::string& selector, auto decode,
                         auto onChange) {
    using T = typename std::decay_t<decltype(store)>::Ptr::element_type;
    using Object = std::remove_const_t<T>;
    out.push_back(std::make_shared<runtime::Reflector<Object>>(
        runtime::WatchOptions{resource.plural, kube::list(resource, "", selector)}, client_, timing_, store,
        [decode](std::string_view document) { return runtime::shared(decode(document)); }, onChange, metrics_));
  };
  // Frameworks first: whatever comes later finds whom it concerns.
  watch(frameworks_, api::kFrameworks, "", decodeWhatIsHeld,
        [this](const std::string&, const auto& before, const auto& after) {
          const auto& meta = (after ? after : before)->meta;
          frameworkChanged(meta.namespace_, meta.name);
          if (instruments_ && !before) instruments_->know(meta.namespace_, meta.name);
          if (instruments_ && !after) instruments_->forget(meta.namespace_, meta.name);
        });
  watch(rollbacks_, api::kFrameworkRollbacks, "", api::decodeFrameworkRollback,
        [this](const std::string& key, const auto& before, const auto& after) {
          controllers_.rollbacks->enqueue(key);
          // Gone, or at an end: its framework says what that means for the lock it may still hold.
          if (!after || (after->status.phase && api::isEnding(*after->status.phase)))
            controllers_.frameworks->enqueue(frameworkOf(after ? *after : *before));
        });
  watch(backups_, api::kFrameworkBackups, "", api::decodeFrameworkBackup,
        [this](const std::string& key, const auto& before, const auto& after) {
          controllers_.backups->enqueue(key);
          if (!after) controllers_.frameworks->enqueue(frameworkOf(*before));
        });
  watch(repositories_, api::kBackupRepositories, "", api::decodeBackupRepository,
        [this](const std::string& key, const auto&, const auto&) { controllers_.repositories->enqueue(key); });
  watch(classes_, api::kFrameworkClasses, "", api::decodeFrameworkClass,
        [this](const std::string& key, const auto&, const auto&) {
          for (const auto& framework : frameworks_.byIndex("class", key))
            frameworkChanged(framework->meta.namespace_, framework->meta.name);
        });
  const std::string ours = std::string(api::kLabelManagedBy) + "=" + api::kFieldManager;
  const auto owned = [this](const std::string&, const auto& before, const auto& after) {
    ownedChanged(*(after ? after : before));
  };
  watch(jobs_, kube::resources::kJobs, ours, decodeTrace, owned);
  watch(pods_, kube::resources::kPods, ours, decodeTrace, owned);
  watch(deployments_, kube::resources::kDeployments, "", decodeTrace,
        [this](const std::string&, const auto& before, const auto& after) {
          workloadChanged("Deployment", *(after ? after : before));
        });
  watch(statefulSets_, kube::resources::kStatefulSets, "", decodeTrace,
        [this](const std::string&, const auto& before, const auto& after) {
          workloadChanged("StatefulSet", *(after ? after : before));
        });
  watch(cronJobs_, kube::resources::kCronJobs, "", decodeTrace,
        [this](const std::string&, const auto& before, const auto& after) {
          workloadChanged("CronJob", *(after ? after : before));
        });
  return out;
}

}  // namespace rollback::manager
