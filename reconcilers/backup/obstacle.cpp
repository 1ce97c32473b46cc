#include "backup/obstacle.h"

#include "common/opt_in.h"
#include "common/version.h"
#include "stores/postgres.h"

namespace rollback::reconcilers {
namespace {

Obstacle waitFor(std::string code, std::string message) {
  return {std::move(code), std::move(message), false, Millis(30000)};
}
Obstacle refuse(std::string code, std::string message) {
  return {std::move(code), std::move(message), true, Millis(0)};
}

std::optional<Obstacle> obstacleInStores(const BackupSnapshot& in) {
  const auto& framework = *in.ns.framework;
  if (framework.spec.stores.empty())
    return refuse("NoStore", "Framework " + framework.meta.name +
                                 " names no store: there is nothing to back up. Describe its database in spec.stores");
  for (const auto& store : framework.spec.stores) {
    const auto* described = findStoreClass(in.ns.frameworkClass->spec, store.name);
    if (!described)
      return refuse("StoreUnknown", "store " + store.name + " is not described by class " + framework.spec.className +
                                        "; its stores are in: kubectl get frameworkclass " + framework.spec.className +
                                        " -o yaml");
    if (!store.postgres || described->driver != "postgres")
      return refuse("StoreUnsupported", "store " + store.name + " is no PostgreSQL database (driver " +
                                            described->driver + "); only those are backed up");
    const PostgresDriver driver{{}, in.ns, framework.spec, in.ns.frameworkClass->spec, store, *described};
    if (driver.toolsImage().empty())
      return waitFor("ToolsMissing",
                     "the image with pg_dump and pg_restore of store " + store.name +
                         " is not known: stores[].postgres.tools names no existing workload, container or image");
  }
  return std::nullopt;
}

}  // namespace

std::optional<Obstacle> obstacleToRead(const BackupSnapshot& in) {
  const auto& spec = in.backup.spec;
  const std::string& ns = in.backup.meta.namespace_;
  if (spec.deletionPolicy != "Retain")
    return refuse("DeletionPolicyUnsupported", "spec.deletionPolicy is " + spec.deletionPolicy +
                                                   "; only Retain is supported: files are never deleted");
  if (!in.ns.framework || in.ns.framework->meta.deleting())
    return waitFor("FrameworkMissing",
                   "Framework " + spec.frameworkName + " does not exist; kubectl get frameworks -n " + ns);
  const auto& framework = *in.ns.framework;
  if (!in.ns.frameworkClass)
    return waitFor("ClassMissing",
                   "FrameworkClass " + framework.spec.className + " does not exist; kubectl get frameworkclasses");
  if (!in.ns.optIn.allowed) return waitFor(kNotOptedIn, in.ns.optIn.reason);
  const std::string repository = spec.repositoryName.empty() ? framework.spec.repositoryName : spec.repositoryName;
  if (repository.empty())
    return refuse(
        "RepositoryMissing",
        "no repository is named, neither in spec.repositoryRef nor in that of Framework " + spec.frameworkName);
  if (!in.ns.repository)
    return waitFor("RepositoryMissing",
                   "BackupRepository " + repository + " does not exist; kubectl get backuprepositories -n " + ns);
  if (!in.ns.repositoryClaimExists)
    return waitFor("ClaimMissing", "claim " + in.ns.repository->spec.claimName + " of BackupRepository " + repository +
                                       " does not exist; kubectl get persistentvolumeclaims -n " + ns);
  return obstacleInStores(in);
}

std::optional<Obstacle> obstacleToTake(const BackupSnapshot& in, const std::vector<ComponentView>& components) {
  const auto& framework = *in.ns.framework;
  if (const auto& active = framework.status.activeRollback)
    return Obstacle{"RollbackActive", "waiting for rollback " + active->name + " of the same framework to end", false,
                    Millis(10000)};
  if (const auto& active = framework.status.activeBackup; active && active->uid != in.backup.meta.uid)
    return Obstacle{"BackupActive", "waiting for backup " + active->name + " of the same framework to end", false,
                    Millis(10000)};
  if (components.empty())
    return refuse("NoComponents", "Framework " + framework.meta.name +
                                      " names no components, so it is not known which version this would be");
  if (const auto why = unsettled(components); !why.empty())
    return Obstacle{"RolloutUnsettled", "waiting for one version to run everywhere: " + why, false, Millis(5000)};
  if (versionOf(components.front().container()->image).empty())
    return refuse(
        "VersionUnknown",
        "image " + components.front().container()->image + " of " + components.front().key() +
            " names no fixed version, so nobody could ask for this backup by version; use a version as its tag");
  return std::nullopt;
}

}  // namespace rollback::reconcilers
