#include "manager/gather.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

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
    if (status.name == reconcilers::kMoverContainer) return &status;
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
    static thread_local std::random_device device;  // making one costs more than a token
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
  request.query = {{"container", reconcilers::kMoverContainer}};
  if (lines > 0) request.query.emplace_back("tailLines", std::to_string(lines));
  request.asServiceAccount = api::kRunner;
  auto log = client_->send(request, call.deadline.earlier(Deadline::after(clock_, Millis(10000))), call.cancel);
  // What it says is convenience (progress), or is asked for again by the decision (a result that is missing).
  return log ? std::optional<std::string>(std::move(*log)) : std::nullopt;
}

Result<void> Gatherer::jobs(NamespaceSnapshot& out, const std::string& namespace_, const std::string& ownerUid,
                            const Call& call) {
  const std::string selector = std::string(api::kLabelOwnerUid) + "=" + ownerUid;
  const auto keepJob = [&](kube::Job job) { out.jobs.emplace_back().job = std::move(job); };
  const auto keepPod = [&](kube::Pod pod) {
    const std::string job = label(pod.meta, "batch.kubernetes.io/job-name");
    const auto& owners = pod.meta.ownerReferences;
    const auto owner = std::find_if(out.jobs.begin(), out.jobs.end(), [&](const JobView& view) {
      return view.job.meta.name == job && (owners.empty() || owners.front().uid == view.job.meta.uid);
    });
    auto& pods = owner != out.jobs.end() ? owner->pods : out.orphans;
    pods.push_back(std::move(pod));
  };
  if (auto done = each(kube::list(kube::resources::kJobs, namespace_, selector), 0, kube::decodeJob, call, keepJob);
      !done)
    return done;
  if (auto done = each(kube::list(kube::resources::kPods, namespace_, selector), 0, kube::decodePod, call, keepPod);
      !done)
    return done;

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
      if (const auto log = logOf(*pod, 20, call)) {
        view.progress = reconcilers::lastProgress(*log);
        // A failure may be tried again after a pause that begins when the container ended: that is not said yet.
        if (auto said = reconcilers::lastOutcome(*log); said && said->kind == reconcilers::Outcome::Kind::Succeeded) {
          view.outcome = std::move(*said);
          view.saidBy = pod->meta.name;
        }
      }
  }
  return {};
}

Result<void> Gatherer::common(NamespaceSnapshot& out, const About& about, const Call& call) {
  const std::string& namespace_ = about.owner.namespace_;
  out.now = clock_.wall();
  out.newToken = tokens_();
  if (about.owner.deleting()) {
    auto space = object(kube::get(kube::resources::kNamespaces, "", namespace_), kube::decodeMeta, call);
    if (!space) return space.error();
    out.terminating = *space && (*space)->deleting();
  }
  auto allowed = optIn(namespace_, call);
  if (!allowed) return allowed.error();
  out.optIn = *allowed;
  if (!out.framework && !about.framework.empty()) {
    auto framework = object(kube::get(api::kFrameworks, namespace_, about.framework), api::decodeFramework, call);
    if (!framework) return framework.error();
    out.framework = std::move(*framework);
  }
  if (out.framework && about.frameworkClass) {
    auto described =
        object(kube::get(api::kFrameworkClasses, "", out.framework->spec.className), api::decodeFrameworkClass, call);
    if (!described) return described.error();
    out.frameworkClass = std::move(*described);
  }
  std::string repository = about.repositoryName;
  if (repository.empty() && out.framework) repository = out.framework->spec.repositoryName;
  if (about.repository && !repository.empty()) {
    if (!out.repository) {
      auto found =
          object(kube::get(api::kBackupRepositories, namespace_, repository), api::decodeBackupRepository, call);
      if (!found) return found.error();
      out.repository = std::move(*found);
    }
    if (out.repository && out.optIn.allowed) {
      auto request = kube::get(kube::resources::kPersistentVolumeClaims, namespace_, out.repository->spec.claimName);
      request.asServiceAccount = api::kRunner;
      auto claim = read(request, call);
      if (!claim) return claim.error();
      out.repositoryClaimExists = claim->has_value();
    }
  }
  if (auto done = jobs(out, namespace_, about.owner.uid, call); !done) return done;
  // Last: what is decided from them (S8) must not wait for other reads meanwhile.
  return out.framework && about.workloads ? workloads(out, call) : Result<void>();
}

