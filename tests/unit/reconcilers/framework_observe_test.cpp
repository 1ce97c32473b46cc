// Framework: what it says of the application, what it remembers, what it drops. (A lock without a holder:
// lost_lock_test.cpp.)
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "api/resources.h"
#include "catalog_model.h"
#include "framework/framework.h"

using rollback::test::CatalogModel;
using namespace rollback;

namespace {

api::ActiveRollback lockOf(const CatalogModel& model) {
  api::ActiveRollback lock;
  lock.name = "back-to-1";
  lock.uid = "lock-uid";
  lock.token = "t";
  lock.components = {
      {"main", "Deployment", "shop", "app", model.deployment.containers[0].image, 2, model.deployment.meta.uid}};
  return lock;
}

api::KeptCopy kept(const std::string& name, std::uint32_t oid, const std::string& until) {
  return {"database", name, oid, "prev", "uid", "back-to-1", until, "", ""};
}

}  // namespace

TEST_CASE(
    "Given a healthy application, when observed, then its version, images and schema are recorded once, and idle is "
    "silent") {
  CatalogModel model;
  model.runFramework();
  INFO(model.story());
  const auto& status = model.framework.status;
  REQUIRE(model.violations.empty());
  REQUIRE(status.healthy);
  REQUIRE(status.running);
  REQUIRE(status.running->version == "1.0.0");
  REQUIRE(status.running->images[0].second == "localhost/demo-app:1.0.0");
  REQUIRE(status.running->healthySince == "2026-11-24T03:00:00Z");
  REQUIRE(status.running->schemas.size() == 1);
  REQUIRE(status.running->schemas[0].schema.digest == "sha256:s");
  REQUIRE(status.history.empty());
  REQUIRE(status.observedGeneration == 1);
  for (const char* type : {"Ready", "ClassFound", "OptedIn", "StoresSupported"})
    REQUIRE(model.condition(type).status == "True");
  REQUIRE(model.condition("Reconciling").status == "False");
  REQUIRE(model.count("mover inspect") == 1);

  model.jobs.clear();  // their time to live is over
  const auto writes = model.log.size();
  model.now += std::chrono::hours(24);
  model.runFramework(10);
  REQUIRE(model.log.size() == writes);
}

TEST_CASE(
    "Given an upgrade that reaches one component after the other, then what ran before is remembered, and no mixture") {
  const bool workerFirst = GENERATE(true, false);
  const std::string before = "localhost/demo-app:1.0.0", after = "localhost/demo-app:2.0.0";
  CatalogModel model;
  model.addWorker(before);
  model.runFramework();
  REQUIRE(model.framework.status.running->images.size() == 2);
  REQUIRE(model.framework.status.healthy);
  model.now += std::chrono::minutes(5);
  workerFirst ? void(model.worker->containers[0].image = after) : model.run(after);
  model.runFramework();
  INFO(model.story());
  REQUIRE(model.condition("Ready").reason == "RolloutUnsettled");
  const char* says = workerFirst ? "runs 2.0.0 beside 1.0.0" : "runs 1.0.0 beside 2.0.0";
  REQUIRE(model.condition("Ready").message.find(says) != std::string::npos);
  model.now += std::chrono::minutes(5);
  model.run(after);
  model.worker->containers[0].image = after;
  model.runFramework();
  const auto& status = model.framework.status;
  REQUIRE(status.healthy);
  REQUIRE(status.running->version == "2.0.0");
  REQUIRE(status.history.size() == 1);
  REQUIRE(status.history[0].version == "1.0.0");
  REQUIRE(status.history[0].images ==
          std::vector<std::pair<std::string, std::string>>{{"main", before}, {"worker", before}});
}

TEST_CASE("Given a component at 0 with an old image, when observed, then the application is healthy all the same") {
  CatalogModel model;
  model.addWorker("localhost/demo-app:0.9.0");
  auto& worker = *model.worker;
  worker.replicas = worker.statusReplicas = worker.updatedReplicas = worker.readyReplicas = 0;
  model.frameworkClass.spec.components.push_back({"worker", true, {}, {}});
  model.runFramework();
  INFO(model.story());
  REQUIRE(model.framework.status.healthy);
}

