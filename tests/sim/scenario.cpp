#include "sim/scenario.h"

#include <algorithm>

#include "api/resources.h"

namespace rollback::sim {
namespace {

constexpr const char* kRollback = "demo/back-to-1";
constexpr const char* kFrom = "localhost/demo-app:2.0.0";
constexpr const char* kTarget = "localhost/demo-app:1.0.0";
constexpr const char* kWorkerFrom = "localhost/demo-worker:2.0.0";
constexpr const char* kWorkerTarget = "localhost/demo-worker:1.0.0";
constexpr const char* kUser = "alice";
constexpr int kTimeout = 300;  // spec.timeoutSeconds

std::string text(const json& object, std::initializer_list<const char*> path) { return rules::textAt(&object, path); }

json meta(const std::string& name) { return {{"name", name}, {"namespace", World::kNamespace}}; }

json deployment(const std::string& name, int replicas, const char* image) {
  return {{"metadata", meta(name)},
          {"spec",
           {{"replicas", replicas},
            {"selector", {{"matchLabels", {{"app", name}}}}},
            {"template",
             {{"metadata", {{"labels", {{"app", name}}}}},
              {"spec", {{"containers", json::array({{{"name", "app"}, {"image", image}}})}}}}}}}};
}

void furnish(World& world, bool cronJob, bool workers) {
  auto& server = world.server;
  json classStores = json::array(), frameworkStores = json::array();
  for (const auto& store : world.stores) {
    classStores.push_back(
        {{"name", store.name},
         {"driver", "postgres"},
         {"schema", {{"query", "select name from migrations"}}},
         {"checks", json::array({{{"name", "orders"}, {"query", "select count(*) from orders"}, {"min", 1}}})}});
    frameworkStores.push_back(
        {{"name", store.name},
         {"postgres",
          {{"host", "db"},
           {"database", store.database},
           {"credentialsSecretRef", {{"name", "shop-db"}}},
           {"tools", {{"workloadRef", {{"kind", "StatefulSet"}, {"name", "db"}}}, {"container", "postgres"}}},
           {"capacity", "5Gi"}}}});
  }
  server.optedIn.insert(World::kNamespace);
  server.create("admin", "namespaces",
                {{"metadata", {{"name", World::kNamespace}}}, {"status", {{"phase", "Active"}}}});
  server.create(
      "admin", "frameworkclasses",
      {{"metadata", {{"name", "demo"}}},
       {"spec",
        {{"components", json::array({{{"name", "worker"}, {"optional", true}, {"dependsOn", {"main"}}},
                                     {{"name", "main"},
                                      {"health", json::array({{{"name", "ready"},
                                                               {"http", {{"port", 8080}, {"path", "/healthz"}}},
                                                               {"timeoutSeconds", 60}}})}}})},
         {"stores", std::move(classStores)}}}});
  server.create(
      "admin", "statefulsets",
      {{"metadata", meta("db")},
       {"spec",
        {{"replicas", 1},
         {"selector", {{"matchLabels", {{"app", "db"}}}}},
         {"updateStrategy", {{"type", "RollingUpdate"}}},
         {"template",
          {{"metadata", {{"labels", {{"app", "db"}}}}},
           {"spec", {{"containers", json::array({{{"name", "postgres"}, {"image", "localhost/postgres:15"}}})}}}}}}},
       {"status",
        {{"observedGeneration", 1},
         {"replicas", 1},
         {"readyReplicas", 1},
         {"updatedReplicas", 1},
         {"availableReplicas", 1}}}});
  server.create("admin", "deployments", deployment("shop", 2, kFrom));
  server.create("admin", "persistentvolumeclaims", {{"metadata", meta("backups")}, {"status", {{"phase", "Bound"}}}});
  server.create(
      "admin", "backuprepositories",
      {{"metadata", meta("backups")},
       {"spec",
        {{"volume", {{"persistentVolumeClaim", {{"claimName", "backups"}}}}}, {"path", "/"}, {"scanInterval", "0s"}}},
       // Looked through already: what a scan does is told by its own tests.
       {"status", {{"scan", {{"startedAt", formatTime(world.clock.wall())}, {"generation", 1}}}}}});
  server.create(
      "admin", "frameworkbackups",
      {{"metadata", meta("shop-1")},
       {"spec", {{"frameworkRef", {{"name", "shop"}}}}},
       {"status",
        {{"phase", "Completed"},
         {"version", "1.0.0"},
         {"path", "shop/shop-backup-20261124-020000"},
         {"digest", "sha256:backup"},
         {"createdAt", formatTime(world.clock.wall() - std::chrono::hours(1))},
         {"verified", {{"at", formatTime(world.clock.wall() - std::chrono::hours(1))}, {"level", "FullRead"}}},
         {"images", json::array({{{"component", "main"}, {"image", kTarget}}})}}}});
  json components = json::array({{{"name", "main"},
                                  {"workloadRef", {{"kind", "Deployment"}, {"name", "shop"}}},
                                  {"container", "app"},
                                  {"serviceRef", {{"name", "shop"}}}}});
  if (workers) {
    components.insert(components.begin(),
                      json({{"name", "worker"}, {"workloadRef", {{"kind", "Deployment"}, {"name", "worker"}}}}));
    json worker = deployment("worker", 1, kWorkerFrom);
    worker["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = {{"preStop", {{"sleep", {{"seconds", 2}}}}}};
    server.create("admin", "deployments", std::move(worker));
  }
  if (cronJob) {
    components.push_back({{"name", "report"}, {"workloadRef", {{"kind", "CronJob"}, {"name", "report"}}}});
    world.addCronJob("report");
  }
  server.create("admin", "frameworks",
                {{"metadata", meta("shop")},
                 {"spec",
                  {{"classRef", {{"name", "demo"}}},
                   {"components", std::move(components)},
                   {"stores", std::move(frameworkStores)},
                   {"repositoryRef", {{"name", "backups"}}}}}});
}

std::string imageOf(const json& workload) { return workload["spec"]["template"]["spec"]["containers"][0]["image"]; }

json wish(const std::string& name) {
  return {{"metadata", meta(name)},
          {"spec",
           {{"frameworkRef", {{"name", "shop"}}},
            {"reason", "FailedUpgrade"},
            {"to", {{"version", "1.0.0"}}},
            {"mode", "Execute"},
            {"keepPreviousFor", "24h"},
            {"timeoutSeconds", kTimeout}}}};
}

class Stage {
 public:
  explicit Stage(const Run& run)
      : run_(run),
        world_(run.seed * 1000003 + std::hash<std::string>{}(run.scenario) % 1000, options()),
        dice_(run.seed ^ 0x5157) {
    world_.tracing = run.trace;
  }

  Verdict play();

 private:
  static rules::Options options() {
    rules::Options out;
    out.secrets = {"hunter2-secret"};
    return out;
  }
  const std::string& name() const { return run_.scenario; }
  bool is(const char* scenario) const { return run_.scenario == scenario; }
  bool undisturbed() const { return run_.kills.empty() && sound(run_.mutant); }

  void setTheScene();
  void randomWeather();
  void randomUsers();
  void mutateWorld();
  void reportUnended();  // L1: what has not ended, and where it is
  void judgeEnd();
  void broken(const std::string& rule, const std::string& what) {
    world_.checker.report(rule, what);
    world_.trace("!!! " + rule + ": " + what);
  }

  // What users do.
  void user(Millis when, const std::string& what, std::function<void()> act) {
    world_.timeline.after(when, [this, what, act = std::move(act)] {
      world_.trace("user: " + what);
      act();
    });
  }
  bool hasWorker() { return world_.server.find("deployments", "demo/worker") != nullptr; }
  void scale(int replicas) {
    world_.server.edit(kUser, "deployments", "scale", "demo/shop", [&](json& d) { d["spec"]["replicas"] = replicas; });
    lastScale_ = replicas;
  }
  void setImage(const std::string& image) {
    world_.imageSetByUser = true;
    world_.server.edit(kUser, "deployments", "", "demo/shop",
                       [&](json& d) { d["spec"]["template"]["spec"]["containers"][0]["image"] = image; });
  }
  void patchSpec(const char* field, bool value) {
    world_.server.edit(kUser, "frameworkrollbacks", "", kRollback, [&](json& r) { r["spec"][field] = value; });
  }
  void create(const std::string& rollback) {
    json object = wish(rollback);
    if (is("soak")) object["spec"]["verification"] = {{"soakSeconds", 40}};
    if (is("held") || is("held-deleted")) object["spec"]["onFailure"] = "Hold";
    begun_ = true;
    world_.server.create(kUser, "frameworkrollbacks", std::move(object));
  }
  void undo() {
    json object = wish("undo-1");
    object["spec"]["to"] = {{"undo", "back-to-1"}};
    object["spec"]["accept"] = {{"dataLoss", true}};
    world_.server.create(kUser, "frameworkrollbacks", std::move(object));
  }
  void remove() { world_.server.remove(kUser, "frameworkrollbacks", kRollback); }
  // Once, when the rollback's step is that.
  void atStep(const std::string& step, Millis later, const std::string& what, std::function<void()> act) {
    atStep_.push_back({step, later, what, std::move(act)});
  }

  // As atStep, in a scenario that is about an application that is down. Where the operator died it may not be yet.
  void whileDown(const std::string& step, Millis later, const std::string& what, std::function<void()> act) {
    atStep(step, later, what, [this, act = std::move(act)] {
      if (undisturbed() && (*world_.server.find("deployments", "demo/shop"))["spec"].value("replicas", 1) != 0)
        broken("scene", "the application was to be down, and is not");
      act();
    });
  }

  // The upgrade did not change the schema.
  void keepSchema() {
    for (auto& [oid, content] : world_.contents) content.schema = "1.0.0";
    world_.migrates = false;
  }

  std::string phase(const std::string& key = kRollback) const {
    const json* rollback = world_.server.find("frameworkrollbacks", key);
    return rollback ? text(*rollback, {"status", "phase"}) : "";
  }
  bool allEnded() const {
    if (!begun_ || (torn_ && locked())) return false;
    for (const auto& key : world_.server.keysOf("frameworkrollbacks")) {
      const json& rollback = *world_.server.find("frameworkrollbacks", key);
      if (!rules::isEndingPhase(text(rollback, {"status", "phase"}))) return false;
    }
    for (const auto& key : world_.server.keysOf("frameworkbackups"))
      if (!backupEnded(key)) return false;
    return true;
  }
  // Or waits for a user who took care that not one version runs.
  bool backupEnded(const std::string& key) const {
    const json& backup = *world_.server.find("frameworkbackups", key);
    const std::string phase = text(backup, {"status", "phase"});
    const bool waits = text(backup, {"status", "message"}).rfind("waiting for one version to run everywhere", 0) == 0;
    return phase == "Completed" || phase == "Failed" || (waits && (workerDeleted_ || world_.imageSetByUser));
  }
  bool locked() const {
    return !text(*world_.server.find("frameworks", "demo/shop"), {"status", "activeRollback", "uid"}).empty();
  }

  struct AtStep {
    std::string step;
    Millis later;
    std::string what;
    std::function<void()> act;
  };

  const Run run_;
  World world_;
  Dice dice_;  // of what users do and how the weather is; the world has its own
  std::unique_ptr<Fleet> fleet_;
  Faults faults_;
  int replicas_ = 1;
  int lastScale_ = 2;
  bool begun_ = false;  // the first rollback was created
  int expected_ = 1;    // rollbacks that will be created
  std::string told_;    // what the journals of those that are gone said: an Event tells of it
  Millis faultsOver_{0};
  bool torn_ = false;  // somebody took a finalizer off
  bool workerDeleted_ = false;
  std::vector<AtStep> atStep_;
};

void Stage::randomWeather() {
  auto& w = world_.weather;
  auto& d = dice_;
  const auto maybe = [&](double chance, double most) {
    return d.chance(chance) ? most * static_cast<double>(d.between(1, 10)) / 10 : 0.0;
  };
  w.quick = Millis(d.between(5, 30));
  w.slow = Millis(d.chance(0.8) ? d.between(60, 250) : d.between(300, 2500));
  w.evict = maybe(0.3, 0.15);
  w.killInVerb = maybe(0.3, 0.25);
  w.serverCrash = maybe(0.3, 0.25);
  w.runTwice = maybe(0.1, 0.3);
  w.vanish = maybe(0.2, 0.1);
  w.forceDelete = maybe(0.1, 0.15);
  w.stallMillis = d.chance(0.1) ? d.between(100, 20000) : 0;
  auto& f = faults_;
  f.lost = maybe(0.4, 0.03);
  f.answerLost = maybe(0.4, 0.03);
  f.late = maybe(0.3, 0.02);
  f.doubled = maybe(0.3, 0.1);
  f.conflict = maybe(0.4, 0.1);
  f.busy = maybe(0.2, 0.03);
  f.unavailable = maybe(0.3, 0.03);
  f.expired = maybe(0.2, 0.02);
  f.kill = maybe(0.6, 0.08);
  f.interleave = maybe(0.6, 0.1);
  f.skew = maybe(0.1, 0.02);
  f.watchLag = Millis(d.chance(0.7) ? d.between(5, 50) : d.between(100, 3000));
  replicas_ = d.chance(0.15) ? 2 : 1;
  if (replicas_ == 2) f.pause = maybe(0.7, 0.04);
}

void Stage::randomUsers() {
  auto& d = dice_;
  if (d.chance(0.2)) world_.brokenImages.insert(hasWorker() && d.chance(0.5) ? kWorkerTarget : kTarget);
  if (d.chance(0.08)) world_.healthy = false;
  if (d.chance(0.04)) world_.unpullableImages.insert(kTarget);
  if (d.chance(0.04)) world_.blockers = {{"PreparedTransaction", "there is one"}};
  if (d.chance(0.1)) keepSchema();
  static const char* steps[] = {"Plan",   "Lock",   "VerifyBackup", "Stage", "Quiesce",
                                "Switch", "Resume", "Verify",       "Close"};
  const auto when = [&](const std::string& what, std::function<void()> act) {
    if (d.chance(0.7))
      atStep(steps[d.below(9)], Millis(d.between(0, 1500)), what, std::move(act));
    else
      user(Millis(d.between(0, 30000)), what, std::move(act));
  };
  for (int i = d.chance(0.5) ? 0 : d.between(1, 3); i > 0; --i) switch (d.below(14)) {
      case 0:
        when("aborts", [this] { patchSpec("abort", true); });
        break;
      case 1:
        when("deletes the rollback", [this] { remove(); });
        break;
      case 2:
        when("suspends", [this] {
          patchSpec("suspend", true);
          user(Millis(dice_.between(1000, 30000)), "resumes", [this] { patchSpec("suspend", false); });
        });
        break;
      case 3:
        when("scales", [this, n = d.between(1, 3)] { scale(n); });
        break;
      case 4:
        when("sets the image back", [this] { setImage(kFrom); });
        break;
      case 5:
        when("annotates the Deployment", [this] {
          world_.server.edit(kUser, "deployments", "", "demo/shop",
                             [&](json& o) { o["metadata"]["annotations"]["x"] = dice_.hex(4); });
        });
        break;
      case 6:
        expected_ = 2;
        when("creates another rollback", [this] { create("back-again"); });
        break;
      case 7:
        when("deletes a pod of ours", [this] {
          for (const auto& [uid, process] : world_.processes)
            if (process.mover()) return world_.server.remove(kUser, "pods", process.namespace_ + "/" + process.pod);
        });
        break;
      case 8:
        when("deletes a pod of the application", [this] {
          for (const auto& [uid, process] : world_.processes)
            if (!process.mover()) return world_.server.remove(kUser, "pods", process.namespace_ + "/" + process.pod);
        });
        break;
      case 13:
        when("scales the worker", [this, n = d.between(1, 3)] {
          if (hasWorker())
            world_.server.edit(kUser, "deployments", "scale", "demo/worker",
                               [&](json& o) { o["spec"]["replicas"] = n; });
        });
        break;
      case 12:
        when("deletes the worker", [this] {
          workerDeleted_ = workerDeleted_ || hasWorker();
          if (hasWorker()) world_.server.remove(kUser, "deployments", "demo/worker");
        });
        break;
      case 11:
        when("takes a backup", [this] {
          world_.server.create(kUser, "frameworkbackups",
                               {{"metadata", meta("meanwhile")}, {"spec", {{"frameworkRef", {{"name", "shop"}}}}}});
        });
        break;
      case 10:
        when("deletes the rollback and tears its finalizer off", [this] {
          remove();
          torn_ = world_.server.find("frameworkrollbacks", kRollback) != nullptr;
          world_.server.edit(kUser, "frameworkrollbacks", "", kRollback,
                             [](json& o) { o["metadata"].erase("finalizers"); });
        });
        break;
      case 9:
        when("labels the framework", [this] {
          world_.server.edit(kUser, "frameworks", "", "demo/shop",
                             [&](json& o) { o["metadata"]["labels"]["x"] = dice_.hex(4); });
        });
        break;
    }
}

void Stage::setTheScene() {
  if (is("random")) {
    randomWeather();
    randomUsers();
  }
  if (is("keep")) keepSchema();
  if (is("revert") || is("held") || is("held-deleted") || is("stores-revert") || is("cron-job-revert"))
    world_.brokenImages.insert(kTarget);
  if (is("workers-revert")) world_.brokenImages.insert(kWorkerTarget);
  if (is("cron-job")) {
    world_.runTakes = Millis(20000);
    atStep("Stage", Millis(100), "starts a Job of the CronJob", [this] { world_.createRun("demo/report"); });
  }
  if (is("unhealthy")) world_.healthy = false;
  if (is("refused")) world_.blockers = {{"PreparedTransaction", "there is one"}};
  if (is("unpullable")) world_.unpullableImages.insert(kTarget);
  if (is("stage-fails"))
    world_.scripted["stage"] = mover::failed(mover::problem(ErrorCode::Conflict, "NotEqual", "the copy differs"));
  if (is("stage-killed")) {
    // The first two runs of stage die when they have restored.
    auto count = std::make_shared<int>(0);
    world_.afterVerb = [count](const std::string& verb) {
      if (verb == "stage" && ++*count <= 2) throw model::Killed{};
    };
  }
  if (is("aborted-stuck")) world_.hanging.insert("stage");
  if (is("aborted")) atStep("Stage", Millis(200), "aborts", [this] { patchSpec("abort", true); });
  // Late enough for the mover to run: there must be a writer to end too early.
  if (is("aborted-stuck")) atStep("Stage", Millis(5000), "aborts", [this] { patchSpec("abort", true); });
  // The data is being switched: it is switched back. Before that: there is nothing to switch back.
  if (is("aborted-late")) whileDown("Switch", Millis(30), "aborts", [this] { patchSpec("abort", true); });
  if (is("deleted")) whileDown("Quiesce", Millis(100), "deletes the rollback", [this] { remove(); });
  if (is("suspended"))
    atStep("Stage", Millis(50), "suspends", [this] {
      patchSpec("suspend", true);
      user(Millis(40000), "resumes", [this] { patchSpec("suspend", false); });
    });
  if (is("stuck")) world_.hanging.insert("stage");
  if (is("two")) {
    expected_ = 2;
    atStep("Stage", Millis(100), "creates another rollback", [this] { create("back-again"); });
  }
  if (is("two-replicas")) {
    replicas_ = 2;
    faults_.pause = 0.05;
  }
}

void Stage::mutateWorld() {
  auto& w = world_;
  switch (run_.mutant) {
    case Mutant::RestoreTwice:
      w.mutateTask = [&w](json& task) {
        if (task["verb"] != "stage" && task["verb"] != "switch" && task["verb"] != "switchback") return;
        std::string name = task["names"]["stage"];
        name = name.substr(0, name.rfind('_')) + "_1";
        task["names"]["stage"] = name;
        if (task["verb"] == "stage") w.postgres.databases.erase(name);
      };
      break;
    case Mutant::PrevLeftOpen:
      w.afterVerb = [&w](const std::string& verb) {
        if (verb != "switch") return;
        for (auto& [name, base] : w.postgres.databases)
          if (name.find("_prev_") != std::string::npos) base.open = true;
      };
      break;
    case Mutant::DropsPrevious:
      w.afterVerb = [&w](const std::string& verb) {
        for (auto it = w.postgres.databases.begin(); verb == "switch" && it != w.postgres.databases.end();)
          it = it->first.find("_prev_") != std::string::npos ? w.postgres.databases.erase(it) : std::next(it);
      };
      break;
    default:
      break;
  }
}

Verdict Stage::play() {
  if (is("stores") || is("stores-revert") || (is("random") && dice_.chance(0.3))) world_.addStore("ledger", "ledger");
  const bool cronJob = is("cron-job") || is("cron-job-revert") || is("undo") || is("held-deleted");
  const bool workers = is("workers") || is("workers-revert") || is("undo") || is("held-deleted");
  furnish(world_, cronJob || (is("random") && dice_.chance(0.25)), workers || (is("random") && dice_.chance(0.25)));
  world_.pass(Millis(3000));
  setTheScene();
  mutateWorld();
  world_.onUserSees = [this](const std::string& plural, const json& object, bool gone) {
    if (plural == "deployments" && is("contested") && !gone && object["spec"].value("replicas", 1) == 0 &&
        fleet_->faulty)
      user(Millis(150), "scales up again", [this] { scale(2); });
    if (plural != "frameworkrollbacks") return;
    if (gone) {
      if (const json* steps = rules::memberAt(&object, {"status", "steps"}))
        for (const auto& record : *steps) told_ += text(record, {"message"});
      return;
    }
    const std::string step = text(object, {"status", "step"});
    for (auto it = atStep_.begin(); it != atStep_.end();) {
      if (it->step != step) {
        ++it;
        continue;
      }
      user(it->later, it->what, std::move(it->act));
      it = atStep_.erase(it);
    }
  };
  fleet_ = std::make_unique<Fleet>(world_, replicas_, faults_, run_.mutant);
  fleet_->kills = run_.kills;
  // A run that never rests is cut: the true one needs some thousand requests.
  world_.enough = [this, told = false]() mutable {
    if (!told && fleet_->requests > 60000) {
      told = true;
      broken("L1", "more than " + std::to_string(fleet_->requests) + " requests");
    }
    const auto& found = world_.checker.violations();
    return told || (!run_.stopAt.empty() && std::any_of(found.begin(), found.end(),
                                                        [&](const auto& each) { return each.rule == run_.stopAt; }));
  };
  const Millis began = world_.clock.time;
  user(Millis(is("random") ? dice_.between(0, 8000) : 500), "creates the rollback", [this] { create("back-to-1"); });
  faultsOver_ = began + Millis(is("random") ? dice_.between(5000, 120000) : 60000);
  fleet_->run(faultsOver_, [] { return false; });
  world_.trace("faults are over");
  fleet_->faulty = false;
  world_.weather.evict = world_.weather.killInVerb = world_.weather.serverCrash = world_.weather.runTwice = 0;
  world_.weather.forceDelete = world_.weather.vanish = 0;
  world_.weather.stallMillis = 0;
  // L1: a limit forward, as much again backward, and what it takes to end. A second one waits for the first.
  const Millis limit = world_.clock.time + std::chrono::seconds(expected_ * (2 * kTimeout + 150));
  const bool ended = fleet_->run(limit, [this] { return allEnded(); });
  if (!ended) reportUnended();
  Verdict verdict;
  if (const json* rollback = world_.server.find("frameworkrollbacks", kRollback)) {
    verdict.phase = text(*rollback, {"status", "phase"});
    verdict.reason = text(*rollback, {"status", "reason"});
  }
  const auto* expected = scenarioOf(name());
  const auto end = [](const std::string& phaseText, const std::string& reason) {
    return phaseText.empty() ? "with its object gone" : phaseText + " (" + reason + ")";
  };
  if (ended && expected && (verdict.phase != expected->phase || verdict.reason != expected->reason))
    broken("L1", "ended " + end(verdict.phase, verdict.reason) + " and not " + end(expected->phase, expected->reason));
  if (expected && sound(run_.mutant))
    for (const auto& never : atStep_)
      broken("scene", "step " + never.step + " never came, at which a user " + never.what);
  if (is("again")) {
    // Applied again under the same name after it was deleted: a wish that was executed is not executed again.
    // Meanwhile the application was upgraded once more.
    fleet_->run(world_.clock.time + Millis(5000), [] { return false; });
    remove();
    setImage(kFrom);
    fleet_->run(world_.clock.time + Millis(20000), [] { return false; });
    create("back-to-1");
    fleet_->run(world_.clock.time + Millis(60000), [this] { return phase() == "Skipped"; });
    if (phase() != "Skipped") broken("S4", "the same wish, applied again, ended " + phase());
  }
  if (is("undo") || is("held")) {
    fleet_->run(world_.clock.time + Millis(5000), [] { return false; });
    world_.trace("user: undoes the rollback");
    undo();
    fleet_->run(world_.clock.time + std::chrono::seconds(2 * kTimeout + 150), [this] { return allEnded(); });
    if (phase("demo/undo-1") != "Succeeded")
      broken("L1", "the undo ended " + phase("demo/undo-1") + " and not Succeeded");
    if (!world_.allOriginal()) broken("S11", "undone, and a live database is not the original");
  }
  if (is("held-deleted")) {
    // Its framework takes it back.
    world_.trace("user: deletes the rollback");
    remove();
    fleet_->run(world_.clock.time + std::chrono::seconds(kTimeout + 150), [this] { return !locked(); });
    if (locked()) broken("L1", "the held rollback is gone, and nobody has taken back what it did");
  }
  // Finalizers, conditions, the schema of what runs now; then nothing more. One run in eight also sees the Jobs go
  // whose time to live is over.
  const bool lengthy = is("random") ? run_.seed % 8 == 0 : run_.kills.empty();
  const Millis rest(lengthy ? 420000 : 60000);
  fleet_->run(world_.clock.time + rest, [] { return false; });
  if (ended && !allEnded()) {  // a user asked for another meanwhile
    if (!fleet_->run(world_.clock.time + std::chrono::seconds(2 * kTimeout + 150), [this] { return allEnded(); }))
      reportUnended();
    fleet_->run(world_.clock.time + rest, [] { return false; });
  }
  if (ended) judgeEnd();
  const Millis idle = world_.clock.time;
  fleet_->run(idle + Millis(lengthy ? 1800000 : 180000), [] { return false; });
  if (fleet_->lastWrite > idle)
    broken("L3", "a write " + std::to_string((fleet_->lastWrite - idle).count() / 1000) + " s into an idle time");
  world_.checker.finish();
  verdict.violations = world_.checker.violations();
  verdict.writes = fleet_->writes;
  verdict.deaths = fleet_->deaths;
  verdict.requests = fleet_->requests;
  verdict.seconds = static_cast<double>(world_.clock.time.count()) / 1000;
  verdict.trace = world_.lines;
  return verdict;
}

void Stage::reportUnended() {
  if (torn_ && locked()) broken("L1", "the rollback is gone, and nobody has taken back what it did");
  for (const auto& key : world_.server.keysOf("frameworkbackups"))
    if (!backupEnded(key))
      broken("L1", "backup " + key +
                       " has not ended: " + text(*world_.server.find("frameworkbackups", key), {"status", "message"}));
  for (const auto& key : world_.server.keysOf("frameworkrollbacks")) {
    const json& rollback = *world_.server.find("frameworkrollbacks", key);
    if (!rules::isEndingPhase(text(rollback, {"status", "phase"})))
      broken("L1", "rollback " + key + " has not ended: " + text(rollback, {"status", "phase"}) + ", step " +
                       text(rollback, {"status", "step"}) + ": " + text(rollback, {"status", "message"}));
  }
}

void Stage::judgeEnd() {
  const json& shop = *world_.server.find("deployments", "demo/shop");
  const json& framework = *world_.server.find("frameworks", "demo/shop");
  const std::string image = imageOf(shop);
  bool held = false;  // a rollback that keeps the lock, and says so
  std::string told = told_;
  for (const auto& key : world_.server.keysOf("frameworkrollbacks")) {
    const json& rollback = *world_.server.find("frameworkrollbacks", key);
    const std::string reason = text(rollback, {"status", "reason"});
    held = held || ((reason == "RevertFailed" || reason == "Held") && locked());
    told += text(rollback, {"status", "message"});
  }
  const auto kept = [&](const std::string& database) {
    if (const json* list = rules::memberAt(&framework, {"status", "kept"}))
      for (const auto& copy : *list)
        if (text(copy, {"name"}) == database) return true;
    return false;
  };
  for (const auto& [uid, process] : world_.processes)
    if (process.mover() && !process.orphan) broken("S10", "mover " + process.pod + " still runs at the end");
  for (const auto& [databaseName, base] : world_.postgres.databases) {
    const bool live = std::any_of(world_.stores.begin(), world_.stores.end(),
                                  [name = databaseName](const Store& store) { return store.database == name; });
    if (live || databaseName == "postgres") continue;
    if (base.open) broken("S2", "database " + databaseName + " is kept, but open");
    if (held) continue;
    const bool staged = databaseName.find("_stage_") != std::string::npos;
    // One that the process of a lost node made when its rollback had ended, nobody could know of.
    const bool unknown = world_.madeByOrphans.count(databaseName) > 0;
    if (staged && !unknown && told.find("could not be dropped") == std::string::npos && !world_.postgres.down)
      broken("L2", "the staged copy " + databaseName + " was left behind");
    if (!staged && !kept(databaseName)) broken("S2", "database " + databaseName + " is kept, and no status says so");
  }
  if (held) return;
  if (locked()) broken("L2", "the framework is locked and no rollback holds it");
  if (!world_.allLiveOpen()) {
    broken("L2", "a live database is closed or gone");
    return;
  }
  if (lastScale_ > 0 && !world_.applicationServes())
    broken("L2", "the application does not serve at the end: " + std::to_string(shop["spec"].value("replicas", 1)) +
                     " replicas of " + image);
  const json* cronJob = world_.server.find("cronjobs", "demo/report");
  if (cronJob && (*cronJob)["spec"].value("suspend", false)) broken("L2", "the CronJob is suspended at the end");
  if (world_.imageSetByUser) return;
  if (cronJob &&
      text((*cronJob)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0], {"image"}) != image)
    broken("U1", "the CronJob runs another image than " + image);
  if (const json* worker = world_.server.find("deployments", "demo/worker"))
    if (const std::string its = imageOf(*worker); versionIn(its) != versionIn(image))
      broken("U1", "the worker runs " + its + " beside " + image);
  if (!world_.migrates) return;
  for (const auto& store : world_.stores)
    if (const auto& content = world_.contents[world_.oidOf(store.database)]; content.schema != versionIn(image))
      broken("U1", "version " + versionIn(image) + " runs on " + store.database + " of " + content.schema);
  const std::string ended = phase();
  const bool back = is("deleted") || is("held-deleted");  // otherwise it may have succeeded before it went
  if (expected_ > 1 || is("again") || is("undo") || is("held") || (ended.empty() && !back)) return;
  const bool original = world_.allOriginal();
  if (ended == "Succeeded" && image != kTarget) broken("U1", "Succeeded, and runs " + image);
  if (ended != "Succeeded" && (!original || image != kFrom) && !(ended == "Skipped" && image == kTarget))
    broken("S11", (back ? "deleted" : ended) + ", and " + (original ? "" : "a live database is not the original; it ") +
                      "runs " + image);
}

}  // namespace

const std::vector<ScenarioInfo>& scenarios() {
  static const std::vector<ScenarioInfo> all{
      {"success", "Succeeded", "Succeeded"},
      {"keep", "Succeeded", "Succeeded"},
      {"revert", "Reverted", "NotReady"},
      {"unhealthy", "Reverted", "Unhealthy"},
      {"refused", "Failed", "NothingTouched"},
      {"unpullable", "Failed", "NothingTouched"},
      {"stage-fails", "Failed", "NothingTouched"},
      {"stage-killed", "Succeeded", "Succeeded"},
      {"aborted", "Aborted", "Aborted"},
      {"aborted-stuck", "Aborted", "Aborted"},
      {"aborted-late", "Reverted", "Aborted"},
      {"deleted", "", ""},
      {"suspended", "Succeeded", "Succeeded"},
      {"stuck", "Failed", "NothingTouched"},
      {"soak", "Succeeded", "Succeeded"},
      {"two", "Succeeded", "Succeeded"},
      {"two-replicas", "Succeeded", "Succeeded"},
      {"contested", "Reverted", "NotQuiesced"},
      {"again", "Succeeded", "Succeeded"},
      {"undo", "Succeeded", "Succeeded"},
      {"held", "Failed", "Held"},
      {"held-deleted", "Failed", "Held"},
      {"stores", "Succeeded", "Succeeded"},
      {"stores-revert", "Reverted", "NotReady"},
      {"workers", "Succeeded", "Succeeded"},
      {"workers-revert", "Reverted", "NotReady"},
      {"cron-job", "Succeeded", "Succeeded"},
      {"cron-job-revert", "Reverted", "NotReady"},
  };
  return all;
}

const ScenarioInfo* scenarioOf(const std::string& name) {
  for (const auto& each : scenarios())
    if (name == each.name) return &each;
  return nullptr;
}

Verdict simulate(const Run& run) { return Stage(run).play(); }

}  // namespace rollback::sim
