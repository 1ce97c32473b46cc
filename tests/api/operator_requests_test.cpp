// The requests the reconcilers make, sent as they are to a real API server with our definitions and policies installed:
// nothing of ours stands in our own way. run.sh runs this after the Python tests, which install them.
//
//   eval "$(tests/cluster/cluster env NAME)" && $KUBECTL apply -k manifests/default
//   FROLLBACK_KUBECONFIG=$KUBECONFIG build/dev/bin/api_operator_requests
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "api/resources.h"
#include "jobs/job.h"
#include "kube/client/client.h"
#include "kube/client/credentials.h"
#include "rollback/ledger.h"
#include "rollback/publish.h"
#include "rollback/refusals.h"
#include "rollback/workload_requests.h"

namespace rollback {
namespace {

using nlohmann::json;
using namespace kube::resources;
using kube::Request;

const kube::Resource kRoleBindings{"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"};
const reconcilers::Settings kSettings{"localhost/rollback-mover:dev"};

// Rights need a moment to reach the authorizer's cache, and controllers write between a read and a write of ours.
template <typename Attempt>
auto eventually(Attempt attempt) {
  auto result = attempt();
  for (int i = 0; i < 100 && !result && result.error().code != ErrorCode::AlreadyExists; ++i) {
    std::this_thread::sleep_for(Millis(50));
    result = attempt();
  }
  return result;
}

// A namespace with restricted pod security that has let the operator in; deleted in the end.
struct Place {
  std::vector<std::string> warnings;
  std::shared_ptr<kube::Client> client;
  std::string name;

  Place() {
    static const bool once = (http::initializeTransport(4), true);
    static int count = 0;
    const char* kubeconfig = std::getenv("FROLLBACK_KUBECONFIG");
    INFO("FROLLBACK_KUBECONFIG must name an administrator's kubeconfig; see the top of this file");
    REQUIRE((once && kubeconfig));
    kube::CredentialsOptions given;
    given.kubeconfig = kubeconfig;
    auto credentials = kube::loadCredentials(given, systemClock());
    if (!credentials) FAIL(credentials.error().message);
    kube::ClientOptions options;
    options.onWarning = [this](const std::string& text) { warnings.push_back(text); };
    client = kube::makeClient(*credentials, options, systemClock());
    name = "requests-" + std::to_string(getpid()) + "-" + std::to_string(++count);
    must(kube::create(kNamespaces, "",
                      json{{"metadata",
                            {{"name", name},
                             {"labels",
                              {{"pod-security.kubernetes.io/enforce", "restricted"},
                               {"pod-security.kubernetes.io/warn", "restricted"}}}}}}
                          .dump()));
    must(kube::create(
        kRoleBindings, name,
        json{{"metadata", {{"name", "rollback-runner"}}},
             {"roleRef",
              {{"apiGroup", "rbac.authorization.k8s.io"}, {"kind", "ClusterRole"}, {"name", "rollback-runner"}}},
             {"subjects", {{{"kind", "ServiceAccount"}, {"name", api::kRunner}, {"namespace", name}}}}}
            .dump()));
  }
  ~Place() {
    Request gone;
    gone.verb = kube::Verb::Delete;
    gone.resource = kNamespaces;
    gone.name = name;
    if (!send(gone)) WARN("the namespace " << name << " is left behind");
  }