TEST_CASE("Given a schema is being read, when observed, then Ready waits for it") {
  CatalogModel model;
  model.moverHangs = true;
  model.runFramework(10);
  INFO(model.story());
  REQUIRE(model.framework.status.healthy);
  REQUIRE(model.condition("Ready").reason == "Inspecting");
  REQUIRE(model.condition("Reconciling").status == "True");
  const auto task = nlohmann::json::parse(model.tasks.begin()->second);
  REQUIRE(task["verb"] == "inspect");
  REQUIRE_FALSE(task.contains("repository"));
  REQUIRE(model.jobs.begin()->second.job.meta.labels.at(api::kLabelEffect) == "read");
}

TEST_CASE("Given something is not as it should be, when observed, then the conditions say what and what to do") {
  struct Case {
    const char* reason;
    void (*arrange)(CatalogModel&);
    const char* says;
    bool stalled, reconciling;
  };
  const auto c = GENERATE(
      Case{"ClassMissing", [](CatalogModel& m) { m.classExists = false; }, "kubectl get frameworkclasses", true, false},
      Case{"NotOptedIn", [](CatalogModel& m) { m.optedIn = false; },
           "kubectl create rolebinding rollback-runner -n demo", true, false},
      Case{"StoresUnsupported", [](CatalogModel& m) { m.framework.spec.stores[0].name = "files"; },
           "not described by class demo", true, false},
      Case{"StoresUnsupported", [](CatalogModel& m) { m.frameworkClass.spec.stores[0].driver = "volume"; },
           "no PostgreSQL database", true, false},
      Case{"StoresUnsupported", [](CatalogModel& m) { m.framework.spec.stores.clear(); }, "requires", true, false},
      Case{"StoresUnsupported", [](CatalogModel& m) { m.framework.spec.stores[0].postgres->tools = {}; }, "pg_dump",
           true, false},
      Case{"NoComponents", [](CatalogModel& m) { m.framework.spec.components.clear(); }, "names no workload", true,
           false},
      Case{"RolloutUnsettled", [](CatalogModel& m) { m.deployment.readyReplicas = 1; },
           "2 of 2 replicas are updated, 1 ready", false, true},
      Case{"RolloutUnsettled", [](CatalogModel& m) { m.framework.spec.components[0].workloadName = "gone"; },
           "does not exist", false, true},
      Case{"RolloutUnsettled", [](CatalogModel& m) { m.framework.spec.components[0].container = "gone"; },
           "no container gone", false, true},
      Case{"ScaledToZero", [](CatalogModel& m) { m.scale(0); }, "scaled to 0", true, false},
      Case{"RollbackActive", [](CatalogModel& m) { m.framework.status.activeRollback = lockOf(m); },
           "back-to-1 is at work", false, true});
  CatalogModel model;
  c.arrange(model);
  model.runFramework();
  INFO(c.reason << "\n" << model.story());
  REQUIRE(model.condition("Ready").status == "False");
  REQUIRE(model.condition("Ready").reason == c.reason);
  REQUIRE(model.condition("Ready").message.find(c.says) != std::string::npos);
  REQUIRE(model.condition("Stalled").status == (c.stalled ? "True" : "False"));
  REQUIRE(model.condition("Reconciling").status == (c.reconciling ? "True" : "False"));
  REQUIRE(model.jobs.empty());
  REQUIRE(model.violations.empty());
}

TEST_CASE("Given an optional component at 0 replicas, when observed, then the application is healthy without it") {
  CatalogModel model;
  model.frameworkClass.spec.components.push_back({"worker", true, {"main"}, {}});
  model.framework.spec.components.push_back({"worker", "Deployment", "worker", "", ""});
  kube::Workload worker = model.deployment;
  worker.meta.name = "worker";
  worker.replicas = worker.statusReplicas = worker.updatedReplicas = worker.readyReplicas = 0;
  auto in = model.frameworkSnapshot();
  in.ns.workloads["Deployment/worker"] = {worker, {}};
  const auto decision = reconcilers::reconcileFramework(in, {});
  REQUIRE(decision.requests.size() == 1);
  const auto written = api::decodeFramework(decision.requests[0].body);
  REQUIRE(written->status.healthy);
  REQUIRE(written->status.running->version == "1.0.0");
  REQUIRE(written->status.running->images.size() == 2);
}

TEST_CASE("Given upgrades, when observed, then every healthy version is remembered, newest first, once each") {
  CatalogModel model;
  model.framework.spec.policy.retainHistory = 2;
  model.runFramework();
  for (const char* image : {"localhost/demo-app:2.0.0", "localhost/demo-app:3.0.0", "localhost/demo-app:2.0.0",
                            "localhost/demo-app:4.0.0"}) {
    model.now += std::chrono::hours(1);
    model.run(image);
    model.runFramework();
  }
  INFO(model.story());
  const auto& status = model.framework.status;
  REQUIRE(status.running->version == "4.0.0");
  REQUIRE(status.history.size() == 2);
  REQUIRE(status.history[0].version == "2.0.0");
  REQUIRE(status.history[1].version == "3.0.0");
  REQUIRE(status.history[0].schemas[0].schema.known());
  REQUIRE(status.history[0].lastSeen > status.history[0].healthySince);
  REQUIRE(model.count("mover inspect") == 5);
}

