// FrameworkBackup from apply to end, and with the process dying at every pass.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "api/resources.h"
#include "backup/backup.h"
#include "catalog_model.h"

using rollback::test::CatalogModel;
using namespace rollback;

namespace {

api::FrameworkBackup wish(const std::string& path = "") {
  api::FrameworkBackup backup;
  backup.meta.name = "before-upgrade";
  backup.meta.namespace_ = "demo";
  backup.meta.uid = "bb12cd34-0000-0000-0000-000000000001";
  backup.meta.generation = 1;
  backup.meta.resourceVersion = "1";
  backup.spec.frameworkName = "shop";
  backup.spec.path = path;
  return backup;
}

struct Taking : CatalogModel {
  explicit Taking(const std::string& path = "") { backup = wish(path); }
};

void requireFree(const CatalogModel& model) {
  REQUIRE(model.violations.empty());
  REQUIRE_FALSE(model.framework.status.activeBackup);
  REQUIRE(model.backup->meta.finalizers.empty());
}

}  // namespace

TEST_CASE(
    "Given a settled framework, when a backup is applied, then it is taken, proven and listed, and the lock is given "
    "back") {
  Taking model;
  model.runBackup();
  INFO(model.story());
  const auto& status = model.backup->status;
  REQUIRE(status.phase == "Completed");
  REQUIRE(status.version == "1.0.0");
  REQUIRE(status.digest == "sha256:backup");
  REQUIRE(status.sizeBytes == 500);
  REQUIRE(status.createdAt == "2026-11-24T03:00:07Z");
  REQUIRE(status.verifiedLevel == "FullRead");
  REQUIRE_FALSE(status.verifiedAt.empty());
  REQUIRE_FALSE(status.unsettled);
  REQUIRE(status.images == std::vector<std::pair<std::string, std::string>>{{"main", "localhost/demo-app:1.0.0"}});
  REQUIRE(status.schemas.size() == 1);
  REQUIRE(status.schemas[0].store == "database");
  REQUIRE(status.schemas[0].schema.digest == "sha256:s");
  REQUIRE(status.path.rfind("shop/shop-backup-20261124-0300", 0) == 0);
  REQUIRE(model.condition("Ready").status == "True");
  REQUIRE(model.condition("Completed").status == "True");
  REQUIRE(model.events.back().reason == "BackupCompleted");
  requireFree(model);
  REQUIRE(model.jobs.empty());
  REQUIRE(model.count("CREATE jobs") == 2);
}

TEST_CASE("Given a backup in progress, then its Job writes to the journaled path and says what runs") {
  Taking model;
  model.moverHangs = true;
  model.runBackup(12);
  INFO(model.story());
  REQUIRE(model.jobs.size() == 1);
  const auto task = nlohmann::json::parse(model.tasks.begin()->second);
  REQUIRE(task["verb"] == "backup");
  REQUIRE(task["repository"]["path"] == model.backup->status.path);
  REQUIRE(task["backup"]["version"] == "1.0.0");
  REQUIRE(task["backup"]["class"] == "demo");
  REQUIRE(task["backup"]["images"][0]["image"] == "localhost/demo-app:1.0.0");
  REQUIRE(model.framework.status.activeBackup->uid == model.backup->meta.uid);
  REQUIRE(model.backup->meta.finalizers == std::vector<std::string>{api::kBackupFinalizer});
  REQUIRE(model.backup->status.phase == "Running");
  REQUIRE(model.condition("Reconciling").status == "True");
}

