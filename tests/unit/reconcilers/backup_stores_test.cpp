// FrameworkBackup of a framework of several databases: one folder, a Job per store, a backup of all or none.
#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "api/resources.h"
#include "catalog_model.h"

using nlohmann::json;
using rollback::test::CatalogModel;
using namespace rollback;

namespace {

const std::vector<std::string> kStores = {"database", "audit", "events"};

struct Taking : CatalogModel {
  explicit Taking(const std::string& path = "") {
    addStore("audit");
    addStore("events");
    backup = api::FrameworkBackup{};
    backup->meta.name = "before-upgrade";
    backup->meta.namespace_ = "demo";
    backup->meta.uid = "bb12cd34-0000-0000-0000-000000000001";
    backup->meta.generation = 1;
    backup->meta.resourceVersion = "1";
    backup->spec.frameworkName = "shop";
    backup->spec.path = path;
  }

  // Until a Job of this store's backup runs.
  void runUntilBackupOf(const std::string& store) {
    for (int i = 0; i < 60; ++i) {
      for (const auto& [name, view] : jobs)
        if (!view.pods.empty() && !view.job.ended() && view.job.meta.labels.at(api::kLabelStore) == store &&
            view.job.meta.labels.at(api::kLabelStep) == "backup")
          return;
      apply(decideBackup());
      step();
    }
    FAIL("no backup of store " << store << "\n" << story());
  }
};

void requireFree(const CatalogModel& model) {
  REQUIRE(model.violations.empty());
  REQUIRE_FALSE(model.framework.status.activeBackup);
  REQUIRE(model.backup->meta.finalizers.empty());
}

std::size_t running(const CatalogModel& model) {
  return static_cast<std::size_t>(std::count_if(model.jobs.begin(), model.jobs.end(), [](const auto& job) {
    return !job.second.job.suspended && !job.second.job.ended();
  }));
}

}  // namespace

TEST_CASE("Given three stores, when a backup is applied, then a Job each writes them into one folder, in order") {
  Taking model;
  model.answers["backup events"] = {
      "",
      R"({"path":"p","digest":"sha256:backup","sizeBytes":900,"unsettled":false,"snapshotAt":"2026-11-24T03:00:59Z","schema":{"count":2,"digest":"sha256:s","structureDigest":"sha256:t"}})"};
  for (int i = 0; i < 200 && model.backup->status.phase != "Completed"; ++i) {
    REQUIRE(running(model) <= 1);
    if (model.count("mover verify") < 3) REQUIRE(model.backup->status.verifiedAt.empty());
    model.apply(model.decideBackup());
    model.step();
  }
  model.runBackup();
  INFO(model.story());
  requireFree(model);
  const auto& status = model.backup->status;
  REQUIRE(model.condition("Ready").status == "True");
  REQUIRE(status.digest == "sha256:backup");
  REQUIRE(status.sizeBytes == 900);
  // What was written after its first instant is not in all of it.
  REQUIRE(status.createdAt == "2026-11-24T03:00:05Z");
  REQUIRE(status.schemas.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) REQUIRE(status.schemas[i].store == kStores[i]);
  REQUIRE(model.count("mover backup") == 3);
  REQUIRE(model.count("mover inspect") == 2);
  REQUIRE(model.count("mover verify") == 3);
  std::set<std::string> stores;
  for (const auto& [name, text] : model.tasks) {
    const json task = json::parse(text);
    if (task["verb"] == "inspect") continue;
    REQUIRE(task["backup"]["stores"] == json(kStores));
    REQUIRE(task["repository"]["path"] == status.path);
    stores.insert(task["verb"].get<std::string>() + " " + task["backup"]["store"].get<std::string>());
  }
  REQUIRE(stores.size() == 6);
}

TEST_CASE("Given one of several stores fails, when a backup is taken, then it is failed, and no later store is begun") {
  const std::string verb = GENERATE(as<std::string>(), "backup", "inspect", "verify");
  Taking model;
  model.answers[verb + " audit"] = {"MayNotRead", "on purpose"};
  model.runBackup(200);
  INFO(model.story());
  REQUIRE(model.backup->status.phase == "Failed");
  REQUIRE(model.condition("Ready").reason == "MayNotRead");
  REQUIRE(model.backup->status.message.find(" of store audit failed: on purpose") != std::string::npos);
  REQUIRE(model.backup->status.verifiedAt.empty());
  if (verb == "backup") {
    REQUIRE(model.backup->status.digest.empty());
    REQUIRE(model.count("mover backup") == 2);
  }
  requireFree(model);
}

TEST_CASE("Given the Job of a later store is lost, then all stores are taken again, into a folder of its own") {
  Taking model;
  model.runUntilBackupOf("audit");
  const std::string first = model.backup->status.path;
  for (auto it = model.jobs.begin(); it != model.jobs.end();)
    it = it->second.job.meta.labels.at(api::kLabelStore) == "audit" ? model.jobs.erase(it) : std::next(it);
  model.runBackup(200);
  INFO(model.story());
  REQUIRE(model.backup->status.phase == "Completed");
  REQUIRE(model.backup->status.path != first);
  REQUIRE(model.backup->status.schemas.size() == 3);
  int again = 0;
  for (const auto& [name, text] : model.tasks) {
    const json task = json::parse(text);
    if (task["verb"] != "backup") continue;
    again += task["repository"]["path"] == model.backup->status.path;
  }
  REQUIRE(again == 3);
  requireFree(model);
}