TEST_CASE("Given an upgrade that never becomes healthy, when observed, then it runs, but is never remembered as good") {
  CatalogModel model;
  model.runFramework();
  model.run("localhost/demo-app:2.0.0");
  model.deployment.readyReplicas = 0;
  for (auto& pod : model.pods) pod.ready = false;
  model.runFramework();
  {
    INFO(model.story());
    const auto& status = model.framework.status;
    REQUIRE_FALSE(status.healthy);
    REQUIRE(status.running->version == "2.0.0");
    REQUIRE(status.running->healthySince.empty());
    REQUIRE(status.history.size() == 1);
    REQUIRE(status.history[0].version == "1.0.0");
    REQUIRE(status.history[0].schemas[0].schema.known());
    REQUIRE(model.count("mover inspect") == 1);
  }
  model.run("localhost/demo-app:3.0.0");
  model.runFramework();
  INFO(model.story());
  REQUIRE(model.framework.status.running->version == "3.0.0");
  REQUIRE(model.framework.status.history.size() == 1);
  REQUIRE(model.framework.status.history[0].version == "1.0.0");
}

TEST_CASE("Given a tag that was pushed again, when observed, then it is another image set, read anew") {
  CatalogModel model;
  for (auto& pod : model.pods) pod.containers[0].imageID = "localhost/demo-app@sha256:one";
  model.runFramework();
  REQUIRE(model.framework.status.running->images[0].second == "localhost/demo-app:1.0.0@sha256:one");
  // While nothing runs the digest is not known: that is no other image.
  model.scale(0);
  model.runFramework();
  REQUIRE(model.framework.status.running->healthySince == "2026-11-24T03:00:00Z");
  model.scale(2);
  for (auto& pod : model.pods) pod.containers[0].imageID = "localhost/demo-app@sha256:two";
  model.runFramework();
  INFO(model.story());
  REQUIRE(model.framework.status.running->images[0].second == "localhost/demo-app:1.0.0@sha256:two");
  REQUIRE(model.framework.status.running->schemas[0].schema.known());
  REQUIRE(model.framework.status.history.size() == 1);
  REQUIRE(model.count("mover inspect") == 2);
}

TEST_CASE(
    "Given a schema that cannot be read, when observed, then it is recorded as unknown and read again only for another "
    "spec or image") {
  CatalogModel model;
  std::string why;
  SECTION("refused") {
    model.answers["inspect"] = {"WrongPassword", "password authentication failed for user shop"};
    why = "WrongPassword";
  }
  SECTION("not readable") {
    model.answers["inspect"] = {
        "",
        R"({"server":{"systemIdentifier":"7"},"live":{"oid":1,"schema":{"state":"Unknown","reason":"row security"}}})"};
    why = "row security";
  }
  SECTION("garbage") {
    model.answers["inspect"] = {"", "{}"};
    why = "docs/mover.md";
  }
  model.runFramework();
  INFO(model.story());
  REQUIRE(model.count("mover inspect") == 1);
  {
    const auto& schema = model.framework.status.running->schemas.at(0).schema;
    REQUIRE_FALSE(schema.known());
    REQUIRE(schema.unknownReason.find(why) != std::string::npos);
  }
  REQUIRE(model.condition("Ready").status == "True");
  model.now += std::chrono::hours(5);
  model.jobs.clear();
  model.runFramework();
  REQUIRE(model.count("mover inspect") == 1);
  model.answers.clear();
  model.framework.meta.generation = 2;
  model.runFramework();
  REQUIRE(model.count("mover inspect") == 2);
  REQUIRE(model.framework.status.running->schemas.at(0).schema.known());
  REQUIRE(model.framework.status.history.empty());
}

TEST_CASE("Given a database that is away for a while, when its schema is read, then it is tried again for minutes") {
  CatalogModel model;
  model.answers["inspect"] = {"CannotConnect", "connection refused"};
  model.runFramework(25);
  REQUIRE(model.count("mover inspect") > 2);
  model.answers.clear();
  model.runFramework();
  INFO(model.story());
  REQUIRE(model.framework.status.running->schemas.at(0).schema.known());
}