TEST_CASE(
    "Given something to wait for, when a backup is applied, then it waits visibly, starts nothing, and goes on when it "
    "is there") {
  struct Case {
    const char* code;
    void (*arrange)(CatalogModel&);
    void (*mend)(CatalogModel&);
    const char* says;
  };
  const auto c =
      GENERATE(Case{"FrameworkMissing", [](CatalogModel& m) { m.frameworkExists = false; },
                    [](CatalogModel& m) { m.frameworkExists = true; }, "kubectl get frameworks -n demo"},
               Case{"ClassMissing", [](CatalogModel& m) { m.classExists = false; },
                    [](CatalogModel& m) { m.classExists = true; }, "kubectl get frameworkclasses"},
               Case{"NotOptedIn", [](CatalogModel& m) { m.optedIn = false; }, [](CatalogModel& m) { m.optedIn = true; },
                    "kubectl create rolebinding rollback-runner -n demo --clusterrole=rollback-runner "
                    "--serviceaccount=demo:rollback-runner"},
               Case{"RepositoryMissing", [](CatalogModel& m) { m.repositoryExists = false; },
                    [](CatalogModel& m) { m.repositoryExists = true; }, "BackupRepository backups"},
               Case{"ClaimMissing", [](CatalogModel& m) { m.claimExists = false; },
                    [](CatalogModel& m) { m.claimExists = true; }, "claim backups"},
               Case{"ToolsMissing", [](CatalogModel& m) { m.database.containers[0].name = "other"; },
                    [](CatalogModel& m) { m.database.containers[0].name = "postgres"; }, "tools"},
               Case{"RolloutUnsettled", [](CatalogModel& m) { m.deployment.updatedReplicas = 1; },
                    [](CatalogModel& m) { m.deployment.updatedReplicas = 2; }, "1 of 2"},
               Case{"RolloutUnsettled", [](CatalogModel& m) { m.pods[1].containers[0].imageID = "sha256:other"; },
                    [](CatalogModel& m) { m.pods[1].containers[0].imageID = m.pods[0].containers[0].imageID; },
                    "different images"},
               Case{"RolloutUnsettled", [](CatalogModel& m) { m.addWorker("localhost/demo-app:0.9.0"); },
                    [](CatalogModel& m) { m.worker->containers[0].image = "localhost/demo-app:1.0.0"; },
                    "Deployment/worker of component worker runs 0.9.0 beside 1.0.0 of Deployment/shop"},
               Case{"RollbackActive",
                    [](CatalogModel& m) {
                      m.framework.status.activeRollback = api::ActiveRollback{"r", "u", "t", "", {}, {}, {}};
                    },
                    [](CatalogModel& m) { m.framework.status.activeRollback.reset(); }, "waiting for rollback r"},
               Case{"BackupActive",
                    [](CatalogModel& m) {
                      m.framework.status.activeBackup = api::ActiveBackup{"b", "u", ""};
                    },
                    [](CatalogModel& m) { m.framework.status.activeBackup.reset(); }, "waiting for backup b"});
  Taking model;
  c.arrange(model);
  const auto decision = model.decideBackup();
  REQUIRE(decision.requeueAfter);
  model.runBackup(8);
  INFO(c.code << "\n" << model.story());
  REQUIRE(model.backup->status.phase == "Pending");
  REQUIRE(model.condition("Ready").reason == c.code);
  REQUIRE(model.backup->status.message.find(c.says) != std::string::npos);
  REQUIRE(model.jobs.empty());
  REQUIRE(model.backup->meta.finalizers.empty());
  REQUIRE(model.decideBackup().requests.empty());  // a wait that is known is not written again
  c.mend(model);
  model.runBackup();
  INFO(model.story());
  REQUIRE(model.backup->status.phase == "Completed");
  requireFree(model);
}

TEST_CASE("Given what waiting cannot mend, when a backup is applied, then it fails at once and says why") {
  struct Case {
    const char* code;
    void (*arrange)(CatalogModel&);
  };
  const auto c =
      GENERATE(Case{"NoStore", [](CatalogModel& m) { m.framework.spec.stores.clear(); }},
               Case{"StoreUnknown", [](CatalogModel& m) { m.framework.spec.stores[0].name = "files"; }},
               Case{"StoreUnknown",
                    [](CatalogModel& m) {
                      m.addStore("second");
                      m.frameworkClass.spec.stores.pop_back();
                    }},
               Case{"StoreUnsupported", [](CatalogModel& m) { m.frameworkClass.spec.stores[0].driver = "volume"; }},
               Case{"RepositoryMissing", [](CatalogModel& m) { m.framework.spec.repositoryName.clear(); }},
               Case{"DeletionPolicyUnsupported", [](CatalogModel& m) { m.backup->spec.deletionPolicy = "Delete"; }},
               Case{"NoComponents", [](CatalogModel& m) { m.framework.spec.components.clear(); }},
               Case{"VersionUnknown", [](CatalogModel& m) { m.run("localhost/demo-app:latest"); }});
  Taking model;
  c.arrange(model);
  model.runBackup();
  INFO(c.code << "\n" << model.story());
  REQUIRE(model.backup->status.phase == "Failed");
  REQUIRE(model.condition("Ready").reason == c.code);
  REQUIRE(model.condition("Stalled").status == "True");
  REQUIRE(model.backup->status.message.find("was not touched") != std::string::npos);
  REQUIRE(model.backup->status.message.find("kubectl describe frameworkbackup before-upgrade -n demo") !=
          std::string::npos);
  REQUIRE(model.events.back().type == "Warning");
  REQUIRE(model.jobs.empty());
  requireFree(model);
}

