#include "manager/gather.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "api/resources.h"
#include "backup/backup.h"
#include "common/journal.h"
#include "common/opt_in.h"
#include "framework/framework.h"

namespace rollback::manager {
namespace {

using nlohmann::json;
using reconcilers::JobView;
using reconcilers::NamespaceSnapshot;

constexpr std::size_t kResultsKept = 64;

std::string selectorText(const std::map<std::string, std::string>& labels) {
  std::string out;
  for (const auto& [key, value] : labels) out += (out.empty() ? "" : ",") + key + "=" + value;
  return out;
}

// Where a database lives, so that two ways to write one address are one.
std::string address(const api::PostgresStore& pg, const std::string& namespace_) {
  std::string host = pg.directHost.empty() ? pg.host : pg.directHost;
  for (const std::string suffix : {".cluster.local", ".svc"})
    if (host.size() > suffix.size() && host.compare(host.size() - suffix.size(), suffix.size(), suffix) == 0)
      host.resize(host.size() - suffix.size());
  if (host.find('.') == std::string::npos) host += "." + namespace_;
  return host + ":" + std::to_string(pg.port) + "/" + pg.database;
}

std::string label(const kube::ObjectMeta& meta, const char* name) {
  const auto found = meta.labels.find(name);
  return found == meta.labels.end() ? std::string() : found->second;
}

const kube::ContainerStatus* moverContainer(const kube::Pod& pod) {
  for (const auto& status : pod.containers)
    if (status.name == "mover") return &status;
  return nullptr;
}

}  // namespace

std::vector<std::string> databasesOf(const api::Framework& framework) {
  std::vector<std::string> out;
  for (const auto& store : framework.spec.stores)
    if (store.postgres) out.push_back(address(*store.postgres, framework.meta.namespace_));
  return out;
}

TokenSource systemTokens() {
  return [] {
    static constexpr char digits[] = "0123456789abcdef";
    std::random_device device;
    std::string out;
    for (int word = 0; word < 4; ++word) {
      const unsigned bits = device();
      for (int shift = 0; shift < 32; shift += 4) out += digits[(bits >> shift) & 15];
    }
    return out;
  };
}

Gatherer::Gatherer(std::shared_ptr<kube::Client> client, const Clock& clock,
                   const runtime::Store<api::Framework>& frameworks,
                   const runtime::Store<api::FrameworkRollback>& rollbacks, TokenSource tokens)
    : client_(std::move(client)),
      clock_(clock),
      frameworks_(frameworks),
      rollbacks_(rollbacks),
      tokens_(std::move(tokens)) {}

Result<std::optional<std::string>> Gatherer::read(const kube::Request& request, const Call& call) {
  auto answer = client_->send(request, call.deadline, call.cancel);
  if (answer) return std::optional<std::string>(std::move(*answer));
  if (answer.error().code == ErrorCode::NotFound) return std::optional<std::string>();
  return answer.error();
}

Result<reconcilers::OptIn> Gatherer::optIn(const std::string& namespace_, const Call& call) {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    const auto known = optIns_.find(namespace_);
    // A yes holds for half a minute; a no is asked again soon, because somebody is about to opt in.
    if (known != optIns_.end() &&
        clock_.now() - known->second.first < (known->second.second.allowed ? Millis(30000) : Millis(2000)))
      return known->second.second;
  }
  const json body = {{"apiVersion", "authorization.k8s.io/v1"},
                     {"kind", "SelfSubjectAccessReview"},
                     {"spec",
                      {{"resourceAttributes",
                        {{"namespace", namespace_}, {"verb", "create"}, {"group", "batch"}, {"resource", "jobs"}}}}}};
  auto request = kube::create(kube::resources::kSelfSubjectAccessReviews, namespace_, body.dump());
  request.asServiceAccount = api::kRunner;
  auto answer = client_->send(request, call.deadline, call.cancel);
  reconcilers::OptIn out;
  if (answer) {
    const json review = json::parse(*answer, nullptr, false);
    out.allowed = review.is_object() && review.contains("status") && review["status"].value("allowed", false);
  } else if (answer.error().code != ErrorCode::Forbidden) {
    return answer.error();
  }
  if (!out.allowed) out.reason = reconcilers::notOptedIn(namespace_);
  const std::lock_guard<std::mutex> hold(mutex_);
  optIns_[namespace_] = {clock_.now(), out};
  return out;
}