Result<std::optional<reconcilers::RollbackSnapshot>> Gatherer::rollback(const std::string& namespace_,
                                                                        const std::string& name, const Call& call) {
  auto found = object(kube::get(api::kFrameworkRollbacks, namespace_, name), api::decodeFrameworkRollback, call);
  if (!found) return found.error();
  if (!*found) return std::optional<reconcilers::RollbackSnapshot>();
  reconcilers::RollbackSnapshot out;
  out.rollback = std::move(**found);
  const auto& status = out.rollback.status;
  const auto succeeded = [&](const char* step) {
    const auto* record = reconcilers::findRecord(status.steps, step);
    return record && record->state == "Succeeded";
  };
  const bool ended = status.phase && api::isEnding(*status.phase);
  About about{out.rollback.meta, out.rollback.spec.frameworkName};
  // A plan that is under the lock works with the class it froze; what is staged needs no backup any more.
  const bool frozen = status.plan && !status.plan->frozenClass.empty();
  about.frameworkClass = !frozen || !(ended || succeeded("Lock"));
  about.repository = !ended && !succeeded("Stage");
  if (auto done = common(out.ns, about, call); !done) return done.error();
  if (const auto& undo = out.rollback.spec.to.undo; !undo.empty()) {
    auto undone = object(kube::get(api::kFrameworkRollbacks, namespace_, undo), api::decodeFrameworkRollback, call);
    if (!undone) return undone.error();
    out.undoTarget = std::move(*undone);
  }
  // The catalogue may be long: it is read while a target is chosen, and again under the lock; not after.
  if (!ended && !succeeded("Lock"))
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
  auto found = object(kube::get(api::kFrameworkBackups, namespace_, name), api::decodeFrameworkBackup, call);
  if (!found) return found.error();
  if (!*found) return std::optional<reconcilers::BackupSnapshot>();
  reconcilers::BackupSnapshot out;
  out.backup = std::move(**found);
  // A thousand entries of a scan cost one read each.
  if (reconcilers::isMereListing(out.backup)) return std::optional<reconcilers::BackupSnapshot>();
  About about{out.backup.meta, out.backup.spec.frameworkName};
  // Of one that has ended nothing is decided but whether it still holds the lock, and what becomes of its Jobs.
  about.frameworkClass = about.workloads = about.repository = !reconcilers::hasEnded(out.backup);
  about.repositoryName = out.backup.spec.repositoryName;
  if (auto done = common(out.ns, about, call); !done) return done.error();
  return std::optional(std::move(out));
}

Result<std::optional<reconcilers::FrameworkSnapshot>> Gatherer::framework(const std::string& namespace_,
                                                                          const std::string& name, const Call& call) {
  auto found = object(kube::get(api::kFrameworks, namespace_, name), api::decodeFramework, call);
  if (!found) return found.error();
  if (!*found) return std::optional<reconcilers::FrameworkSnapshot>();
  reconcilers::FrameworkSnapshot out;
  out.object = **found;
  out.ns.framework = std::move(**found);
  About about{out.object.meta, name};
  about.repository = false;
  if (auto done = common(out.ns, about, call); !done) return done.error();
  using Holder = reconcilers::FrameworkSnapshot::Holder;
  const auto holderOf = [&](const kube::Resource& resource, auto decode, const std::string& holder,
                            const std::string& uid) -> Result<Holder> {
    auto there = object(kube::get(resource, namespace_, holder), decode, call);
    if (!there) return there.error();
    return *there && (*there)->meta.uid == uid ? reconcilers::holderOf(**there) : Holder::Gone;
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
  auto found = object(kube::get(api::kBackupRepositories, namespace_, name), api::decodeBackupRepository, call);
  if (!found) return found.error();
  if (!*found) return std::optional<reconcilers::RepositorySnapshot>();
  reconcilers::RepositorySnapshot out;
  out.object = **found;
  out.ns.repository = std::move(**found);
  About about{out.object.meta, ""};
  about.repositoryName = name;
  if (auto done = common(out.ns, about, call); !done) return done.error();
  if (auto done = catalogue(out, namespace_, call); !done) return done.error();
  return std::optional(std::move(out));
}

}  // namespace rollback::manager