TEST_CASE("Given the application changes while the backup is taken, then it is kept as unsettled, never as a target") {
  Taking model;
  SECTION("another version is rolled out") {
    model.moverHangs = true;
    model.runBackup(12);
    model.run("localhost/demo-app:2.0.0");
    model.moverHangs = false;
  }
  SECTION("pods run another image of the same name") {
    model.moverHangs = true;
    model.runBackup(12);
    model.pods[1].containers[0].imageID = "sha256:other";
    model.moverHangs = false;
  }
  SECTION("another component is changed") {
    model.addWorker("localhost/demo-app:1.0.0");
    model.moverHangs = true;
    model.runBackup(12);
    model.worker->containers[0].image = "localhost/demo-app:2.0.0";
    model.moverHangs = false;
  }
  SECTION("the mover saw the schema change") {
    model.answers["backup"] = {
        "",
        R"({"path":"p","digest":"sha256:backup","sizeBytes":1,"unsettled":true,"schema":{"count":1,"digest":"sha256:s"}})"};
  }
  model.runBackup();
  INFO(model.story());
  REQUIRE(model.backup->status.phase == "Completed");
  REQUIRE(model.backup->status.unsettled);
  REQUIRE(model.backup->status.version == "1.0.0");
  REQUIRE(model.condition("Ready").status == "False");
  REQUIRE(model.condition("Ready").reason == "Unsettled");
  requireFree(model);
}

TEST_CASE("Given an autoscaler at work while the backup is taken, then it is settled all the same") {
  Taking model;
  for (auto& pod : model.pods) pod.containers[0].imageID = "localhost/demo-app@sha256:abc";
  model.moverHangs = true;
  model.runBackup(12);
  SECTION("to nothing") { model.scale(0); }
  SECTION("one more, which is not ready") {
    model.scale(3);
    model.deployment.readyReplicas = 2;
  }
  model.moverHangs = false;
  model.runBackup();
  INFO(model.story());
  REQUIRE(model.backup->status.phase == "Completed");
  REQUIRE_FALSE(model.backup->status.unsettled);
  REQUIRE(model.backup->status.images[0].second == "localhost/demo-app:1.0.0@sha256:abc");
}

TEST_CASE("Given a Job that fails, when taking a backup, then it says so and gives the lock back") {
  struct Case {
    const char* verb;
    const char* code;
    const char* message;
    const char* reason;
    int jobs;
  };
  const auto c =
      GENERATE(Case{"backup", "NotEnoughSpace", "2 GiB needed", "NotEnoughSpace", 1},
               Case{"backup", "CannotConnect", "refused", "CannotConnect", 3}, Case{"backup", "", "{}", "Protocol", 1},
               Case{"verify", "BackupDamaged", "toc.dat differs", "BackupDamaged", 2},
               Case{"verify", "", R"({"digest":"sha256:another"})", "BackupChanged", 2},
               Case{"verify", "", "{}", "Protocol", 2});
  Taking model;
  model.answers[c.verb] = {c.code, c.message};
  model.runBackup(200);
  INFO(c.verb << " " << c.code << "\n" << model.story());
  REQUIRE(model.backup->status.phase == "Failed");
  REQUIRE(model.condition("Ready").reason == c.reason);
  REQUIRE(model.backup->status.verifiedAt.empty());
  REQUIRE(model.count("CREATE jobs") == c.jobs);
  requireFree(model);
}

