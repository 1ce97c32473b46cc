// docs/metrics.md and what /metrics says are the same set: names, types and labels.
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "kube/objects/workloads.h"
#include "manager/instruments.h"
#include "runtime/client_metrics.h"
#include "runtime/controller.h"
#include "runtime/event_recorder.h"
#include "runtime/fakes.h"
#include "runtime/leader_election.h"
#include "runtime/reflector.h"

using namespace rollback;
using namespace rollback::manager;

namespace {

struct Family {
  std::string type;
  std::set<std::string> labels;
  bool operator==(const Family& other) const { return type == other.type && labels == other.labels; }
};
using Families = std::map<std::string, Family>;

std::string written(const Families& families) {
  std::string out;
  for (const auto& [name, family] : families) {
    out += name + " " + family.type;
    for (const auto& label : family.labels) out += " " + label;
    out += "\n";
  }
  return out;
}

Families documented() {
  std::ifstream file(std::string(FROLLBACK_SOURCE_DIR) + "/docs/metrics.md");
  REQUIRE(file);
  const std::regex row(R"(^\| `([a-z_]+)` \| (\w+) \| ([a-z, ]*) ?\| .+ \|$)");
  Families out;
  for (std::string line; std::getline(file, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, row)) continue;
    INFO(line);
    REQUIRE(out.count(match[1]) == 0);
    Family& family = out[match[1]];
    family.type = match[2];
    std::string labels = match[3];
    const std::regex label("[a-z]+");
    for (auto each = std::sregex_iterator(labels.begin(), labels.end(), label); each != std::sregex_iterator(); ++each)
      family.labels.insert(each->str());
  }
  return out;
}

Families exposed(const std::string& text) {
  Families out;
  std::istringstream lines(text);
  std::string current;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, word, name, type;
    words >> hash >> word >> name >> type;
    if (hash == "#" && word == "TYPE") {
      current = name;
      out[name].type = type;
    } else if (hash != "#") {
      const std::regex label(R"re(([a-z]+)=")re");
      const std::string labels = line.substr(0, line.rfind('}'));
      for (auto each = std::sregex_iterator(labels.begin(), labels.end(), label); each != std::sregex_iterator();
           ++each)
        if ((*each)[1] != "le") out[current].labels.insert((*each)[1]);
    }
  }
  return out;
}

// Objects that make every family appear.
struct Everything : runtime::fakes::Bench {
  std::shared_ptr<api::Framework> framework = std::make_shared<api::Framework>();
  std::shared_ptr<api::FrameworkRollback> rollback = std::make_shared<api::FrameworkRollback>();
  std::shared_ptr<api::FrameworkRollback> stuck = std::make_shared<api::FrameworkRollback>();
  std::shared_ptr<api::FrameworkBackup> backup = std::make_shared<api::FrameworkBackup>();
  std::shared_ptr<api::BackupRepository> repository = std::make_shared<api::BackupRepository>();
  bool frameworkExists = true;
  Instruments instruments{metrics, clock,
                          [this] {
                            Caches caches{{}, {rollback, stuck}, {backup}, {repository}};
                            if (frameworkExists) caches.frameworks = {framework};
                            return caches;
                          },
                          [this](const std::string& namespace_, const std::string& name) {
                            return frameworkExists && namespace_ == "demo" && name == "shop";
                          }};

  Everything() {
    const std::string then = "2026-11-24T02:00:00Z";
    framework->meta.namespace_ = rollback->meta.namespace_ = stuck->meta.namespace_ = backup->meta.namespace_ = "demo";
    framework->meta.name = rollback->spec.frameworkName = stuck->spec.frameworkName = backup->spec.frameworkName =
        "shop";
    framework->status.activeRollback = api::ActiveRollback{"stuck", "stuck-uid", "t", then, {}, {}, ""};
    api::KeptCopy kept;
    kept.kind = "prev";
    kept.until = then;
    framework->status.kept = {kept};
    rollback->meta.name = "back";
    rollback->meta.creationTimestamp = then;
    rollback->status.phase = api::Phase::Verifying;
    rollback->status.deadline = then;
    api::StepRecord step;
    step.name = "Verify";
    step.startedAt = then;
    step.state = "Running";
    rollback->status.steps = {step, step};
    rollback->status.steps[1].store = "database";
    stuck->meta.name = "stuck";
    stuck->meta.uid = "stuck-uid";
    stuck->status.phase = api::Phase::Failed;
    stuck->status.reason = "RevertFailed";
    backup->status.phase = "Completed";
    backup->status.createdAt = backup->status.verifiedAt = then;
  }

