// A repository looked through: one Job, entries for what it found, silence when nothing changed; and with the process
// dying at every pass.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>

#include "api/resources.h"
#include "backup/backup.h"
#include "repository/catalogue.h"
#include "repository/repository.h"

using namespace rollback;
using namespace rollback::reconcilers;
using nlohmann::json;

namespace {

json folder(const std::string& path, const std::string& version = "1.0.0") {
  return {{"path", path},
          {"framework", path.substr(0, path.find('/'))},
          {"version", version},
          {"createdAt", "2026-11-24T03:00:00Z"},
          {"digest", "sha256:" + path},
          {"sizeBytes", 500},
          {"manifestVersion", 2},
          {"restores", {"database"}},
          {"schemas", json::array({{{"store", "database"}, {"count", 2}, {"digest", "sha256:s"}}})},
          {"images", json::array({{{"component", "main"}, {"image", "shop:" + version}}})}};
}

// One namespace with a repository: an API server that knows compare-and-swap, and Jobs whose mover answers `found`.
struct World {
  WallTime now{};
  api::BackupRepository repository;
  std::map<std::string, api::FrameworkBackup> backups;
  std::set<std::string> needed;
  std::map<std::string, JobView> jobs;
  std::map<std::string, std::string> tasks;
  json found = json::array();
  bool complete = true;
  std::string refuse;  // the mover's code
  int created = 0, statuses = 0, deleted = 0, jobsMade = 0, own = 0, largestPass = 0;
  int version = 10;
  std::vector<Event> events;

  World() {
    parseTime("2026-11-24T03:00:00Z", now);
    repository.meta.name = "backups";
    repository.meta.namespace_ = "demo";
    repository.meta.uid = "ab12cd34-0000";
    repository.meta.generation = 1;
    repository.meta.resourceVersion = "1";
    repository.spec.claimName = "claim";
  }

  RepositorySnapshot snapshot() const {
    RepositorySnapshot in;
    in.ns.now = now;
    in.ns.newToken = "0123456789abcdef" + std::to_string(version);
    in.ns.optIn.allowed = true;
    in.ns.repositoryClaimExists = true;
    in.object = repository;
    for (const auto& [name, view] : jobs) in.ns.jobs.push_back(view);
    if (!isScanning(repository)) return in;
    for (const auto& [name, backup] : backups) in.backups.push_back(backup);
    in.neededBackups = needed;
    in.frameworkRepository["shop"] = "backups";
    return in;
  }

  bool send(const kube::Request& request) {
    REQUIRE(request.fault().empty());
    REQUIRE(request.namespace_ == "demo");
    const json body = request.body.empty() ? json() : json::parse(request.body);
    const std::string& plural = request.resource.plural;
    REQUIRE((request.resource.group == api::kGroup) == request.asServiceAccount.empty());
    if (plural == "backuprepositories") {
      REQUIRE(request.subresource == "status");
      if (body["metadata"]["resourceVersion"] != repository.meta.resourceVersion) return false;
      repository.status = api::decodeBackupRepository(request.body)->status;
      repository.meta.resourceVersion = std::to_string(++version);
      ++own;
      return true;
    }
    if (plural == "frameworkbackups") {
      if (request.verb == kube::Verb::Create) {
        auto made = *api::decodeFrameworkBackup(request.body);
        REQUIRE(made.meta.name.size() <= 63);
        REQUIRE(made.meta.labels.at(api::kLabelOrigin) == api::kOriginScan);
        if (backups.count(made.meta.name)) return true;
        made.meta.uid = "uid-" + made.meta.name;
        made.meta.generation = 1;
        made.meta.resourceVersion = std::to_string(++version);
        backups[made.meta.name] = made;
        ++created;
        return true;
      }
      auto at = backups.find(request.name);
      if (at == backups.end()) return false;
      if (request.verb == kube::Verb::Delete) {
        REQUIRE(body["preconditions"]["uid"] == at->second.meta.uid);
        backups.erase(at);
        ++deleted;
        return true;
      }
      REQUIRE(request.subresource == "status");
      if (body["metadata"]["resourceVersion"] != at->second.meta.resourceVersion) return false;
      at->second.status = api::decodeFrameworkBackup(request.body)->status;
      at->second.meta.resourceVersion = std::to_string(++version);
      ++statuses;
      return true;
    }
    REQUIRE(plural == "jobs");
    if (request.verb == kube::Verb::Create) {
      const std::string name = body["metadata"]["name"];
      if (jobs.count(name)) return true;
      REQUIRE(body["spec"]["suspend"] == true);
      REQUIRE(body["metadata"]["labels"][api::kLabelEffect] == "read");
      const auto& pod = body["spec"]["template"]["spec"];
      REQUIRE(pod["containers"][0]["image"] == "mover:1");
      for (const auto& mount : pod["containers"][0]["volumeMounts"])
        if (mount["name"] == "repository") REQUIRE(mount["readOnly"] == true);
      for (const auto& [other, view] : jobs) REQUIRE(view.job.ended());  // never two at once
      JobView view;
      view.job.meta.name = name;
      view.job.meta.namespace_ = "demo";
      view.job.meta.uid = "job-" + std::to_string(++version);
      view.job.meta.resourceVersion = std::to_string(version);
      view.job.suspended = true;
      tasks[name] = body["spec"]["template"]["metadata"]["annotations"][api::kAnnotationTask];
      jobs[name] = view;
      ++jobsMade;
      return true;
    }
    const auto at = jobs.find(request.name);
    if (at == jobs.end()) return false;
    if (request.verb == kube::Verb::Delete) {
      jobs.erase(at);
      return true;
    }
    at->second.job.suspended = false;
    at->second.job.meta.resourceVersion = std::to_string(++version);
    return true;
  }