std::optional<std::string> Gatherer::logOf(const kube::Pod& pod, int lines, const Call& call) {
  auto request = kube::get(kube::resources::kPods, pod.meta.namespace_, pod.meta.name);
  request.subresource = "log";
  request.query = {{"container", "mover"}};
  if (lines > 0) request.query.emplace_back("tailLines", std::to_string(lines));
  request.asServiceAccount = api::kRunner;
  auto log = client_->send(request, call.deadline.earlier(Deadline::after(clock_, Millis(10000))), call.cancel);
  // What it says is convenience (progress), or is asked for again by the decision (a result that is missing).
  return log ? std::optional<std::string>(std::move(*log)) : std::nullopt;
}

Result<void> Gatherer::jobs(NamespaceSnapshot& out, const std::string& namespace_, const std::string& ownerUid,
                            const Call& call) {
  const std::string selector = std::string(api::kLabelOwnerUid) + "=" + ownerUid;
  auto listed = client_->list(kube::list(kube::resources::kJobs, namespace_, selector), 0, call.deadline, call.cancel,
                              [&](std::string_view item) -> Result<void> {
                                auto job = kube::decodeJob(item);
                                if (!job) return job.error();
                                JobView view;
                                view.job = std::move(*job);
                                out.jobs.push_back(std::move(view));
                                return {};
                              });
  if (!listed) return listed.error();
  listed = client_->list(
      kube::list(kube::resources::kPods, namespace_, selector), 0, call.deadline, call.cancel,
      [&](std::string_view item) -> Result<void> {
        auto pod = kube::decodePod(item);
        if (!pod) return pod.error();
        const std::string job = label(pod->meta, "batch.kubernetes.io/job-name");
        const auto owner = std::find_if(out.jobs.begin(), out.jobs.end(), [&](const JobView& view) {
          return view.job.meta.name == job &&
                 (pod->meta.ownerReferences.empty() || pod->meta.ownerReferences.front().uid == view.job.meta.uid);
        });
        if (owner != out.jobs.end())
          owner->pods.push_back(std::move(*pod));
        else
          out.orphans.push_back(std::move(*pod));
        return {};
      });
  if (!listed) return listed.error();

  for (auto& view : out.jobs) {
    for (const auto& pod : view.pods) {
      const auto* container = moverContainer(pod);
      if (!container || !container->terminated || container->terminationMessage.empty()) continue;
      auto outcome = reconcilers::decodeOutcome(container->terminationMessage);
      if (!outcome) continue;  // not a report: the Job's own end decides
      if (outcome->resultMissing) {
        std::optional<std::string> result;
        {
          const std::lock_guard<std::mutex> hold(mutex_);
          for (const auto& [uid, text] : results_)
            if (uid == pod.meta.uid) result = text;
        }
        if (!result)
          if (const auto log = logOf(pod, 0, call))
            if (auto joined = reconcilers::joinResult(*log, *outcome)) {
              result = *joined;
              const std::lock_guard<std::mutex> hold(mutex_);
              results_.emplace_front(pod.meta.uid, *joined);
              if (results_.size() > kResultsKept) results_.pop_back();
            }
        if (result) {
          outcome->result = *result;
          outcome->resultMissing = false;
        }
      }
      view.outcome = std::move(*outcome);
    }
    if (const auto* pod = view.outcome ? nullptr : view.runningPod())
      if (const auto log = logOf(*pod, 20, call)) view.progress = reconcilers::lastProgress(*log);
  }
  return {};
}

Result<void> Gatherer::workloads(NamespaceSnapshot& out, const Call& call) {
  std::set<std::pair<std::string, std::string>> wanted;
  for (const auto& component : out.framework->spec.components)
    wanted.emplace(component.workloadKind, component.workloadName);
  for (const auto& store : out.framework->spec.stores)
    if (store.postgres && !store.postgres->tools.workloadName.empty())
      wanted.emplace(store.postgres->tools.workloadKind, store.postgres->tools.workloadName);
  const std::string& namespace_ = out.framework->meta.namespace_;
  for (const auto& [kind, name] : wanted) {
    const auto& resource = kind == "StatefulSet" ? kube::resources::kStatefulSets : kube::resources::kDeployments;
    auto text = read(kube::get(resource, namespace_, name), call);
    if (!text) return text.error();
    reconcilers::WorkloadView view;
    if (*text) {
      auto workload = kube::decodeWorkload(**text);
      if (!workload) return workload.error();
      view.workload = std::move(*workload);
      if (const auto selector = selectorText(view.workload->selector); !selector.empty()) {
        auto listed = client_->list(kube::list(kube::resources::kPods, namespace_, selector), 0, call.deadline,
                                    call.cancel, [&](std::string_view item) -> Result<void> {
                                      auto pod = kube::decodePod(item);
                                      if (!pod) return pod.error();
                                      view.pods.push_back(std::move(*pod));
                                      return {};
                                    });
        if (!listed) return listed.error();
      }
    }
    out.workloads[kind + "/" + name] = std::move(view);
  }
  return {};
}