TEST_CASE("Given another attempt, when taking a backup, then it writes into a folder of its own") {
  Taking model;
  model.moverHangs = true;
  model.runBackup(12);
  const std::string first = model.backup->status.path;
  model.jobs.clear();  // deleted by somebody
  model.runBackup(12);
  INFO(model.story());
  REQUIRE(model.backup->status.path != first);
  REQUIRE(nlohmann::json::parse(model.tasks.rbegin()->second)["repository"]["path"] == model.backup->status.path);
}

TEST_CASE("Given the ground goes while a backup runs, then its Job is stopped before the lock is given back") {
  Taking model;
  model.moverHangs = true;
  model.runBackup(12);
  REQUIRE(model.jobs.size() == 1);
  const std::string job = model.jobs.begin()->first;
  std::string reason;
  SECTION("the class is gone") {
    model.classExists = false;
    reason = "ClassMissing";
  }
  SECTION("the lock was given to another") {
    model.framework.status.activeBackup->uid = "other";
    reason = "LockLost";
  }
  SECTION("the framework is gone") {
    model.frameworkExists = false;
    reason = "LockLost";
  }
  kube::Pod pod = model.jobs.begin()->second.pods[0];
  for (int i = 0; i < 3 && !model.jobs.empty(); ++i) model.apply(model.decideBackup());
  REQUIRE(model.jobs.empty());
  model.orphans = {pod};  // its pod takes its time
  model.runBackup(10);
  INFO(model.story());
  REQUIRE(model.backup->status.phase == "Running");
  REQUIRE(model.backup->status.message.find("pod " + job) != std::string::npos);
  model.orphans.clear();
  model.runBackup();
  INFO(model.story());
  REQUIRE(model.backup->status.phase == "Failed");
  REQUIRE(model.condition("Ready").reason == reason);
  REQUIRE(model.backup->meta.finalizers.empty());
  if (reason == "LockLost" && model.frameworkExists) REQUIRE(model.framework.status.activeBackup->uid == "other");
}

TEST_CASE("Given the namespace opts out while a backup runs, then it waits: nobody may stop its Job") {
  Taking model;
  model.moverHangs = true;
  model.runBackup(12);
  model.optedIn = false;
  model.runBackup(10);
  INFO(model.story());
  REQUIRE(model.condition("Ready").reason == "NotOptedIn");
  REQUIRE(model.framework.status.activeBackup);
  model.optedIn = true;
  model.moverHangs = false;
  model.runBackup();
  REQUIRE(model.backup->status.phase == "Completed");
}

TEST_CASE("Given a folder to import, when applied, then its manifest fills the catalogue without taking the lock") {
  Taking model("shop/shop-backup-20261120-000000");
  model.deployment.updatedReplicas = 0;  // nothing needs to be settled for reading
  model.framework.status.activeRollback = api::ActiveRollback{"r", "u", "t", "", {}, {}, {}};
  std::string reason = "Completed";
  bool verified = true;
  SECTION("of our own format") {}
  SECTION("written by an older script") {
    model.answers["verify"] = {
        "", R"({"digest":"sha256:v1","bytes":9,"manifest":{"framework":"shop","current_version":"0.9.0"}})"};
    reason = "Unverified";
    verified = false;
  }
  SECTION("unsettled") {
    model.answers["verify"] = {
        "",
        R"({"digest":"sha256:u","bytes":9,"manifest":{"manifestVersion":2,"framework":"shop","current_version":"0.9.0","unsettled":true}})"};
    reason = "Unsettled";
  }
  model.runBackup();
  INFO(model.story());
  const auto& status = model.backup->status;
  REQUIRE(status.phase == "Completed");
  REQUIRE(model.condition("Ready").reason == reason);
  REQUIRE(status.path == "shop/shop-backup-20261120-000000");
  REQUIRE(status.verifiedAt.empty() != verified);
  REQUIRE(model.count("UPDATE frameworks/status") == 0);
  REQUIRE(model.count("mover backup") == 0);
  if (reason == "Completed") {
    REQUIRE(status.version == "1.0.0");
    REQUIRE(status.createdAt == "2026-11-20T00:00:00Z");
    REQUIRE(status.images.size() == 1);
    REQUIRE(status.schemas[0].schema.count == 2);
  }
}