TEST_CASE(
    "Given a rollback takes the lock, when observed, then the finalizer comes, our own Jobs stop, and nothing is "
    "recorded until it is free") {
  CatalogModel model;
  model.moverHangs = true;
  model.runFramework(10);
  REQUIRE(model.jobs.size() == 1);
  model.framework.status.activeRollback = lockOf(model);
  model.run("localhost/demo-app:0.9.0");
  model.runFramework();
  INFO(model.story());
  REQUIRE(model.framework.meta.finalizers == std::vector<std::string>{api::kFrameworkFinalizer});
  REQUIRE(model.jobs.empty());
  REQUIRE(model.framework.status.running->version == "1.0.0");
  REQUIRE(model.condition("Ready").reason == "RollbackActive");
  model.framework.status.activeRollback.reset();
  model.moverHangs = false;
  model.runFramework();
  REQUIRE(model.framework.meta.finalizers.empty());
  REQUIRE(model.framework.status.running->version == "0.9.0");
  REQUIRE(model.framework.status.history.at(0).version == "1.0.0");
  REQUIRE(model.violations.empty());
}

TEST_CASE("Given copies kept for undo, when their time is over, then they are dropped, and not before") {
  CatalogModel model;
  model.runFramework();
  model.jobs.clear();
  model.framework.status.kept = {kept("shop_prev_1", 11, "2026-11-24T04:00:00Z"),
                                 kept("shop_reverted_2", 12, "2026-11-24T04:00:00Z"),
                                 kept("shop_prev_3", 13, "2026-11-25T04:00:00Z")};
  const auto before = model.decideFramework();
  REQUIRE(before.requests.empty());
  REQUIRE(before.requeueAfter);
  REQUIRE(model.now + *before.requeueAfter <=
          WallTime{} + std::chrono::milliseconds(1795492800000));  // 2026-11-24T04:00:00Z
  REQUIRE(*before.requeueAfter > std::chrono::minutes(50));
  model.now += std::chrono::hours(1) + std::chrono::minutes(1);
  SECTION("the rollback that made them may still be at work: nothing") {
    model.framework.status.activeRollback = lockOf(model);
    model.runFramework();
    REQUIRE(model.framework.status.kept.size() == 3);
    REQUIRE(model.count("mover cleanup") == 0);
  }
  SECTION("dropped by one Job, aimed by name and OID") {
    model.runFramework();
    INFO(model.story());
    REQUIRE(model.framework.status.kept.size() == 1);
    REQUIRE(model.framework.status.kept[0].name == "shop_prev_3");
    REQUIRE(model.count("mover cleanup") == 1);
    std::string drop;
    for (const auto& [name, task] : model.tasks)
      if (name.find("cleanup") != std::string::npos) drop = nlohmann::json::parse(task)["drop"].dump();
    REQUIRE(drop == R"([{"name":"shop_prev_1","oid":11},{"name":"shop_reverted_2","oid":12}])");
    REQUIRE(model.events.back().reason == "KeptCopiesDropped");
    for (const auto& record : model.framework.status.steps) REQUIRE(record.name != "Cleanup");
  }
  SECTION("a failure is told, and tried again after a pause") {
    model.answers["cleanup"] = {"ForeignSession", "a session of alice is open"};
    for (int i = 0; i < 12; ++i) {
      model.apply(model.decideFramework());
      model.step();
    }
    INFO(model.story());
    REQUIRE(model.count("mover cleanup") == 1);
    REQUIRE(model.framework.status.kept.size() == 3);
    REQUIRE(model.events.back().type == "Warning");
    REQUIRE(model.events.back().note.find("alice") != std::string::npos);
    REQUIRE(model.decideFramework().requests.empty());
    model.answers.clear();
    model.now += std::chrono::minutes(11);
    model.runFramework();
    REQUIRE(model.count("mover cleanup") == 2);
    REQUIRE(model.framework.status.kept.size() == 1);
  }
  REQUIRE(model.violations.empty());
}

TEST_CASE(
    "Given the unlock annotation, when it names the lock, then it is released with a warning; another uid does "
    "nothing") {
  const bool right = GENERATE(true, false);
  CatalogModel model;
  model.framework.status.activeRollback = lockOf(model);
  model.framework.meta.finalizers = {api::kFrameworkFinalizer};
  model.framework.meta.annotations[api::kAnnotationUnlock] = right ? "lock-uid" : "older-uid";
  model.rollbackExists = false;
  const auto decision = model.decideFramework();
  model.apply(decision);
  REQUIRE(model.framework.status.activeRollback.has_value() != right);
  if (right) {
    REQUIRE(decision.events.at(0).type == "Warning");
    REQUIRE(decision.events.at(0).reason == "Unlocked");
  }
}