  Result<std::string> send(const Request& request) {
    return client->send(request, Deadline::after(systemClock(), Millis(30000)), {});
  }
  json must(const Request& request) {
    const auto body = eventually([&] { return send(request); });
    if (!body) FAIL(request.describe() << ": " << body.error().message);
    return json::parse(*body);
  }
};

api::PostgresStore postgres() {
  api::PostgresStore out;
  out.host = "db";
  out.database = "shop";
  out.credentials.name = "db";
  out.admin = api::SecretKeys{"admin", "username", "password"};
  out.tlsMode = "verify-full";
  out.caSecretName = "ca";
  return out;
}

api::FrameworkRollback made(Place& place, const std::string& name) {
  const json body = {{"apiVersion", "rollback.pa-ecosystem.io/v1alpha1"},
                     {"kind", "FrameworkRollback"},
                     {"metadata", {{"name", name}}},
                     {"spec", {{"frameworkRef", {{"name", "shop"}}}, {"to", {{"version", "1.0.0"}}}}}};
  const auto rollback =
      api::decodeFrameworkRollback(place.must(kube::create(api::kFrameworkRollbacks, place.name, body.dump())).dump());
  if (!rollback) FAIL(rollback.error().message);
  return *rollback;
}

// A Job that uses all there is.
reconcilers::JobSpec everything(const api::FrameworkRollback& owner) {
  static const api::PostgresStore store = postgres();
  static const api::JobTemplate jobTemplate = [] {
    api::JobTemplate out;
    out.labels = {{"team", "a"}, {api::kLabelManagedBy, "somebody else"}};
    out.annotations = {{"sidecar.istio.io/inject", "false"}};
    out.nodeSelector = {{"disk", "fast"}};
    out.tolerations = R"([{"operator":"Exists","effect":"NoExecute","tolerationSeconds":60}])";
    out.resources = R"({"requests":{"cpu":"100m"},"limits":{"memory":"1Gi"}})";
    return out;
  }();
  static const api::BackupRepository repository = [] {
    api::BackupRepository out;
    out.spec.claimName = "backups";
    out.spec.path = "/team a";
    return out;
  }();
  reconcilers::JobSpec spec;
  spec.owner = {"FrameworkRollback", owner.meta.name, owner.meta.uid, owner.meta.namespace_, "shop"};
  spec.name = reconcilers::jobName("frb", spec.owner.uid, "switch", "database", 1);
  spec.step = "switch";
  spec.store = "database";
  spec.effect = reconcilers::Effect::Write;
  spec.image = "localhost/postgres:15";
  spec.task = R"({"version":1})";
  spec.waitsForGo = true;
  spec.postgres = &store;
  spec.repository = &repository;
  spec.keys = {{"encryption-key", R"({"secretKeyRef":{"name":"app","key":"key"}})"}, {"unresolvable", ""}};
  spec.jobTemplate = &jobTemplate;
  spec.imagePullSecrets = {"pull"};
  return spec;
}

TEST_CASE(
    "given a Job that uses all there is, when it is made, let run and removed as the runner, then policies and pod "
    "security let it") {
  Place place;
  const auto spec = everything(made(place, "r"));  // were there no owner, it would be collected as garbage
  place.must(reconcilers::createJob(spec, kSettings));
  const auto again = place.send(reconcilers::createJob(spec, kSettings));
  REQUIRE_FALSE(again);
  CHECK(again.error().code == ErrorCode::AlreadyExists);
  const auto started = eventually([&]() -> Result<std::string> {
    const auto live = place.send(kube::get(kJobs, place.name, spec.name));
    if (!live) return live.error();
    const auto job = kube::decodeJob(*live);
    if (!job) return job.error();
    return place.send(reconcilers::unsuspendJob(*job));
  });
  if (!started) FAIL(started.error().message);
  // The Job controller makes its pod: in a namespace of restricted pods.
  const auto pod = eventually([&]() -> Result<kube::Pod> {
    const auto listed =
        place.send(kube::list(kPods, place.name, std::string(api::kLabelOwnerUid) + "=" + spec.owner.uid));
    if (!listed) return listed.error();
    const json items = json::parse(*listed).at("items");
    if (items.empty()) return Error{ErrorCode::NotFound, "no pod yet"};
    return kube::decodePod(items[0].dump());
  });
  if (!pod) FAIL(pod.error().message);
  const json going = place.must(reconcilers::giveGo(*pod, "token"));
  CHECK(going["metadata"]["annotations"][api::kAnnotationGo] == "token");
  CHECK(going["metadata"]["labels"][api::kLabelManagedBy] == api::kFieldManager);
  const auto live = kube::decodeJob(place.must(kube::get(kJobs, place.name, spec.name)).dump());
  REQUIRE(live);
  place.must(reconcilers::deleteJob(*live));
  CHECK(place.warnings == std::vector<std::string>{});
}

TEST_CASE("given a no-op of the target's image, when it is made as the runner, then the policies let it") {
  Place place;
  auto spec = everything(made(place, "r"));
  spec.verb = "noop";
  spec.task.clear();
  spec.waitsForGo = false;
  spec.postgres = nullptr;
  spec.repository = nullptr;
  spec.keys.clear();
  place.must(reconcilers::createJob(spec, kSettings));
}

TEST_CASE(
    "given another mover than the policy's, when a Job is made, then the refusal names the image and where it is set") {
  Place place;
  auto spec = everything(made(place, "r"));
  place.must(reconcilers::createJob(spec, kSettings));
  spec.name += "-other";
  const auto refused =
      place.send(reconcilers::createJob(spec, reconcilers::Settings{"localhost/rollback-mover:other"}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::Forbidden);
  CHECK_THAT(refused.error().message, Catch::Matchers::Contains("localhost/rollback-mover:dev") &&
                                          Catch::Matchers::Contains("rollback-settings"));
}

TEST_CASE(
    "given workloads, when they are scaled and get another image as the runner, then the policies let it, and a stale "
    "wish has no effect") {
  Place place;
  for (const auto& resource : {kDeployments, kStatefulSets, kCronJobs}) {
    INFO(resource.kind);
    const json labels = {{"app", resource.plural}};
    json pod = {
        {"metadata", {{"labels", labels}}},
        {"spec", {{"containers", {{{"name", "app"}, {"image", "app:2"}}, {{"name", "side"}, {"image", "side:1"}}}}}}};
    json spec = {{"replicas", 2}, {"selector", {{"matchLabels", labels}}}, {"template", pod}};
    if (resource.kind == "CronJob") {
      pod["spec"]["restartPolicy"] = "Never";
      spec = {{"schedule", "0 3 * * *"}, {"jobTemplate", {{"spec", {{"template", pod}}}}}};
    }
    place.must(kube::create(resource, place.name, json{{"metadata", {{"name", "app"}}}, {"spec", spec}}.dump()));
    const auto now = [&] {
      auto workload = kube::decodeWorkload(place.must(kube::get(resource, place.name, "app")).dump());
      if (!workload) FAIL(workload.error().message);
      return *workload;
    };
    const auto before = now();
    const auto scaled = eventually([&] { return place.send(reconcilers::scaleTo(now(), 0)); });
    if (!scaled) FAIL(scaled.error().message);
    CHECK(now().replicas == 0);
    const auto stale = place.send(reconcilers::scaleTo(before, 5));
    REQUIRE_FALSE(stale);
    CHECK(stale.error().code == ErrorCode::Conflict);
    const auto set = eventually([&] { return place.send(reconcilers::setImage(now(), "app", "app:1")); });
    if (!set) FAIL(set.error().message);
    CHECK(now().container("app")->image == "app:1");
    CHECK(now().container("side")->image == "side:1");
  }
}

TEST_CASE("given a rollback, when its ledger entry is written as the runner, then there is one, and no second") {
  Place place;
  const auto rollback = made(place, "r");
  place.must(reconcilers::createLedger(rollback, "2026-11-24T00:00:00Z"));
  const auto again = place.send(reconcilers::createLedger(rollback, "2026-11-24T00:00:01Z"));
  REQUIRE_FALSE(again);
  CHECK(again.error().code == ErrorCode::AlreadyExists);
  const auto entry =
      kube::decodeConfigMap(place.must(kube::get(kConfigMaps, place.name, reconcilers::ledgerName(rollback))).dump());
  REQUIRE(entry);
  CHECK(reconcilers::ledgerUid(*entry) == rollback.meta.uid);
}

TEST_CASE("given a journal, when it is written and read back, then nothing is lost, and a stale write is a Conflict") {
  Place place;
  auto rollback = made(place, "r");
  const auto stale = rollback;
  auto& status = rollback.status;
  status.phase = api::Phase::Switching;
  status.step = status.reason = "Switch";
  status.fromImages = {{"main", "shop:2"}};
  api::StepRecord step;
  step.name = "Switch";
  step.state = "Running";
  step.attempt = 1;
  step.jobName = "frb-8c3f-switch-database-1";
  step.progress = api::StepProgress{1, 2, "bytes"};
  status.steps = {step};
  step.store = "database";
  status.steps.push_back(step);
  api::RollbackPlan plan;
  plan.digest = "sha256:00";
  api::PlannedStore store;
  store.name = "database";
  store.action = "Restore";
  store.liveOid = 4294967295;
  plan.stores = {store};
  plan.steps = {"Lock", "Switch"};
  plan.frozenClass = std::string(300000, 'x');
  status.plan = plan;
  kube::setCondition(status.conditions, {"Ready", "Unknown", "Switch", "", "2026-11-24T00:00:00Z", 1});
  const auto put = [&](const api::FrameworkRollback& what) {
    return place.send(
        kube::updateStatus(api::kFrameworkRollbacks, place.name, "r", api::encodeFrameworkRollbackStatus(what)));
  };
  const auto written = put(rollback);
  if (!written) FAIL(written.error().message);
  const auto read = api::decodeFrameworkRollback(*written);
  REQUIRE(read);
  CHECK(read->specDigest == rollback.specDigest);
  rollback.meta.resourceVersion = read->meta.resourceVersion;
  CHECK(api::encodeFrameworkRollbackStatus(*read) == api::encodeFrameworkRollbackStatus(rollback));
  const auto late = put(stale);
  REQUIRE_FALSE(late);
  CHECK(late.error().code == ErrorCode::Conflict);
  CHECK(place.warnings == std::vector<std::string>{});
}

TEST_CASE(
    "given the largest plan there may be, when it is written, then the API server takes it and gives it back whole") {
  Place place;
  auto rollback = made(place, "r");
  const std::string words(4096, 'w');
  auto& status = rollback.status;
  status.phase = api::Phase::Planned;
  status.reason = "Planned";
  status.message = status.reason;
  api::RollbackPlan plan;
  plan.digest = "sha256:" + std::string(64, 'a');
  plan.backup =
      api::PlannedBackup{"taken", std::string(1024, 'p'), plan.digest, "1.0.0", "2026-11-24T00:00:00Z", 1LL << 50};
  for (int i = 0; i < 32; ++i) plan.images.emplace_back("component-" + std::to_string(i), std::string(1024, 'i'));
  for (int i = 0; i < 8; ++i) {
    api::PlannedStore store;
    store.name = "store-" + std::to_string(i);
    store.action = "Restore";
    store.reason = std::string(1024, 'r');
    store.database = store.stageName = store.prevName = store.revertedName = std::string(63, 'd');
    store.liveBytes = store.requiredBytes = store.availableBytes = store.capacityBytes = 1LL << 50;
    store.capacityFrom = std::string(512, 'c');
    store.tables.assign(64, api::PlannedTable{std::string(256, 't'), 1LL << 50, 1LL << 50, true});
    store.tablesDiffering = 100000;
    store.clients.assign(16,
                         api::PlannedClient{std::string(256, 'u'), std::string(256, 'a'), std::string(256, 'f'), 1000});
    store.afterStage.assign(16, std::string(63, 'n'));
    plan.stores.push_back(store);
  }
  plan.steps.assign(64, std::string(63, 's'));
  plan.checks.assign(64, std::string(256, 'c'));
  plan.writers.assign(32, api::PlannedWriter{std::string(320, 'w'), std::string(128, 'f'), std::string(128, 'm')});
  plan.downtime = {1LL << 40, std::string(512, 'b'), 1LL << 30};
  plan.dataLoss = words;
  plan.frozenClass = std::string(768 << 10, 'x');
  status.plan = plan;
  const std::string body = api::encodeFrameworkRollbackStatus(rollback);
  const auto written = place.send(kube::updateStatus(api::kFrameworkRollbacks, place.name, "r", body));
  if (!written) FAIL(written.error().message);
  const auto read = api::decodeFrameworkRollback(*written);
  REQUIRE(read);
  rollback.meta.resourceVersion = read->meta.resourceVersion;
  CHECK(api::encodeFrameworkRollbackStatus(*read) == api::encodeFrameworkRollbackStatus(rollback));
}

TEST_CASE("given every reason to refuse, when a rollback ends with it, then the API server takes its status") {
  Place place;
  auto rollback = made(place, "r");
  for (const auto& refusal : reconcilers::refusals()) {
    INFO(refusal.code);
    reconcilers::RollbackSnapshot snapshot;
    snapshot.ns.now = systemClock().wall();
    snapshot.rollback = rollback;
    reconcilers::StepContext context(snapshot, kSettings);
    const auto refused = reconcilers::refuse(refusal.code, "the store's own words");
    reconcilers::publishCondition(context, "Planned", "False", refused.code, refused.message);
    reconcilers::publishEnding(context, api::Phase::Failed, "NothingTouched",
                               reconcilers::refusalMessage(context, "Plan", refused));
    const auto written = place.send(kube::updateStatus(api::kFrameworkRollbacks, place.name, "r",
                                                       api::encodeFrameworkRollbackStatus(context.draft)));
    if (!written) FAIL(written.error().message);
    const auto read = api::decodeFrameworkRollback(*written);
    REQUIRE(read);
    CHECK(kube::findCondition(read->status.conditions, "Planned")->reason == refusal.code);
    rollback.meta.resourceVersion = read->meta.resourceVersion;
  }
}

}  // namespace
}  // namespace rollback