  void work() {
    now += std::chrono::seconds(1);
    for (auto& [name, view] : jobs) {
      if (view.job.suspended || view.job.ended()) continue;
      const json task = json::parse(tasks[name]);
      REQUIRE(task["verb"] == "scan");
      Outcome outcome;
      outcome.token = task["token"];
      outcome.kind = refuse.empty() ? Outcome::Kind::Succeeded : Outcome::Kind::Refused;
      outcome.code = refuse;
      outcome.message = refuse;
      outcome.result =
          json{{"found", found.size()}, {"complete", complete}, {"unreadable", json::array()}, {"folders", found}}
              .dump();
      view.outcome = outcome;
      kube::Pod pod;
      pod.phase = "Succeeded";
      view.pods = {pod};
      view.job.complete = true;
    }
  }

  // Until a pass asks for nothing; `die` ends a pass after so many of its requests, once. Passes used.
  int run(int die = -1, int dieAt = -1) {
    for (int pass = 0; pass < 500; ++pass) {
      const auto decision = reconcileRepository(snapshot(), Settings{"mover:1", "IfNotPresent"});
      largestPass = std::max(largestPass, static_cast<int>(decision.requests.size()));
      int sent = 0;
      bool recorded = true;
      for (const auto& request : decision.requests) {
        if (pass == dieAt && sent == die) {
          recorded = false;
          break;
        }
        if (!send(request)) break;
        ++sent;
      }
      if (recorded) events.insert(events.end(), decision.events.begin(), decision.events.end());
      const bool busy = std::any_of(jobs.begin(), jobs.end(), [](const auto& job) { return !job.second.job.ended(); });
      work();
      if (decision.requests.empty() && !busy && !isScanning(repository)) return pass;
    }
    FAIL("it never comes to rest");
    return 0;
  }

  void later(std::chrono::minutes time) { now += time; }
  void clear() { created = statuses = deleted = jobsMade = own = largestPass = 0; }
  const api::FrameworkBackup& at(const std::string& name) const { return backups.at(name); }
  std::string ready(const std::string& name) const {
    const auto* c = kube::findCondition(at(name).status.conditions, "Ready");
    return c ? c->status + " " + c->reason : "";
  }
};

const std::string kFolder = "shop/shop-backup-20261124-030000";
const std::string kName = "shop-backup-20261124-030000";

}  // namespace