Result<void> Gatherer::common(NamespaceSnapshot& out, const std::string& namespace_, const std::string& frameworkName,
                              const std::string& repositoryName, const std::string& ownerUid, const Call& call) {
  out.now = clock_.wall();
  out.newToken = tokens_();
  auto space = read(kube::get(kube::resources::kNamespaces, "", namespace_), call);
  if (!space) return space.error();
  if (*space) {
    auto meta = kube::decodeMeta(**space);
    if (!meta) return meta.error();
    out.terminating = meta->deleting();
  }
  auto allowed = optIn(namespace_, call);
  if (!allowed) return allowed.error();
  out.optIn = *allowed;
  std::string repositoryOf = repositoryName;
  if (!frameworkName.empty()) {
    auto text = read(kube::get(api::kFrameworks, namespace_, frameworkName), call);
    if (!text) return text.error();
    if (*text) {
      auto framework = api::decodeFramework(**text);
      if (!framework) return framework.error();
      out.framework = std::move(*framework);
      if (repositoryOf.empty()) repositoryOf = out.framework->spec.repositoryName;
      auto described = read(kube::get(api::kFrameworkClasses, "", out.framework->spec.className), call);
      if (!described) return described.error();
      if (*described) {
        auto decoded = api::decodeFrameworkClass(**described);
        if (!decoded) return decoded.error();
        out.frameworkClass = std::move(*decoded);
      }
    }
  }
  if (!repositoryOf.empty()) {
    auto text = read(kube::get(api::kBackupRepositories, namespace_, repositoryOf), call);
    if (!text) return text.error();
    if (*text) {
      auto repository = api::decodeBackupRepository(**text);
      if (!repository) return repository.error();
      out.repository = std::move(*repository);
      if (out.optIn.allowed) {
        auto request = kube::get(kube::resources::kPersistentVolumeClaims, namespace_, out.repository->spec.claimName);
        request.asServiceAccount = api::kRunner;
        auto claim = read(request, call);
        if (!claim) return claim.error();
        out.repositoryClaimExists = claim->has_value();
      }
    }
  }
  if (auto done = jobs(out, namespace_, ownerUid, call); !done) return done;
  // Last: what is decided from them (S8) must not wait for other reads meanwhile.
  return out.framework ? workloads(out, call) : Result<void>();
}

Result<std::optional<reconcilers::RollbackSnapshot>> Gatherer::rollback(const std::string& namespace_,
                                                                        const std::string& name, const Call& call) {
  auto text = read(kube::get(api::kFrameworkRollbacks, namespace_, name), call);
  if (!text) return text.error();
  if (!*text) return std::optional<reconcilers::RollbackSnapshot>();
  auto decoded = api::decodeFrameworkRollback(**text);
  if (!decoded) return decoded.error();
  reconcilers::RollbackSnapshot out;
  out.rollback = std::move(*decoded);
  if (auto done = common(out.ns, namespace_, out.rollback.spec.frameworkName, "", out.rollback.meta.uid, call); !done)
    return done.error();
  if (const auto& undo = out.rollback.spec.to.undo; !undo.empty()) {
    auto target = read(kube::get(api::kFrameworkRollbacks, namespace_, undo), call);
    if (!target) return target.error();
    if (*target) {
      auto undone = api::decodeFrameworkRollback(**target);
      if (!undone) return undone.error();
      out.undoTarget = std::move(*undone);
    }
  }
  // The catalogue may be long: it is read while a target is chosen, and again under the lock; not after.
  const auto& status = out.rollback.status;
  const auto* lock = reconcilers::findRecord(status.steps, "Lock");
  if ((!status.phase || !api::isEnding(*status.phase)) && !(lock && lock->state == "Succeeded"))
    if (auto done = forTarget(out, call); !done) return done.error();
  if (out.ns.framework)
    for (const auto& store : out.ns.framework->spec.stores)
      if (store.postgres)
        for (const auto& other : frameworks_.byIndex("database", address(*store.postgres, namespace_)))
          if (other->meta.uid != out.ns.framework->meta.uid)
            out.frameworkSharers.emplace_back(other->meta.namespace_ + "/" + other->meta.name, store.name);
  return std::optional(std::move(out));
}