  // One rollback reverts and ends, one backup ends.
  void happen() {
    auto ended = *rollback;
    for (auto& step : ended.status.steps) step.state = "Succeeded";
    ended.status.phase = api::Phase::Reverting;
    instruments.wrote(*rollback, ended);
    const auto reverting = ended;
    ended.status.phase = api::Phase::Reverted;
    ended.status.downtime = api::Downtime{"a", "b", 4894};
    instruments.wrote(reverting, ended);
    auto before = *backup;
    before.status.phase = "Running";
    before.status.steps = rollback->status.steps;
    auto after = *backup;
    after.status.steps = ended.status.steps;
    instruments.wrote(before, after);
  }
};

}  // namespace

TEST_CASE("given everything the operator measures, when compared with docs/metrics.md, then the sets are the same") {
  Everything all;
  all.happen();
  const auto client = std::make_shared<runtime::fakes::FakeClient>(all.clock);
  runtime::Controller controller(
      {"framework", 1}, [](const auto&, const auto&) { return runtime::ReconcileResult{}; }, all.timing(), all.metrics);
  runtime::EventRecorder recorder({"operator", "pod"}, client, all.timing(), all.metrics);
  runtime::LeaderElectionOptions election;
  election.namespace_ = election.name = election.identity = "a";
  const auto elector = runtime::LeaderElector::make(election, client, all.timing(), {}, all.metrics);
  REQUIRE(elector);
  runtime::requestMetrics(all.metrics, "kubernetes")(kube::get(kube::resources::kJobs, "demo", "a"), 200, Millis(3));
  runtime::Store<kube::ConfigMap> store;
  runtime::Reflector<kube::ConfigMap> reflector(
      {"configmaps", kube::list(kube::resources::kConfigMaps, "")}, client, all.timing(), store,
      [](std::string_view json) { return runtime::shared(kube::decodeConfigMap(json)); }, {}, all.metrics);
  client->lists = {{{runtime::fakes::configMap("a", "1")}, "10"}};
  client->watches = {{{{kube::WatchEvent::Type::Added, runtime::fakes::configMap("b", "11")}}}};
  reflector.step(all.stop);
  reflector.step(all.stop);

  const Families is = exposed(all.metrics.expose());
  CHECK(is.size() > 40);
  CHECK(written(documented()) == written(is));
}

TEST_CASE("given a Framework that is deleted, when forgotten, then no series names it any more") {
  Everything all;
  all.happen();
  REQUIRE(all.metric(R"(rollback_endings_total{framework="shop",namespace="demo",phase="Reverted"})") == "1");
  REQUIRE(all.metric(R"(rollback_downtime_seconds_sum{framework="shop",namespace="demo"})") == "4.894");
  REQUIRE(all.metric(R"(rollback_reverts_total{framework="shop",namespace="demo"})") == "1");
  all.frameworkExists = false;
  all.instruments.forget("demo", "shop");
  all.rollback->status.phase = api::Phase::Reverted;
  CHECK(all.metrics.expose().find("framework=\"shop\"") == std::string::npos);
}

TEST_CASE("given a Framework that is new, when known, then its counters are there, at nothing") {
  Everything all;
  all.instruments.know("demo", "shop");
  CHECK(all.metric(R"(rollback_endings_total{framework="shop",namespace="demo",phase="Failed"})") == "0");
  CHECK(all.metric(R"(rollback_backup_endings_total{framework="shop",namespace="demo",phase="Failed"})") == "0");
  CHECK(all.metric(R"(rollback_reverts_total{framework="shop",namespace="demo"})") == "0");
}

TEST_CASE("given a rollback of a Framework that does not exist, when it ends, then no label is made of its name") {
  Everything all;
  all.frameworkExists = false;
  all.happen();
  CHECK(all.metric(R"(rollback_endings_total{framework="",namespace="",phase="Reverted"})") == "1");
}
