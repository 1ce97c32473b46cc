#include "catalog_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/resources.h"
#include "backup/backup.h"
#include "common/opt_in.h"
#include "framework/framework.h"

namespace rollback::test {
namespace {

using nlohmann::json;
using reconcilers::Outcome;

const reconcilers::Settings kSettings{"localhost/rollback-mover:test", "Never"};

const char* const kBackupResult =
    R"({"path":"shop/x","digest":"sha256:backup","sizeBytes":500,"schema":{"count":2,"digest":"sha256:s","structureDigest":"sha256:t"},"unsettled":false,"snapshotAt":"2026-11-24T03:00:07Z"})";
// Of a store after which others come.
const char* const kPartResult =
    R"({"path":"shop/x","digest":"","schema":{"count":2,"digest":"sha256:s","structureDigest":"sha256:t"},"unsettled":false,"snapshotAt":"2026-11-24T03:00:05Z"})";
const char* const kVerifyResult =
    R"({"digest":"sha256:backup","files":3,"bytes":500,"manifest":{"manifestVersion":2,"framework":"shop","current_version":"1.0.0","createdAt":"2026-11-20T00:00:00Z","images":[{"component":"main","image":"localhost/demo-app:1.0.0","imageID":""}],"stores":[{"name":"database","schema":{"count":2,"digest":"sha256:s","structureDigest":"sha256:t"}}]}})";
const char* const kInspectResult =
    R"({"server":{"systemIdentifier":"7000"},"live":{"name":"shop","oid":16385,"schema":{"state":"Known","count":2,"digest":"sha256:s","structureDigest":"sha256:t"}}})";

}  // namespace

CatalogModel::CatalogModel() {
  parseTime("2026-11-24T03:00:00Z", now);
  frameworkClass.meta.name = "demo";
  frameworkClass.spec.components = {{"main", false, {}, {}}};
  api::StoreClass store;
  store.name = "database";
  store.schemaQuery = "select name from migrations";
  frameworkClass.spec.stores = {store};

  framework.meta.name = "shop";
  framework.meta.namespace_ = "demo";
  framework.meta.uid = "fa12cd34-0000-0000-0000-000000000001";
  framework.meta.generation = 1;
  framework.spec.className = "demo";
  framework.spec.components = {{"main", "Deployment", "shop", "app", "shop"}};
  api::PostgresStore pg;
  pg.host = "db";
  pg.database = "shop";
  pg.credentials.name = "shop-db";
  pg.tools = {"StatefulSet", "db", "postgres", ""};
  framework.spec.stores = {{"database", pg}};
  framework.spec.repositoryName = "backups";
  touch(framework.meta);

  repository.meta.name = "backups";
  repository.meta.namespace_ = "demo";
  repository.spec.claimName = "backups";

  database.kind = "StatefulSet";
  database.meta.name = "db";
  database.meta.namespace_ = "demo";
  database.containers = {{"postgres", "localhost/postgres:15", {}}};

  deployment.kind = "Deployment";
  deployment.meta.name = "shop";
  deployment.meta.namespace_ = "demo";
  deployment.meta.uid = "deployment-uid";
  deployment.replicas = 2;
  touch(deployment.meta);
  run("localhost/demo-app:1.0.0");
}

void CatalogModel::run(const std::string& image) {
  deployment.containers = {{"app", image, {}}};
  scale(deployment.replicas);
}

void CatalogModel::scale(int replicas) {
  deployment.replicas = deployment.statusReplicas = deployment.updatedReplicas = deployment.readyReplicas = replicas;
  pods.clear();
  for (int i = 0; i < replicas; ++i) {
    kube::Pod pod;
    pod.meta.name = "shop-" + std::to_string(i);
    pod.phase = "Running";
    pod.ready = true;
    pod.containers = {{}};
    pod.containers[0].name = "app";
    pod.containers[0].image = deployment.containers[0].image;
    pod.containers[0].imageID = "sha256:config-of-" + deployment.containers[0].image;
    pods.push_back(pod);
  }
}

void CatalogModel::addWorker(const std::string& image) {
  framework.spec.components.push_back({"worker", "Deployment", "worker", "", ""});
  worker = deployment;
  worker->meta.name = "worker";
  worker->replicas = worker->statusReplicas = worker->updatedReplicas = worker->readyReplicas = 1;
  worker->containers[0].image = image;
}

void CatalogModel::addStore(const std::string& name) {
  frameworkClass.spec.stores.push_back(frameworkClass.spec.stores.front());
  frameworkClass.spec.stores.back().name = name;
  framework.spec.stores.push_back(framework.spec.stores.front());
  framework.spec.stores.back().name = name;
  framework.spec.stores.back().postgres->database = name;
}

reconcilers::NamespaceSnapshot CatalogModel::ns() const {
  reconcilers::NamespaceSnapshot in;
  in.now = now;
  in.newToken = "token-" + std::to_string((now.time_since_epoch()).count());
  in.terminating = terminating;
  in.optIn = {optedIn, optedIn ? "" : reconcilers::notOptedIn("demo")};
  if (frameworkExists) in.framework = framework;
  if (classExists) in.frameworkClass = frameworkClass;
  if (repositoryExists) in.repository = repository;
  in.repositoryClaimExists = claimExists;
  in.workloads["Deployment/shop"] = {deployment, pods};
  in.workloads["StatefulSet/db"] = {database, {}};
  if (worker) in.workloads["Deployment/worker"] = {worker, {}};
  for (const auto& [name, view] : jobs) in.jobs.push_back(view);
  in.orphans = orphans;
  return in;
}

reconcilers::FrameworkSnapshot CatalogModel::frameworkSnapshot() const {
  using Holder = reconcilers::FrameworkSnapshot::Holder;
  reconcilers::FrameworkSnapshot in;
  in.ns = ns();
  in.object = framework;
  if (framework.status.activeRollback) in.holder = rollbackExists ? Holder::Present : Holder::Gone;
  if (framework.status.activeBackup) in.backupHolder = backupHolderExists ? Holder::Present : Holder::Gone;
  return in;
}

reconcilers::Decision CatalogModel::decideBackup() const {
  return reconcilers::reconcileBackup(backupSnapshot(), kSettings);
}
reconcilers::Decision CatalogModel::decideFramework() const {
  return reconcilers::reconcileFramework(frameworkSnapshot(), kSettings);
}

bool CatalogModel::send(const kube::Request& request) {
  log.push_back(request.describe());
  const std::string fault = request.fault();
  if (!fault.empty()) violations.push_back(request.describe() + ": " + fault);
  const json body = request.body.empty() ? json() : json::parse(request.body);
  const std::string& plural = request.resource.plural;
  const bool own = request.resource.group == api::kGroup;
  if (own != request.asServiceAccount.empty()) violations.push_back("by the wrong identity: " + request.describe());
  if (request.namespace_ != "demo") violations.push_back("S12: " + request.describe());

  const auto setFinalizers = [&](kube::ObjectMeta& meta) {
    if (body["metadata"]["uid"] != meta.uid) return false;
    const auto wanted = body["metadata"]["finalizers"].get<std::vector<std::string>>();
    if (meta.deleting() && wanted.size() > meta.finalizers.size())
      violations.push_back("a finalizer was added to what is being deleted");
    meta.finalizers = wanted;
    return true;
  };
  if (plural == "frameworkbackups") {
    if (!backup || body["metadata"]["resourceVersion"] != backup->meta.resourceVersion) return false;
    if (request.subresource == "status") {
      if (backup->status.phase == "Completed" || backup->status.phase == "Failed")
        violations.push_back("S5: a write after the end");
      auto decoded = api::decodeFrameworkBackup(request.body);
      if (!decoded) return violations.push_back(decoded.error().message), false;
      backup->status = decoded->status;
    } else if (!setFinalizers(backup->meta)) {
      return false;
    }
    touch(backup->meta);
    if (backup->meta.deleting() && backup->meta.finalizers.empty()) backup.reset();
    return true;
  }
  if (plural == "frameworks") {
    if (!frameworkExists || body["metadata"]["resourceVersion"] != framework.meta.resourceVersion) return false;
    if (request.subresource == "status") {
      auto decoded = api::decodeFramework(request.body);
      if (!decoded) return violations.push_back(decoded.error().message), false;
      if (decoded->status.activeBackup && decoded->status.activeRollback) violations.push_back("two locks at once");
      framework.status = decoded->status;
    } else if (!setFinalizers(framework.meta)) {
      return false;
    }
    touch(framework.meta);
    return true;
  }
  if (plural == "deployments") {
    if (request.subresource != "scale") violations.push_back("only scaled: " + request.describe());
    if (body["metadata"]["resourceVersion"] != deployment.meta.resourceVersion ||
        body["metadata"]["uid"] != deployment.meta.uid)
      return false;
    scale(body["spec"]["replicas"]);
    touch(deployment.meta);
    return true;
  }
  if (plural != "jobs") {
    violations.push_back("a request nobody expects: " + request.describe());
    return false;
  }
  if (request.verb == kube::Verb::Create) {
    const std::string name = body["metadata"]["name"];
    if (jobs.count(name)) return true;  // AlreadyExists counts as sent
    if (!body["spec"]["suspend"]) violations.push_back("a Job was created running");
    reconcilers::JobView view;
    view.job.meta.name = name;
    view.job.meta.namespace_ = "demo";
    view.job.meta.uid = "job-uid-" + std::to_string(++uids_);
    view.job.meta.labels = body["metadata"]["labels"].get<std::map<std::string, std::string>>();
    view.job.suspended = true;
    touch(view.job.meta);
    tasks[name] = body["spec"]["template"]["metadata"]["annotations"][api::kAnnotationTask];
    jobs[name] = view;
    return true;
  }
  const auto found = jobs.find(request.name);
  if (found == jobs.end()) return false;
  if (request.verb == kube::Verb::Delete) {
    if (body["preconditions"]["uid"] != found->second.job.meta.uid) return false;
    jobs.erase(found);
    return true;
  }
  if (body[0]["value"] != found->second.job.meta.uid || body[1]["value"] != found->second.job.meta.resourceVersion)
    return false;
  found->second.job.suspended = false;
  touch(found->second.job.meta);
  return true;
}

void CatalogModel::apply(const reconcilers::Decision& decision, std::size_t most) {
  for (std::size_t i = 0; i < decision.requests.size() && i < most; ++i)
    if (!send(decision.requests[i])) return;
  events.insert(events.end(), decision.events.begin(), decision.events.end());
}

void CatalogModel::step(int millis) {
  now += Millis(millis);
  for (auto& [name, view] : jobs) {
    if (view.job.suspended || view.job.ended()) continue;
    if (view.pods.empty()) {
      kube::Pod pod;
      pod.meta.name = name + "-pod";
      pod.phase = "Running";
      view.pods = {pod};
      continue;
    }
    if (moverHangs) continue;
    const json task = json::parse(tasks[name]);
    const std::string verb = task["verb"];
    Outcome outcome;
    outcome.token = task["token"];
    auto scripted = answers.find(verb + " " + view.job.meta.labels[api::kLabelStore]);
    if (scripted == answers.end()) scripted = answers.find(verb);
    if (scripted != answers.end() && !scripted->second.first.empty()) {
      outcome.kind = Outcome::Kind::Refused;
      outcome.code = scripted->second.first;
      outcome.message = scripted->second.second;
    } else {
      outcome.kind = Outcome::Kind::Succeeded;
      if (scripted != answers.end())
        outcome.result = scripted->second.second;
      else if (verb == "backup")
        outcome.result = task["backup"]["store"] == task["backup"]["stores"].back() ? kBackupResult : kPartResult;
      else if (verb == "verify")
        outcome.result = kVerifyResult;
      else if (verb == "inspect")
        outcome.result = kInspectResult;
      else
        outcome.result = "{}";
    }
    view.outcome = outcome;
    view.pods[0].phase = "Succeeded";
    view.pods[0].containers = {{}};
    view.pods[0].containers[0].terminated = true;
    view.pods[0].containers[0].finishedAt = formatTime(now);
    view.job.complete = true;
    log.push_back("mover " + verb);
  }
}

template <typename Decide>
int CatalogModel::runWith(int passes, Decide decide) {
  int idle = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const std::optional<reconcilers::Decision> decision = decide();
    if (!decision) return pass;
    apply(*decision);
    const auto before = log.size();
    step();
    const bool quiet = decision->requests.empty() && log.size() == before;
    idle = quiet ? idle + 1 : 0;
    if (idle == 3) return pass;
    if (quiet && decision->requeueAfter) now += std::min(*decision->requeueAfter, Millis(60000));
  }
  return passes;
}

int CatalogModel::runBackup(int passes) {
  return runWith(passes, [&]() -> std::optional<reconcilers::Decision> {
    if (!backup) return std::nullopt;
    return decideBackup();
  });
}

int CatalogModel::runFramework(int passes) {
  return runWith(passes, [&]() -> std::optional<reconcilers::Decision> { return decideFramework(); });
}

int CatalogModel::count(const std::string& logged) const {
  return static_cast<int>(
      std::count_if(log.begin(), log.end(), [&](const std::string& line) { return line.rfind(logged, 0) == 0; }));
}

std::string CatalogModel::story() const {
  std::string out;
  for (const auto& line : log) out += line + "\n";
  for (const auto& line : violations) out += "VIOLATION " + line + "\n";
  if (backup) out += "backup: " + backup->status.phase + ": " + backup->status.message + "\n";
  for (const auto& c : framework.status.conditions)
    out += "framework " + c.type + "=" + c.status + " " + c.reason + ": " + c.message + "\n";
  return out;
}

const kube::Condition& CatalogModel::condition(const std::string& type) const {
  static const kube::Condition none;
  const auto* found = kube::findCondition(backup ? backup->status.conditions : framework.status.conditions, type);
  return found ? *found : none;
}

}  // namespace rollback::test