TEST_CASE("Given a backup that held the framework is gone, when observed, then the framework is free again") {
  CatalogModel model;
  model.framework.status.activeBackup = api::ActiveBackup{"b", "u", ""};
  model.backupHolderExists = false;
  model.runFramework();
  REQUIRE_FALSE(model.framework.status.activeBackup);
  REQUIRE(model.condition("Ready").status == "True");
}

TEST_CASE(
    "Given a rollback that ended with nothing touched, when a late write locks the framework for it, then it is free "
    "again and nothing is taken back; one that keeps its lock keeps it") {
  struct Case {
    std::optional<api::Phase> phase;
    const char* reason;
    bool free;
  };
  const auto each = GENERATE(values<Case>({{api::Phase::Aborted, "Aborted", true},
                                           {api::Phase::Skipped, "AlreadyExecuted", true},
                                           {api::Phase::Failed, "NothingTouched", true},
                                           {api::Phase::Failed, "Held", false},
                                           {api::Phase::Failed, "RevertFailed", false},
                                           {api::Phase::Switching, "", false},
                                           {std::nullopt, "", false}}));
  CatalogModel model;
  model.framework.status.activeRollback = lockOf(model);
  api::FrameworkRollback rollback;
  rollback.status.phase = each.phase;
  rollback.status.reason = each.reason;
  auto snapshot = model.frameworkSnapshot();
  snapshot.holder = reconcilers::holderOf(rollback);
  const auto decision = reconcilers::reconcileFramework(snapshot, {});
  const bool told = !decision.events.empty() && decision.events.front().reason == "RollbackOver";
  REQUIRE(told == each.free);
  model.apply(decision);
  REQUIRE(model.framework.status.activeRollback.has_value() != each.free);
}

TEST_CASE("Given a backup that ended, when a late write locks the framework for it, then it is free again") {
  for (const auto& [phase, over] : std::vector<std::pair<std::string, bool>>{
           {"Completed", true}, {"Failed", true}, {"Missing", true}, {"Running", false}, {"", false}}) {
    api::FrameworkBackup backup;
    backup.status.phase = phase;
    INFO(phase);
    REQUIRE((reconcilers::holderOf(backup) == reconcilers::FrameworkSnapshot::Holder::Over) == over);
  }
}

TEST_CASE(
    "Given a framework is deleted, when it is locked, then it stays until the lock is free; in a namespace that goes, "
    "it goes") {
  CatalogModel model;
  model.framework.status.activeRollback = lockOf(model);
  model.framework.meta.finalizers = {api::kFrameworkFinalizer};
  model.framework.meta.deletionTimestamp = "2026-11-24T03:00:00Z";
  SECTION("it stays") {
    model.runFramework(5);
    REQUIRE(model.framework.meta.finalizers.size() == 1);
    model.framework.status.activeRollback.reset();
    model.runFramework(5);
    REQUIRE(model.framework.meta.finalizers.empty());
  }
  SECTION("it goes") {
    model.terminating = true;
    model.runFramework(5);
    REQUIRE(model.framework.meta.finalizers.empty());
  }
  REQUIRE(model.violations.empty());
  REQUIRE(model.jobs.empty());
}

TEST_CASE(
    "Given one snapshot of a framework, when decided twice, then the answer is the same, and it either records or "
    "acts") {
  CatalogModel model;
  model.framework.status.kept = {kept("shop_prev_1", 11, "2026-11-24T03:00:10Z")};
  for (int pass = 0; pass < 40; ++pass) {
    const auto first = model.decideFramework(), second = model.decideFramework();
    REQUIRE(first.requests.size() == second.requests.size());
    for (std::size_t i = 0; i < first.requests.size(); ++i) {
      REQUIRE(first.requests[i].describe() == second.requests[i].describe());
      REQUIRE(first.requests[i].body == second.requests[i].body);
      if (first.requests[i].subresource == "status") REQUIRE(first.requests.size() == 1);
    }
    model.apply(first, pass % 3 == 2 ? 0 : 100);  // now and then the process dies before it sends
    model.step();
  }
  INFO(model.story());
  REQUIRE(model.framework.status.kept.empty());
  REQUIRE(model.condition("Ready").status == "True");
  REQUIRE(model.violations.empty());
}
