#include "world.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/resources.h"
#include "framework/framework.h"
#include "rollback/ledger.h"
#include "rollback/rollback.h"

namespace rollback::test {
namespace {

using nlohmann::json;
using reconcilers::Outcome;

const reconcilers::Settings kSettings{"localhost/rollback-mover:test", "Never"};

Outcome succeeded(json result) {
  Outcome outcome;
  outcome.kind = Outcome::Kind::Succeeded;
  outcome.result = result.dump();
  return outcome;
}

Outcome failed(const std::string& code, const std::string& message) {
  Outcome outcome;
  outcome.kind = Outcome::Kind::Failed;
  outcome.code = code;
  outcome.message = message;
  return outcome;
}

std::string digestOf(const std::string& schema) { return "sha256:schema-" + schema; }

}  // namespace

api::FrameworkRollback wish() {
  api::FrameworkRollback rollback;
  rollback.meta.name = World::kName;
  rollback.meta.namespace_ = "demo";
  rollback.meta.uid = "ab12cd34-0000-0000-0000-000000000001";
  rollback.meta.generation = 1;
  rollback.meta.creationTimestamp = "2026-11-24T03:00:00Z";
  rollback.meta.resourceVersion = "1";
  rollback.spec.frameworkName = "shop";
  rollback.spec.reason = "FailedUpgrade";
  rollback.spec.to.version = "1.0.0";
  rollback.specDigest = "spec-digest";
  return rollback;
}

api::FrameworkRollback undoOf(const std::string& target, const std::string& id) {
  auto rollback = wish();
  rollback.meta.name = "undo-" + target.substr(0, 20) + "-" + id;
  rollback.meta.uid = id + "-0000-0000-0000-000000000002";
  rollback.spec.to = {};
  rollback.spec.to.undo = target;
  rollback.spec.acceptDataLoss = true;
  rollback.specDigest = "spec-digest-of-" + id;
  return rollback;
}

World::World() {
  parseTime("2026-11-24T03:00:00Z", now);
  rollback = wish();

  frameworkClass.meta.name = "demo";
  frameworkClass.meta.uid = "class-uid";
  frameworkClass.meta.generation = 1;
  frameworkClass.spec.components = {{"main", false, {}, {{"ready", {8080, "/healthz", {}}, 60}}}};
  api::StoreClass store;
  store.name = "database";
  store.schemaQuery = "select name from migrations";
  store.checks = {{"orders", "select count(*) from orders", 1}};
  frameworkClass.spec.stores = {store};

  framework.meta.name = "shop";
  framework.meta.namespace_ = "demo";
  framework.meta.uid = "framework-uid";
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

  deployment.kind = "Deployment";
  deployment.meta.name = "shop";
  deployment.meta.namespace_ = "demo";
  deployment.meta.uid = "deployment-uid";
  deployment.replicas = 2;
  deployment.containers = {{"app", "localhost/demo-app:2.0.0", {}}};
  touch(deployment.meta);

  database.kind = "StatefulSet";
  database.meta.name = "db";
  database.meta.namespace_ = "demo";
  database.meta.uid = "database-uid";
  database.containers = {{"postgres", "localhost/postgres:15", {}}};
  touch(database.meta);

  databases["shop"] = {16385, true, "2.0.0", "written by 2.0.0"};
  for (int i = 0; i < 4; ++i) step();
}

int World::livePods() const {
  const auto lives = [](const kube::Pod& pod) { return !pod.ended(); };
  auto count = std::count_if(pods.begin(), pods.end(), lives);
  for (const auto& worker : workers) count += std::count_if(worker.pods.begin(), worker.pods.end(), lives);
  return static_cast<int>(count);
}

int World::liveJobs() const {
  return static_cast<int>(std::count_if(jobs.begin(), jobs.end(),
                                        [](const auto& j) { return j.second.podStarted && !j.second.pod.ended(); }));
}

void World::addStore(const std::string& name, bool ownServer) {
  auto described = frameworkClass.spec.stores.front();
  described.name = name;
  frameworkClass.spec.stores.push_back(described);
  auto store = framework.spec.stores.front();
  store.name = name;
  store.postgres->database = name;
  if (ownServer) store.postgres->host = "db-of-" + name;
  framework.spec.stores.push_back(store);
  databases[name] = {++oids_, true, "2.0.0", "written by 2.0.0"};
}

void World::addWorker(const std::string& name) {
  api::Component described;
  described.name = name;
  described.dependsOn = {"main"};
  frameworkClass.spec.components.insert(frameworkClass.spec.components.begin(), described);
  framework.spec.components.insert(framework.spec.components.begin(), {name, "Deployment", name, "", ""});
  ModelDeployment worker{deployment, {}, 3};
  worker.workload.meta.name = name;
  worker.workload.meta.uid = name + "-uid";
  worker.workload.replicas = 1;
  worker.workload.containers[0].image = "localhost/demo-worker:2.0.0";
  touch(worker.workload.meta);
  workers.push_back(worker);
  for (int i = 0; i < 3; ++i) step();
}

std::string World::imageOf(const std::string& component) const {
  for (const auto& worker : workers)
    if (worker.workload.meta.name == component) return worker.workload.containers[0].image;
  return component == "main" ? deployment.containers[0].image : cronJob ? cronJob->containers[0].image : "";
}

void World::addCronJob(int runMillis) {
  framework.spec.components.push_back({"report", "CronJob", "report", "", ""});
  cronJob.emplace();
  cronJob->kind = "CronJob";
  cronJob->meta.name = "report";
  cronJob->meta.namespace_ = "demo";
  cronJob->meta.uid = "cronjob-uid";
  cronJob->schedule = "*/5 * * * *";
  cronJob->containers = {{"report", "localhost/demo-app:2.0.0", {}}};
  cronRunMillis = runMillis;
  touch(cronJob->meta);
}

bool World::isLive(const std::string& name) const {
  const auto& stores = framework.spec.stores;
  return std::any_of(stores.begin(), stores.end(), [&](const auto& s) { return s.postgres->database == name; });
}

bool World::serving() const {
  const auto& stores = framework.spec.stores;
  const bool open = std::all_of(stores.begin(), stores.end(), [&](const api::Store& store) {
    const auto live = databases.find(store.postgres->database);
    return live != databases.end() && live->second.open;
  });
  const auto ready = [](const std::vector<kube::Pod>& some) {
    return std::count_if(some.begin(), some.end(), [](const kube::Pod& p) { return p.ready; });
  };
  return open && deployment.replicas == 2 && ready(pods) == 2 &&
         std::all_of(workers.begin(), workers.end(),
                     [&](const auto& worker) { return worker.workload.replicas == 1 && ready(worker.pods) == 1; });
}

reconcilers::NamespaceSnapshot World::space(const std::string& ownerUid) {
  reconcilers::NamespaceSnapshot in;
  in.now = now;
  in.newToken = "token-" + std::to_string(++uids_);
  in.terminating = terminating;
  in.optIn.allowed = true;
  if (frameworkExists) in.framework = framework;
  if (classExists) in.frameworkClass = frameworkClass;
  api::BackupRepository repository;
  repository.meta.name = "backups";
  repository.spec.claimName = "backups";
  if (repositoryExists) in.repository = repository;
  in.repositoryClaimExists = repositoryClaimExists;
  in.workloads["Deployment/shop"] = {deployment, pods};
  in.workloads["StatefulSet/db"] = {database, {}};
  for (const auto& worker : workers)
    in.workloads["Deployment/" + worker.workload.meta.name] = {worker.workload, worker.pods};
  if (cronJob) in.workloads["CronJob/report"] = {cronJob, {}, {}};
  if (cronJob && cronRunMillis > 0) in.workloads["CronJob/report"].runs = {"report-29"};
  if (!goneWorkload.empty()) in.workloads[goneWorkload].workload.reset();
  for (const auto& [name, model] : jobs) {
    if (model.ownerUid != ownerUid) continue;
    reconcilers::JobView view;
    view.job = model.job;
    if (model.podStarted) view.pods = {model.pod};
    view.outcome = model.outcome;
    view.progress = model.progress;
    in.jobs.push_back(view);
  }
  return in;
}

reconcilers::FrameworkSnapshot World::frameworkSnapshot() {
  using Holder = reconcilers::FrameworkSnapshot::Holder;
  reconcilers::FrameworkSnapshot in;
  in.ns = space(framework.meta.uid);
  in.object = framework;
  if (const auto& active = framework.status.activeRollback) {
    const bool isPast =
        std::any_of(past.begin(), past.end(), [&](const auto& p) { return p.second.meta.uid == active->uid; });
    if (isPast) {
      in.holder = Holder::Ended;
    } else if (!rollback || rollback->meta.uid != active->uid) {
      in.holder = Holder::Gone;
      in.lostJobs = space(active->uid).jobs;
    } else {
      in.holder = reconcilers::holderOf(*rollback);
    }
  }
  return in;
}

void World::loseRollback(bool collected) {
  const std::string uid = rollback->meta.uid;
  rollback.reset();
  for (auto it = jobs.begin(); collected && it != jobs.end();)
    it = it->second.ownerUid == uid ? jobs.erase(it) : std::next(it);
  log.push_back(collected ? "the rollback is gone, and its Jobs" : "the rollback is gone");
}

reconcilers::RollbackSnapshot World::snapshot() {
  reconcilers::RollbackSnapshot in;
  in.ns = space(rollback->meta.uid);
  in.rollback = *rollback;
  if (const auto target = past.find(rollback->spec.to.undo); target != past.end()) in.undoTarget = target->second;
  in.ledger = ledger;
  if (backupExists) {
    api::FrameworkBackup backup;
    backup.meta.name = "shop-1";
    backup.meta.namespace_ = "demo";
    backup.spec.frameworkName = "shop";
    backup.status.phase = "Completed";
    backup.status.version = "1.0.0";
    backup.status.path = "shop/shop-backup-20261124-020000";
    backup.status.digest = "sha256:backup";
    backup.status.createdAt = "2026-11-24T02:00:00Z";
    backup.status.verifiedAt = "2026-11-24T02:01:00Z";
    backup.status.images = {{"main", "localhost/demo-app:1.0.0"}};
    if (changeBackup) changeBackup(backup);
    in.backups = {backup};
  }
  if (changeSnapshot) changeSnapshot(in);
  return in;
}

bool World::send(const kube::Request& request) {
  log.push_back(request.describe());
  const json body = request.body.empty() ? json() : json::parse(request.body);
  const std::string& plural = request.resource.plural;
  const bool ours = request.resource.group == api::kGroup;
  if (ours && !request.asServiceAccount.empty())
    violation("our own resources are written as ourselves: " + request.describe());
  if (!ours && request.mutates() && request.asServiceAccount != api::kRunner)
    violation("not as the runner: " + request.describe());
  if (!request.namespace_.empty() && request.namespace_ != "demo") violation("S12: " + request.describe());

  if (plural == "frameworkrollbacks") {
    if (!rollback) return false;
    if (body["metadata"]["resourceVersion"] != rollback->meta.resourceVersion) return false;
    if (request.subresource == "status") {
      const auto spec = rollback->spec;
      const auto digest = rollback->specDigest;
      json whole = body;
      whole["spec"] = {{"frameworkRef", {{"name", "shop"}}}, {"to", {{"version", "1.0.0"}}}};
      auto decoded = api::decodeFrameworkRollback(whole.dump());
      if (!decoded) {
        violation("a status that cannot be read back: " + decoded.error().message);
        return false;
      }
      if (rollback->status.phase && api::isEnding(*rollback->status.phase) &&
          (decoded->status.phase != rollback->status.phase || decoded->status.reason != rollback->status.reason))
        violation("S5: another end after the end");
      rollback->status = decoded->status;
    } else {
      rollback->meta.finalizers = body["metadata"]["finalizers"].get<std::vector<std::string>>();
      if (rollback->meta.deleting() && rollback->meta.finalizers.empty()) {
        rollback.reset();
        return true;
      }
    }
    touch(rollback->meta);
    return true;
  }
  if (plural == "frameworks") {
    if (body["metadata"]["resourceVersion"] != framework.meta.resourceVersion) return false;
    if (request.subresource != "status") {
      framework.meta.finalizers = body["metadata"]["finalizers"].get<std::vector<std::string>>();
      touch(framework.meta);
      return true;
    }
    json whole = body;
    whole["spec"] = {{"classRef", {{"name", "demo"}}}};
    auto decoded = api::decodeFramework(whole.dump());
    if (!decoded) return false;
    if (framework.status.activeRollback && decoded->status.activeRollback &&
        framework.status.activeRollback->uid != decoded->status.activeRollback->uid &&
        !(rollback && past.count(rollback->spec.to.undo) &&
          past.at(rollback->spec.to.undo).meta.uid == framework.status.activeRollback->uid))
      violation("S6: the lock of another was overwritten");
    framework.status = decoded->status;
    touch(framework.meta);
    return true;
  }
  if (plural == "configmaps") {
    if (ledger) return true;  // AlreadyExists counts as sent
    kube::ConfigMap entry;
    entry.meta.name = body["metadata"]["name"];
    entry.data = body["data"].get<std::map<std::string, std::string>>();
    ledger = entry;
    return true;
  }
  if (plural == "deployments") {
    for (auto& worker : workers)
      if (worker.workload.meta.name == request.name) return writeTo(worker.workload, request);
    return request.name == deployment.meta.name && writeTo(deployment, request);
  }
  if (plural == "cronjobs" && cronJob) {
    if (body["metadata"]["resourceVersion"] != cronJob->meta.resourceVersion ||
        body["metadata"]["uid"] != cronJob->meta.uid)
      return false;
    if (body.contains("spec") && body["spec"].contains("suspend")) {
      cronJob->replicas = body["spec"]["suspend"] ? 0 : 1;
      if (!lockFree() && cronJob->replicas != 0 && livePods() == 0)
        violation("a CronJob goes on while no pod of the application runs");
    } else if (body.contains("spec")) {
      if (cronJob->replicas != 0 || cronRunMillis > 0) violation("a CronJob's image was changed while it runs");
      cronJob->containers[0].image = body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"];
    } else {
      for (const auto& [name, value] : body["metadata"]["annotations"].items()) cronJob->meta.annotations[name] = value;
    }
    ++cronJob->meta.generation;
    touch(cronJob->meta);
    return true;
  }
  if (plural == "pods") {
    for (auto& [name, model] : jobs)
      if (model.pod.meta.name == request.name) {
        if (livePods() > 0 || (cronJob && (cronJob->replicas != 0 || cronRunMillis > 0)))
          violation("S8: go was given while the application runs");
        model.pod.meta.annotations[api::kAnnotationGo] = body["metadata"]["annotations"][api::kAnnotationGo];
        if (goesMissed > 0)
          --goesMissed;
        else
          model.shownGo = model.pod.meta.annotations[api::kAnnotationGo];
        return true;
      }
    return false;
  }
  if (plural == "jobs") {
    if (request.verb == kube::Verb::Create) {
      const std::string name = body["metadata"]["name"];
      if (jobs.count(name)) return true;
      ModelJob model;
      model.job.meta.name = name;
      model.job.meta.namespace_ = "demo";
      model.job.meta.uid = "job-uid-" + std::to_string(++uids_);
      model.job.suspended = body["spec"]["suspend"];
      if (!model.job.suspended) violation("a Job was created running: " + name);
      const auto& pod = body["spec"]["template"]["spec"];
      const auto& annotations = body["spec"]["template"]["metadata"]["annotations"];
      if (annotations.contains(api::kAnnotationTask)) {
        model.task = annotations[api::kAnnotationTask];
        model.verb = json::parse(model.task)["verb"];
      } else {
        model.verb = "noop";
      }
      model.image = pod["containers"][0]["image"];
      model.effect = body["metadata"]["labels"][api::kLabelEffect];
      model.ownerUid = body["metadata"]["labels"][api::kLabelOwnerUid];
      if (pod["automountServiceAccountToken"] != false) violation("a Job with a token: " + name);
      if (model.effect == "write" && model.verb != "cleanup" && !framework.status.activeRollback)
        violation("S6: a write Job without the lock: " + name);
      touch(model.job.meta);
      jobs[name] = model;
      return true;
    }
    const auto found = jobs.find(request.name);
    if (found == jobs.end()) return false;
    if (request.verb == kube::Verb::Delete) {
      if (found->second.podStarted && !found->second.pod.ended()) {
        found->second.pod.phase = "Failed";
        log.push_back("pod of " + request.name + " killed");
      }
      jobs.erase(found);
      return true;
    }
    for (const auto& op : body) {
      if (op["op"] != "test") continue;
      if (op["path"] == "/metadata/uid" && op["value"] != found->second.job.meta.uid) return false;
      if (op["path"] == "/metadata/resourceVersion" && op["value"] != found->second.job.meta.resourceVersion)
        return false;
    }
    found->second.job.suspended = false;
    touch(found->second.job.meta);
    return true;
  }
  violation("a request nobody expects: " + request.describe());
  return false;
}

void World::runMover(ModelJob& model) {
  const json task = model.task.empty() ? json::object() : json::parse(model.task);
  const auto target = task.value("postgres", json::object());
  const std::string base = target.value("database", "");
  const auto& stores = framework.spec.stores;
  const bool first = stores.empty() || base == stores.front().postgres->database;
  const auto finish = [&](Outcome outcome) {
    outcome.token = task.value("token", "");
    model.outcome = outcome;
    model.pod.phase = "Succeeded";
    model.job.complete = true;
    log.push_back("mover " + model.verb + (first ? "" : " " + base) + ": " +
                  (outcome.kind == Outcome::Kind::Succeeded ? "ok" : outcome.code));
  };
  auto script = scripted.find(model.verb);
  if (script == scripted.end()) script = scripted.find(model.verb + " " + base);
  if (script != scripted.end() && !(model.verb == "switch" && model.shownGo.empty())) {
    const Outcome outcome = script->second;
    scripted.erase(script);
    return finish(outcome);
  }
  if (model.verb == "noop") {
    if (unpullableImages.count(model.image)) {
      model.pod.phase = "Pending";
      model.pod.containers = {{}};
      model.pod.containers[0].name = "mover";
      model.pod.containers[0].waitingReason = "ImagePullBackOff";
      return;
    }
    model.pod.phase = "Succeeded";
    model.job.complete = true;
    return;
  }
  const auto names = task.value("names", json::object());
  const auto expect = task.value("expect", json::object());
  ModelDatabase none;  // of an application without stores
  auto& live = base.empty() ? none : databases[base];
  const std::string server =
      stores.empty() || target.value("host", "") == stores.front().postgres->host ? "7000" : "7001";
  if (model.verb == "inspect") {
    const std::string store = task.value("backup", json::object()).value("store", "");
    const bool held = !missingFromBackup.count(store);
    json result = {{"server", {{"version", "15.18"}, {"systemIdentifier", server}}},
                   {"live",
                    {{"name", base},
                     {"oid", live.oid},
                     {"sizeBytes", 1000},
                     {"schema",
                      {{"state", "Known"},
                       {"count", 2},
                       {"digest", digestOf(live.schema)},
                       {"structureDigest", digestOf(live.schema)}}},
                     {"tables", json::array({{{"name", "public.orders"}, {"rows", 120}, {"exact", true}}})}}},
                   {"space", {{"known", true}, {"required", 1000}, {"reserve", 400}, {"available", 100000}}},
                   {"blockers", json::array()},
                   {"keys", json::array()}};
    result["databases"] = json::array();
    const std::string own = base + "_";
    for (const auto& [name, kept] : databases)
      if (name.rfind(own, 0) == 0) result["databases"].push_back({{"name", name}, {"oid", kept.oid}});
    if (task.contains("repository") && !held)
      result["blockers"].push_back(
          {{"code", "StoreMissing"}, {"message", "the backup holds no PostgreSQL dump of store \"" + store + "\""}});
    for (const auto& b : blockers) result["blockers"].push_back({{"code", b.code}, {"message", b.message}});
    for (const auto& key : task.value("keys", json::array()))
      result["keys"].push_back({{"name", key["name"]}, {"state", keyState}, {"reason", "literal"}});
    if (task.contains("repository"))
      result["backup"] = {
          {"found", true},
          {"complete", true},
          {"digest", "sha256:backup"},
          {"sizeBytes", 500},
          {"schemaRelation", !held                    ? "Unknown"
                             : live.schema == "1.0.0" ? "Equal"
                                                      : "Different"},
          {"missing", live.schema == "1.0.0" ? json::array() : json::array({"drop_note"})},
          {"manifest",
           {{"framework", "shop"},
            {"current_version", "1.0.0"},
            {"createdAt", "2026-11-24T02:00:00Z"},
            {"unsettled", false},
            {"images", json::array({{{"component", "main"}, {"image", "localhost/demo-app:1.0.0"}, {"imageID", ""}}})},
            {"stores",
             json::array(
                 {{{"name", held ? store : "another"},
                   {"schema", {{"count", 1}, {"digest", digestOf("1.0.0")}, {"structureDigest", digestOf("1.0.0")}}},
                   {"tables", json::array({{{"name", "public.orders"}, {"rows", 100}}})}}})}}}};
    if (!inspectPatch.empty()) result.merge_patch(json::parse(inspectPatch));
    return finish(succeeded(result));
  }
  if (model.verb == "verify")
    return finish(
        succeeded({{"digest", "sha256:backup"}, {"files", 3}, {"bytes", 500}, {"manifest", {{"framework", "shop"}}}}));
  if (model.verb == "stage") {
    const std::string name = names["stage"];
    if (databases.count(name)) return finish(failed("StageExists", "somebody restored into it"));
    databases[name] = {++oids_, false, "1.0.0", "as backed up"};
    ++restores;
    return finish(succeeded({{"stageOid", databases[name].oid}, {"liveOid", live.oid}, {"systemIdentifier", server}}));
  }
  if (model.verb == "switch") {
    if (model.shownGo.substr(0, model.shownGo.find(' ')) != task["token"]) {
      model.progress = reconcilers::MoverProgress{{}, "waiting for go"};
      return;
    }
    const std::string stage = names["stage"], prev = names["prev"];
    if (live.oid == expect["liveOid"]) {
      if (rollback)
        for (const auto& [component, image] : rollback->status.plan->images)
          if (imageOf(component) != image) violation("switched before the image of " + component + " was the target's");
      databases[prev] = live;
      databases[prev].open = false;
      live = databases[stage];
      databases.erase(stage);
    }
    if (live.oid != expect["stageOid"]) return finish(failed("WrongDatabase", "live is neither"));
    live.open = true;
    return finish(succeeded({{"liveOid", live.oid}, {"prevOid", databases[prev].oid}}));
  }
  if (model.verb == "switchback") {
    std::uint32_t reverted = 0;
    if (live.oid != expect["liveOid"] && live.oid != expect["stageOid"])
      return finish(failed("WrongDatabase", "live is neither"));
    if (live.oid != expect["liveOid"]) {
      if (livePods() > 0) violation("S8: switched back while the application runs");
      databases[names["reverted"]] = live;
      databases[names["reverted"]].open = false;
      reverted = live.oid;
      live = databases[names["prev"]];
      databases.erase(names["prev"]);
    }
    if (names["stage"].empty()) violation("a switch is taken back of which no staged copy is known");
    live.open = true;
    // Who comes second finds it done.
    const auto known = databases.find(names["reverted"]);
    if (known != databases.end() && known->second.oid == expect["stageOid"]) reverted = known->second.oid;
    return finish(succeeded({{"liveOid", live.oid}, {"revertedOid", reverted}}));
  }
  if (model.verb == "check") {
    const json health =
        json::array({{{"name", "main/ready"}, {"ok", checkHealthy}, {"message", checkHealthy ? "200" : "500"}}});
    json seen = json::array();
    for (const std::string& name : {base, task.value("/names/prev"_json_pointer, std::string())})
      if (const auto found = databases.find(name); found != databases.end())
        seen.push_back({{"name", name}, {"oid", found->second.oid}, {"allowConnections", found->second.open}});
    return finish(succeeded({{"health", task.value("health", json::array()).empty() ? json::array() : health},
                             {"databases", seen},
                             {"schema",
                              {{"state", "Known"},
                               {"count", 1},
                               {"digest", digestOf(live.schema)},
                               {"structureDigest", digestOf(live.schema)}}},
                             {"invariants", json::array({{{"name", "orders"}, {"value", "100"}, {"ok", true}}})}}));
  }
  if (model.verb == "discard") {
    for (auto it = databases.begin(); it != databases.end();)
      it = it->first.rfind(base + "_stage_" + task["id"].get<std::string>(), 0) == 0 ? databases.erase(it)
                                                                                     : std::next(it);
    return finish(succeeded({{"dropped", json::array()}}));
  }
  if (model.verb == "cleanup") {
    for (const auto& copy : task["drop"]) {
      const auto found = databases.find(copy["name"]);
      if (found == databases.end()) continue;
      if (found->second.oid != copy["oid"]) return finish(failed("WrongDatabase", "somebody else made it"));
      if (isLive(found->first)) violation("S2: what is live was dropped");
      databases.erase(found);
    }
    return finish(succeeded({{"dropped", json::array()}}));
  }
  violation("a verb nobody knows: " + model.verb);
}

bool World::writeTo(kube::Workload& workload, const kube::Request& request) {
  const json body = json::parse(request.body);
  if (body["metadata"]["resourceVersion"] != workload.meta.resourceVersion ||
      body["metadata"]["uid"] != workload.meta.uid)
    return false;
  if (request.subresource == "scale") {
    workload.replicas = body["spec"]["replicas"];
  } else if (body["metadata"].contains("annotations")) {
    for (const auto& [name, value] : body["metadata"]["annotations"].items()) workload.meta.annotations[name] = value;
    touch(workload.meta);
    return true;
  } else {
    if (workload.replicas != 0 || livePods() > 0) violation("the image was changed while pods run");
    workload.containers[0].image = body["spec"]["template"]["spec"]["containers"][0]["image"];
  }
  ++workload.meta.generation;
  touch(workload.meta);
  return true;
}

// Its pods follow its replicas: one move a step.
void World::runPods(kube::Workload& workload, std::vector<kube::Pod>& ofIt, int& endsSlowly) {
  const std::string& image = workload.containers[0].image;
  if (static_cast<int>(ofIt.size()) > workload.replicas) {
    if (endsSlowly-- > 0) return;
    ofIt.resize(static_cast<std::size_t>(workload.replicas));
  } else if (static_cast<int>(ofIt.size()) < workload.replicas) {
    kube::Pod pod;
    pod.meta.name = workload.meta.name + "-" + std::to_string(++uids_);
    pod.phase = "Running";
    pod.containers = {{}};
    pod.containers[0].image = image;
    ofIt.push_back(pod);
  } else {
    for (auto& pod : ofIt) {
      const bool broken = brokenImages.count(image) > 0;
      pod.ready = !broken;
      if (broken) {
        pod.containers[0].waitingReason = "CrashLoopBackOff";
        pod.containers[0].restartCount += 1;
      }
    }
  }
  workload.observedGeneration = workload.meta.generation;
  workload.statusReplicas = static_cast<int>(ofIt.size());
  workload.updatedReplicas = workload.statusReplicas;
  workload.readyReplicas =
      static_cast<int>(std::count_if(ofIt.begin(), ofIt.end(), [](const kube::Pod& p) { return p.ready; }));
  workload.availableReplicas = workload.readyReplicas;
}

void World::step(int millis) {
  now += Millis(millis);
  if (cronJob && cronJob->replicas == 0 && cronRunMillis > 0 && (cronRunMillis -= millis) <= 0)
    log.push_back("the Job of CronJob/report ends");
  for (auto& [name, model] : jobs) {
    if (model.job.suspended || model.job.complete || model.job.failedCondition) continue;
    if (!model.podStarted) {
      model.podStarted = true;
      model.pod.meta.name = name + "-pod";
      model.pod.meta.namespace_ = "demo";
      model.pod.meta.uid = "pod-uid-" + std::to_string(++uids_);
      model.pod.phase = "Running";
      continue;
    }
    runMover(model);
  }
  int atOnce = 0;
  runPods(deployment, pods, atOnce);
  for (auto& worker : workers) runPods(worker.workload, worker.pods, worker.endsSlowly);
}

reconcilers::Decision World::decideFramework() {
  return reconcilers::reconcileFramework(frameworkSnapshot(), kSettings);
}

bool World::runFramework(int passes) {
  for (int i = 0; i < passes && !lockFree(); ++i) framePass();
  return lockFree();
}

reconcilers::Decision World::decide() { return reconcilers::reconcileRollback(snapshot(), kSettings); }

void World::apply(api::FrameworkRollback next) {
  if (rollback) past[rollback->meta.name] = *rollback;
  rollback = std::move(next);
  ledger.reset();  // it has one of its own
}

void World::pass(std::size_t most, int millis) {
  if (rollback) {
    const auto requests = decide().requests;
    for (std::size_t i = 0; i < requests.size() && i < most; ++i)
      if (!send(requests[i])) break;
  }
  step(millis);
}

void World::framePass(std::size_t most, int millis) {
  const auto requests = decideFramework().requests;
  for (std::size_t i = 0; i < requests.size() && i < most; ++i)
    if (!send(requests[i])) break;
  step(millis);
}

bool World::ended() const { return !rollback || (rollback->status.phase && api::isEnding(*rollback->status.phase)); }

bool World::keeps(const std::string& name, std::uint32_t oid) const {
  const auto& kept = framework.status.kept;
  return std::any_of(kept.begin(), kept.end(), [&](const auto& copy) { return copy.name == name && copy.oid == oid; });
}

std::string World::story() const {
  std::string out;
  for (const auto& line : log) out += line + "\n";
  if (rollback)
    out += "rollback " + rollback->meta.name + " " +
           (rollback->status.phase ? api::toString(*rollback->status.phase) : "new") + " " + rollback->status.reason +
           ": " + rollback->status.message + "\n";
  for (const auto& c : framework.status.conditions)
    out += "framework " + c.type + "=" + c.status + " " + c.reason + ": " + c.message + "\n";
  for (const auto& [name, base] : databases)
    out += name + " " + std::to_string(base.oid) + (base.open ? " open: " : " closed: ") + base.content + "\n";
  for (const auto& copy : framework.status.kept)
    out += "kept " + copy.name + " " + std::to_string(copy.oid) + " of " + copy.ofName + "\n";
  for (const auto& line : violations) out += "VIOLATION " + line + "\n";
  return out;
}

bool World::run(int passes) {
  for (int i = 0; i < passes; ++i) {
    if (!rollback) return true;
    const auto decision = decide();
    for (const auto& request : decision.requests)
      if (!send(request)) break;
    if (rollback && rollback->status.phase && api::isEnding(*rollback->status.phase) && decision.requests.empty())
      return true;
    step();
  }
  return false;
}

}  // namespace rollback::test