TEST_CASE(
    "Given folders nobody listed, when the repository is looked at, then one Job finds them and each has an entry") {
  World world;
  json script = folder("shop/shop-backup-20261123-030000", "0.9.0");
  script.update(json{{"manifestVersion", 1},
                     {"code", "BackupUnverified"},
                     {"restores", json::array()},
                     {"missing", {"it holds no database dump"}},
                     {"digest", ""}});
  json damaged = {
      {"path", "shop/shop-backup-20261122-030000"}, {"sizeBytes", 3}, {"code", "BackupDamaged"}, {"message", "cut"}};
  world.found = {folder(kFolder), script, damaged};
  world.run();
  REQUIRE(world.jobsMade == 1);
  REQUIRE(world.jobs.empty());
  REQUIRE(world.created == 3);
  REQUIRE(world.statuses == 3);
  const auto& entry = world.at(kName);
  REQUIRE(entry.spec.path == kFolder);
  REQUIRE(entry.spec.frameworkName == "shop");
  REQUIRE(entry.spec.repositoryName == "backups");
  REQUIRE(entry.status.phase == "Listed");
  REQUIRE(entry.status.version == "1.0.0");
  REQUIRE(entry.status.sizeBytes == 500);
  REQUIRE(entry.status.createdAt == "2026-11-24T03:00:00Z");
  REQUIRE(entry.status.verifiedAt.empty());
  REQUIRE(entry.status.restores == std::vector<std::string>{"database"});
  REQUIRE(world.ready(kName) == "True Listed");
  const auto& unproven = world.at("shop-backup-20261123-030000");
  REQUIRE(world.ready(unproven.meta.name) == "False Unverified");
  REQUIRE(unproven.status.version == "0.9.0");
  REQUIRE(unproven.status.restores.empty());
  REQUIRE(unproven.status.message.find("it holds no database dump") != std::string::npos);
  REQUIRE(unproven.status.message.find("spec.accept.unverifiedBackup: true") != std::string::npos);
  REQUIRE(world.ready("shop-backup-20261122-030000") == "False BackupDamaged");
  const auto& scan = *world.repository.status.scan;
  REQUIRE(scan.found == 3);
  REQUIRE(scan.listed == 3);
  REQUIRE(scan.restorable == 1);
  REQUIRE(scan.complete);
  REQUIRE(isMereListing(entry));
}

TEST_CASE(
    "Given a thousand folders, when they are listed, then it costs one Job and no pass sends more than fifty, and a "
    "scan that finds the same writes no entry") {
  World world;
  for (int i = 0; i < 1000; ++i) {
    char stamp[64];
    std::snprintf(stamp, sizeof stamp, "shop/shop-backup-20260101-%06d", i);
    world.found.push_back(folder(stamp));
  }
  world.run();
  REQUIRE(world.jobsMade == 1);
  REQUIRE(world.created == 1000);
  REQUIRE(world.statuses == 1000);
  REQUIRE(world.largestPass == 50);
  world.clear();
  world.later(std::chrono::minutes(11));
  world.run();
  REQUIRE(world.jobsMade == 1);
  REQUIRE(world.created + world.statuses + world.deleted == 0);
  REQUIRE(world.own == 3);  // the journal of the scan: begun, its Job's uid, ended
  world.clear();
  world.later(std::chrono::minutes(5));
  world.run();
  REQUIRE(world.jobsMade + world.own == 0);
  REQUIRE(world.events.empty());
}

TEST_CASE("Given a scan, when it is asked for, then it comes at once, and by itself only as often as the spec says") {
  World world;
  world.run();
  world.clear();
  const auto expect = [&](int jobs) {
    world.run();
    REQUIRE(world.jobsMade == jobs);
    world.clear();
  };
  expect(0);
  world.repository.meta.annotations[api::kAnnotationScan] = "now";
  expect(1);
  expect(0);
  ++world.repository.meta.generation;
  expect(1);
  world.later(std::chrono::minutes(9));
  expect(0);
  world.later(std::chrono::minutes(2));
  expect(1);
  world.repository.spec.scanInterval = "0s";
  world.later(std::chrono::minutes(600));
  expect(0);
}