TEST_CASE("Given a folder that is none of ours, when imported, then it fails with the reason") {
  Taking model("letta/x");
  std::string reason;
  SECTION("of another framework") {
    model.answers["verify"] = {"", R"({"digest":"d","bytes":9,"manifest":{"manifestVersion":2,"framework":"letta"}})"};
    reason = "BackupOfAnotherFramework";
  }
  SECTION("not found") {
    model.answers["verify"] = {"BackupNotFound", "no such folder"};
    reason = "BackupNotFound";
  }
  model.runBackup();
  INFO(model.story());
  REQUIRE(model.backup->status.phase == "Failed");
  REQUIRE(model.condition("Ready").reason == reason);
  REQUIRE(model.backup->status.digest.empty());
}

TEST_CASE("Given a backup is deleted at any pass, then its Jobs end, the lock is given back and the object goes") {
  Taking whole;
  const int passes = whole.runBackup();
  REQUIRE(passes > 8);
  for (int at = 0; at < passes; ++at) {
    Taking model;
    model.runBackup(at);
    if (model.backup->meta.finalizers.empty()) continue;  // it would be gone at once, and holds nothing
    model.backup->meta.deletionTimestamp = "2026-11-24T03:10:00Z";
    model.runBackup();
    INFO("deleted at pass " << at << "\n" << model.story());
    REQUIRE_FALSE(model.backup);
    REQUIRE_FALSE(model.framework.status.activeBackup);
    REQUIRE(model.violations.empty());
    for (const auto& [name, view] : model.jobs) REQUIRE(view.job.ended());
  }
}

TEST_CASE("Given the namespace goes, when a backup in it is deleted, then its finalizer does not hold it up") {
  Taking model;
  model.moverHangs = true;
  model.runBackup(12);
  model.backup->meta.deletionTimestamp = "2026-11-24T03:10:00Z";
  model.terminating = true;
  model.runBackup(3);
  REQUIRE_FALSE(model.backup);
  REQUIRE_FALSE(model.framework.status.activeBackup);
}

TEST_CASE(
    "Given the process dies at any pass, before or after its write, when it looks again, then one backup is taken") {
  Taking whole;
  const int passes = whole.runBackup();
  for (int die = 0; die < passes; ++die)
    for (std::size_t kept = 0; kept <= 1; ++kept) {
      Taking model;
      model.runBackup(die);
      model.apply(model.decideBackup(), kept);
      model.step(30000);
      model.runBackup();
      INFO("dead at pass " << die << " after " << kept << " writes\n" << model.story());
      REQUIRE(model.backup->status.phase == "Completed");
      REQUIRE(model.count("mover backup") == 1);
      requireFree(model);
    }
}

TEST_CASE(
    "Given one snapshot of a backup, when decided twice, then the answer is the same, and it either records or acts") {
  Taking model;
  for (int pass = 0; pass < 40; ++pass) {
    const auto first = model.decideBackup(), second = model.decideBackup();
    REQUIRE(first.requests.size() == second.requests.size());
    for (std::size_t i = 0; i < first.requests.size(); ++i) {
      REQUIRE(first.requests[i].describe() == second.requests[i].describe());
      REQUIRE(first.requests[i].body == second.requests[i].body);
      if (first.requests[i].subresource == "status") REQUIRE(first.requests.size() == 1);
    }
    model.apply(first);
    model.step();
  }
  REQUIRE(model.backup->status.phase == "Completed");
}

TEST_CASE("Given an ended backup that still holds the lock, when looked at, then it gives it back") {
  Taking model;
  model.runBackup();
  model.framework.status.activeBackup = api::ActiveBackup{model.backup->meta.name, model.backup->meta.uid, ""};
  model.backup->meta.finalizers = {api::kBackupFinalizer};
  model.runBackup();
  requireFree(model);
}

TEST_CASE("Given a moment, when a path is made, then it is that moment in UTC") {
  WallTime now{};
  REQUIRE(parseTime("2026-11-24T05:06:07+02:00", now));
  REQUIRE(reconcilers::backupPath("shop", now) == "shop/shop-backup-20261124-030607");
}