TEST_CASE("Given a later store's server that never answers, then the earlier ones are not taken for ever") {
  Taking model;
  model.answers["backup events"] = {"CannotConnect", "refused"};
  model.runBackup(400);
  INFO(model.story());
  REQUIRE(model.backup->status.phase == "Failed");
  REQUIRE(model.count("mover backup") == 9);
  requireFree(model);
}

TEST_CASE("Given a change while several stores are taken, then the backup is kept as unsettled, never as a target") {
  Taking model;
  SECTION("the schema of a store that was dumped already") {
    model.answers["inspect database"] = {
        "",
        R"({"server":{"systemIdentifier":"7000"},"live":{"name":"shop","oid":16385,"schema":{"state":"Known","count":3,"digest":"sha256:other","structureDigest":"sha256:t"}}})"};
  }
  SECTION("the structure of one") {
    model.answers["inspect audit"] = {
        "",
        R"({"server":{"systemIdentifier":"7000"},"live":{"name":"audit","oid":16385,"schema":{"state":"Known","count":2,"digest":"sha256:s","structureDigest":"sha256:other"}}})"};
  }
  SECTION("the schema of one while it was dumped") {
    model.answers["backup database"] = {
        "",
        R"({"path":"p","digest":"","unsettled":true,"schema":{"count":2,"digest":"sha256:s","structureDigest":"sha256:t"}})"};
  }
  SECTION("another version is rolled out between two stores") {
    model.runUntilBackupOf("audit");
    model.run("localhost/demo-app:2.0.0");
  }
  model.runBackup(200);
  INFO(model.story());
  REQUIRE(model.backup->status.phase == "Completed");
  REQUIRE(model.backup->status.unsettled);
  REQUIRE(model.condition("Ready").reason == "Unsettled");
  requireFree(model);
}

TEST_CASE("Given the process dies at any pass of several stores, then each is taken once, and all are proven") {
  Taking whole;
  const int passes = whole.runBackup(200);
  REQUIRE(passes > 20);
  for (int die = 0; die < passes; ++die)
    for (std::size_t kept = 0; kept <= 1; ++kept) {
      Taking model;
      model.runBackup(die);
      model.apply(model.decideBackup(), kept);
      model.step(30000);
      model.runBackup(200);
      INFO("dead at pass " << die << " after " << kept << " writes\n" << model.story());
      REQUIRE(model.backup->status.phase == "Completed");
      REQUIRE(model.condition("Ready").status == "True");
      REQUIRE(model.count("mover backup") == 3);
      requireFree(model);
    }
}

TEST_CASE("Given a backup of several stores is deleted at any pass, then its Jobs end and the lock is given back") {
  Taking whole;
  const int passes = whole.runBackup(200);
  for (int at = 0; at < passes; ++at) {
    Taking model;
    model.runBackup(at);
    if (model.backup->meta.finalizers.empty()) continue;
    model.backup->meta.deletionTimestamp = "2026-11-24T03:10:00Z";
    model.runBackup(200);
    INFO("deleted at pass " << at << "\n" << model.story());
    REQUIRE_FALSE(model.backup);
    REQUIRE_FALSE(model.framework.status.activeBackup);
    REQUIRE(model.violations.empty());
  }
}

TEST_CASE("Given the framework's stores change while a backup runs, then it is of the stores it began with") {
  Taking model;
  SECTION("one more: it is not in it") {
    model.runUntilBackupOf("audit");
    model.addStore("late");
    model.runBackup(200);
    INFO(model.story());
    REQUIRE(model.backup->status.phase == "Completed");
    REQUIRE(model.backup->status.schemas.size() == 3);
    requireFree(model);
  }
  SECTION("one less: it is failed") {
    model.runUntilBackupOf("audit");
    model.framework.spec.stores.pop_back();
    model.frameworkClass.spec.stores.pop_back();
    model.runBackup(200);
    INFO(model.story());
    REQUIRE(model.backup->status.phase == "Failed");
    REQUIRE(model.condition("Ready").reason == "StoreUnknown");
    requireFree(model);
  }
}

TEST_CASE("Given a folder to import and several stores, when applied, then each store's tools read its part") {
  Taking model("shop/shop-backup-20261120-000000");
  SECTION("whole") {
    model.runBackup(200);
    INFO(model.story());
    REQUIRE(model.backup->status.phase == "Completed");
    REQUIRE(model.condition("Ready").reason == "Completed");
    REQUIRE(model.backup->status.version == "1.0.0");
    REQUIRE_FALSE(model.backup->status.verifiedAt.empty());
    for (const auto& [name, text] : model.tasks) REQUIRE(json::parse(text)["repository"]["unverified"] == true);
  }
  SECTION("replaced in between") {
    model.answers["verify events"] = {
        "", R"({"digest":"sha256:other","bytes":9,"manifest":{"manifestVersion":2,"framework":"shop"}})"};
    model.runBackup(200);
    INFO(model.story());
    REQUIRE(model.backup->status.phase == "Failed");
    REQUIRE(model.condition("Ready").reason == "BackupChanged");
  }
  SECTION("written by a script") {
    model.answers["verify"] = {
        "", R"({"digest":"sha256:v1","bytes":9,"manifest":{"framework":"shop","current_version":"0.9.0"}})"};
    model.runBackup(200);
    REQUIRE(model.condition("Ready").reason == "Unverified");
  }
  REQUIRE(model.count("mover verify") == 3);
  REQUIRE(model.violations.empty());
}