TEST_CASE(
    "Given an entry whose folder is gone, when it was a scan's and nobody needs it, then it goes, else it is marked "
    "Missing and comes back with its folder") {
  World world;
  world.found = json::array({folder(kFolder), folder("shop/shop-backup-20261123-030000")});
  world.run();
  api::FrameworkBackup taken;
  taken.meta.name = "mine";
  taken.meta.namespace_ = "demo";
  taken.meta.uid = "u";
  taken.meta.resourceVersion = "5";
  taken.spec.frameworkName = "shop";  // no repositoryRef: the framework's
  taken.status.phase = "Completed";
  taken.status.path = "shop/shop-backup-20261120-030000";
  taken.status.digest = "sha256:shop/shop-backup-20261120-030000";
  taken.status.completedAt = "2026-11-20T03:00:00Z";
  taken.status.verifiedAt = "2026-11-20T03:00:00Z";
  taken.status.manifestVersion = 2;
  world.backups["mine"] = taken;
  api::FrameworkBackup elsewhere = taken;  // an import from a folder no scan looks at
  elsewhere.meta.name = "elsewhere";
  elsewhere.spec.path = "archive/2020";
  world.backups["elsewhere"] = elsewhere;
  world.needed = {kName};
  world.found = json::array();
  world.later(std::chrono::minutes(11));
  world.run();
  REQUIRE(world.backups.count("shop-backup-20261123-030000") == 0);
  REQUIRE(world.at(kName).status.phase == "Missing");
  REQUIRE(world.ready(kName) == "False FolderMissing");
  REQUIRE(world.at("mine").status.phase == "Missing");
  REQUIRE(world.at("mine").status.verifiedAt == "2026-11-20T03:00:00Z");
  REQUIRE(world.at("elsewhere").status.phase == "Completed");

  world.clear();
  world.later(std::chrono::minutes(11));
  world.run();
  REQUIRE(world.created + world.statuses + world.deleted == 0);

  world.found = json::array({folder(kFolder), folder("shop/shop-backup-20261120-030000")});
  world.later(std::chrono::minutes(11));
  world.run();
  REQUIRE(world.at(kName).status.phase == "Listed");
  REQUIRE(world.at("mine").status.phase == "Completed");
  REQUIRE(world.ready("mine") == "True Completed");

  world.found = json::array();
  world.needed.clear();
  world.later(std::chrono::minutes(11));
  world.run();
  REQUIRE(world.backups.count(kName) == 0);
  REQUIRE(world.backups.count("mine") == 1);  // nobody's entry but a scan's is ever deleted
}

TEST_CASE("Given a scan that did not see everything, when folders are not in it, then no entry is called missing") {
  World world;
  world.found = json::array({folder(kFolder)});
  world.run();
  world.found = json::array();
  world.complete = false;
  world.later(std::chrono::minutes(11));
  world.run();
  REQUIRE(world.at(kName).status.phase == "Listed");
}

TEST_CASE(
    "Given a proven backup, when its folder changed or was damaged, then it fails; one that ended after the scan began "
    "is left alone") {
  World world;
  api::FrameworkBackup taken;
  taken.meta.name = "mine";
  taken.meta.namespace_ = "demo";
  taken.meta.uid = "u";
  taken.meta.resourceVersion = "5";
  taken.spec.frameworkName = "shop";
  taken.status.phase = "Completed";
  taken.status.path = kFolder;
  taken.status.digest = "sha256:other";
  taken.status.verifiedAt = taken.status.completedAt = "2026-11-24T02:00:00Z";
  taken.status.manifestVersion = 2;
  world.found = json::array({folder(kFolder)});
  SECTION("another digest") {
    world.backups["mine"] = taken;
    world.run();
    REQUIRE(world.at("mine").status.phase == "Failed");
    REQUIRE(world.ready("mine") == "False BackupChanged");
  }
  SECTION("damaged") {
    world.found = json::array({{{"path", kFolder}, {"code", "BackupDamaged"}, {"message", "cut"}}});
    world.backups["mine"] = taken;
    world.run();
    REQUIRE(world.ready("mine") == "False BackupDamaged");
  }
  SECTION("ended in the very second in which the scan began, and then went away") {
    taken.status.digest = "sha256:" + kFolder;
    taken.status.completedAt = formatTime(world.now);
    world.backups["mine"] = taken;
    const auto pass = [&] {
      const auto decision = reconcileRepository(world.snapshot(), Settings{"mover:1", "IfNotPresent"});
      for (const auto& request : decision.requests) REQUIRE(world.send(request));
      return decision;
    };
    pass();
    REQUIRE(isScanning(world.repository));
    REQUIRE(pass().requeueAfter == Millis(1000));
    REQUIRE(world.jobsMade == 0);  // it might run in that second too
    world.now += std::chrono::seconds(1);
    world.found = json::array();
    world.run();
    REQUIRE(world.jobsMade == 1);
    REQUIRE(world.at("mine").status.phase == "Missing");
  }
  SECTION("ended later than the scan began") {
    taken.status.completedAt = "2026-11-24T05:00:00Z";
    world.backups["mine"] = taken;
    world.run();
    REQUIRE(world.at("mine").status.phase == "Completed");
    world.found = json::array();
    world.later(std::chrono::minutes(11));
    world.run();
    REQUIRE(world.at("mine").status.phase == "Completed");
  }
  SECTION("under way: its folder is there before it says so") {
    taken.status.phase = "Running";
    taken.status.digest.clear();
    taken.status.completedAt.clear();
    world.backups["mine"] = taken;
    world.run();
    REQUIRE(world.backups.size() == 1);
    REQUIRE(world.at("mine").status.phase == "Running");
  }
  REQUIRE(world.backups.size() == 1);  // and no second entry for a folder that has one
}