Result<std::optional<reconcilers::BackupSnapshot>> Gatherer::backup(const std::string& namespace_,
                                                                    const std::string& name, const Call& call) {
  auto text = read(kube::get(api::kFrameworkBackups, namespace_, name), call);
  if (!text) return text.error();
  if (!*text) return std::optional<reconcilers::BackupSnapshot>();
  auto decoded = api::decodeFrameworkBackup(**text);
  if (!decoded) return decoded.error();
  reconcilers::BackupSnapshot out;
  out.backup = std::move(*decoded);
  // A thousand entries of a scan cost one read each.
  if (reconcilers::isMereListing(out.backup)) return std::optional<reconcilers::BackupSnapshot>();
  if (auto done = common(out.ns, namespace_, out.backup.spec.frameworkName, out.backup.spec.repositoryName,
                         out.backup.meta.uid, call);
      !done)
    return done.error();
  return std::optional(std::move(out));
}

Result<std::optional<reconcilers::FrameworkSnapshot>> Gatherer::framework(const std::string& namespace_,
                                                                          const std::string& name, const Call& call) {
  auto text = read(kube::get(api::kFrameworks, namespace_, name), call);
  if (!text) return text.error();
  if (!*text) return std::optional<reconcilers::FrameworkSnapshot>();
  auto decoded = api::decodeFramework(**text);
  if (!decoded) return decoded.error();
  reconcilers::FrameworkSnapshot out;
  if (auto done = common(out.ns, namespace_, name, "", decoded->meta.uid, call); !done) return done.error();
  // One read of the object serves both: the common part read it last.
  if (!out.ns.framework) return std::optional<reconcilers::FrameworkSnapshot>();
  out.object = *out.ns.framework;
  using Holder = reconcilers::FrameworkSnapshot::Holder;
  const auto holderOf = [&](const kube::Resource& resource, auto decode, const std::string& holder,
                            const std::string& uid) -> Result<Holder> {
    auto there = read(kube::get(resource, namespace_, holder), call);
    if (!there) return there.error();
    if (!*there) return Holder::Gone;
    auto object = decode(**there);
    if (!object) return object.error();
    return object->meta.uid == uid ? reconcilers::holderOf(*object) : Holder::Gone;
  };
  if (const auto& active = out.object.status.activeRollback) {
    auto holder = holderOf(api::kFrameworkRollbacks, api::decodeFrameworkRollback, active->name, active->uid);
    if (!holder) return holder.error();
    out.holder = *holder;
    if (out.holder == Holder::Gone) {
      NamespaceSnapshot lost;
      if (auto done = jobs(lost, namespace_, active->uid, call); !done) return done.error();
      out.lostJobs = std::move(lost.jobs);
      out.lostOrphans = std::move(lost.orphans);
    }
  }
  if (const auto& active = out.object.status.activeBackup) {
    auto holder = holderOf(api::kFrameworkBackups, api::decodeFrameworkBackup, active->name, active->uid);
    if (!holder) return holder.error();
    out.backupHolder = *holder;
  }
  return std::optional(std::move(out));
}

Result<std::optional<reconcilers::RepositorySnapshot>> Gatherer::repository(const std::string& namespace_,
                                                                            const std::string& name, const Call& call) {
  auto text = read(kube::get(api::kBackupRepositories, namespace_, name), call);
  if (!text) return text.error();
  if (!*text) return std::optional<reconcilers::RepositorySnapshot>();
  auto decoded = api::decodeBackupRepository(**text);
  if (!decoded) return decoded.error();
  reconcilers::RepositorySnapshot out;
  out.object = std::move(*decoded);
  if (auto done = common(out.ns, namespace_, "", name, out.object.meta.uid, call); !done) return done.error();
  if (auto done = catalogue(out, namespace_, call); !done) return done.error();
  return std::optional(std::move(out));
}

}  // namespace rollback::manager