TEST_CASE(
    "Given a name that is taken or does not fit, when a folder is listed, then its entry has a name of its own, the "
    "same each time") {
  World world;
  api::FrameworkBackup other;
  other.meta.name = kName;
  other.meta.namespace_ = "demo";
  other.meta.uid = "u";
  other.spec.frameworkName = "shop";
  other.spec.repositoryName = "elsewhere";
  world.backups[kName] = other;
  const std::string longest = std::string(60, 'f');
  world.found = {folder(kFolder), folder(longest + "/" + longest + "-backup-20261124-030000"),
                 folder("Shop/Shop-backup-1"), folder("shop/shop-backup-\xC3\xBC")};
  world.run();
  REQUIRE(world.backups.size() == 3);
  REQUIRE(world.created == 2);
  REQUIRE(world.repository.status.scan->listed == 2);
  REQUIRE(world.repository.status.scan->message.find("2 folders have names") != std::string::npos);
  const std::string name = entryName("backups", kFolder, false);
  REQUIRE(name.size() <= 63);
  REQUIRE(world.at(name).spec.path == kFolder);
  REQUIRE(entryName("backups", kFolder, false) != entryName("others", kFolder, false));
  REQUIRE(world.at(kName).spec.repositoryName == "elsewhere");
}

TEST_CASE("Given a scan that fails, when it is looked at, then it says so once, and comes again by itself") {
  World world;
  world.refuse = "MayNotAccess";
  world.run();
  REQUIRE(world.repository.status.scan->message.find("MayNotAccess") != std::string::npos);
  REQUIRE(world.events.size() == 1);
  REQUIRE(world.events[0].type == "Warning");
  world.later(std::chrono::minutes(11));
  world.run();
  REQUIRE(world.events.size() == 1);
  world.refuse.clear();
  world.found = json::array({folder(kFolder)});
  world.later(std::chrono::minutes(11));
  world.run();
  REQUIRE(world.repository.status.scan->message.empty());
  REQUIRE(world.backups.size() == 1);
}

TEST_CASE(
    "Given a process that dies in any pass, before, between and after its writes, then the catalogue ends the same") {
  const auto prepare = [](World& world) {
    world.found = {folder(kFolder), folder("shop/shop-backup-20261123-030000"),
                   folder("shop/shop-backup-20261122-030000")};
  };
  World whole;
  prepare(whole);
  const int passes = whole.run();
  for (int dieAt = 0; dieAt <= passes; ++dieAt)
    for (int die = 0; die < 3; ++die) {
      World world;
      prepare(world);
      world.run(die, dieAt);
      INFO("died in pass " << dieAt << " after " << die << " requests");
      REQUIRE(world.jobsMade == 1);
      REQUIRE(world.backups.size() == 3);
      for (const auto& [name, backup] : world.backups) {
        REQUIRE(backup.status.phase == "Listed");
        REQUIRE(api::encodeFrameworkBackupStatus(backup).size() > 0);
      }
      REQUIRE(world.created == 3);
    }
}

TEST_CASE(
    "Given an entry of a scan, when somebody asks for its full read, then it is the backup's reconciler that writes "
    "it") {
  World world;
  world.found = json::array({folder(kFolder)});
  world.run();
  world.backups[kName].meta.annotations[api::kAnnotationVerify] = "now";
  REQUIRE_FALSE(isMereListing(world.at(kName)));
  world.clear();
  world.later(std::chrono::minutes(11));
  world.run();
  REQUIRE(world.statuses == 0);
}
