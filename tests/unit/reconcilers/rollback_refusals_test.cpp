// Every reason to refuse a rollback before anything is touched: what it says, and that nothing was touched.
#include <catch2/catch.hpp>
#include <set>

#include "rollback/refusals.h"
#include "world.h"

using rollback::api::Phase;
using rollback::reconcilers::Outcome;
using rollback::reconcilers::RollbackSnapshot;
using rollback::test::World;

namespace {

namespace api = rollback::api;
namespace kube = rollback::kube;

struct Case {
  const char* code;
  const char* what;
  void (*arrange)(World&);
  const char* says = "";  // part of the message
};

kube::HorizontalPodAutoscaler autoscaler(const char* ownerKind) {
  kube::HorizontalPodAutoscaler out;
  out.targetKind = "Deployment";
  out.targetName = "shop";
  if (*ownerKind) out.meta.ownerReferences = {{"keda.sh/v1alpha1", ownerKind, "shop-scaler", "u", true, false}};
  return out;
}

// What every attempt to look inside ends with: some codes are worth another attempt, and all of them end.
void answerOfInspect(World& world, const char* code) {
  world.changeSnapshot = [code](RollbackSnapshot& in) {
    for (auto& view : in.ns.jobs) {
      if (!view.outcome || view.job.meta.name.find("-inspect-") == std::string::npos) continue;
      view.outcome->kind = Outcome::Kind::Refused;
      view.outcome->code = code;
      view.outcome->message = "connecting to database shop at db as shop: no";
    }
  };
}

// The application at work from 10.1.0.7, as long as the plan has been made or since a moment ago.
void connected(World& world, const char* sessions, const char* podSince = "2026-11-24T02:00:00Z") {
  world.inspectPatch = std::string(R"({"sessions": )") + sessions + "}";
  world.changeSnapshot = [podSince](RollbackSnapshot& in) {
    for (auto& pod : in.ns.workloads.at("Deployment/shop").pods) {
      pod.podIP = "10.1.0.7";
      pod.meta.creationTimestamp = podSince;
    }
  };
}
constexpr const char* kStranger = R"([{"user": "shop", "application": "", "address": "10.1.0.7", "count": 5},
                                      {"user": "shop", "application": "psql", "address": "10.1.0.9", "count": 1}])";

void byPath(World& world) {
  world.rollback->spec.to = {};
  world.rollback->spec.to.backupPath = "shop/elsewhere";
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"FrameworkNotFound", "no such Framework", [](World& w) { w.frameworkExists = false; }, "Framework shop"},
      {"ClassNotFound", "no such class", [](World& w) { w.classExists = false; }, "FrameworkClass demo"},
      {"NoComponents", "a Framework without workloads", [](World& w) { w.framework.spec.components.clear(); }},
      {"ComponentMissing", "a component the class requires is not there",
       [](World& w) {
         w.frameworkClass.spec.components.push_back({"worker", false, {}, {}});
       },
       "worker"},
      {"WorkloadMissing", "a workload that does not exist",
       [](World& w) { w.framework.spec.components[0].workloadName = "gone"; }, "Deployment/gone"},
      {"ContainerMissing", "a container the workload does not have",
       [](World& w) { w.framework.spec.components[0].container = "other"; }, "other"},
      {"StoreUnknown", "a store the class does not know", [](World& w) { w.framework.spec.stores[0].name = "cache"; },
       "cache"},
      {"StoreUnknown", "a store the class requires is not in the Framework",
       [](World& w) { w.framework.spec.stores.clear(); }, "database"},
      {"ToolsMissing", "tools of a workload that does not exist",
       [](World& w) { w.framework.spec.stores[0].postgres->tools.workloadName = "gone"; }},
      {"ReservedDatabase", "data in the database postgres",
       [](World& w) { w.framework.spec.stores[0].postgres->database = "postgres"; }},
      {"DatabaseShared", "a second Framework on the database",
       [](World& w) {
         w.changeSnapshot = [](RollbackSnapshot& in) { in.frameworkSharers = {{"demo/other", "database"}}; };
       },
       "demo/other"},
      {"RepositoryMissing", "no such repository", [](World& w) { w.repositoryExists = false; }},
      {"RepositoryMissing", "its claim does not exist", [](World& w) { w.repositoryClaimExists = false; }},

      {"WorkloadPaused", "a paused Deployment", [](World& w) { w.deployment.paused = true; },
       "kubectl rollout resume Deployment/shop -n demo"},
      {"ClaimsVanish", "a StatefulSet that deletes its claims at 0",
       [](World& w) { w.deployment.whenScaled = "Delete"; }, "whenScaled"},
      {"ClaimsVanish", "an ephemeral volume", [](World& w) { w.deployment.ephemeralVolumes = {"scratch"}; }, "scratch"},
      {"ClaimsVanish", "a claim that belongs to a pod",
       [](World& w) {
         w.deployment.claimNames = {"files"};
         w.changeSnapshot = [](RollbackSnapshot& in) {
           in.ns.claims["files"].meta.ownerReferences = {{"v1", "Pod", "shop-1", "u", false, false}};
         };
       },
       "shop-1"},
      {"ScaledByKeda", "an autoscaler that a ScaledObject owns",
       [](World& w) {
         w.changeSnapshot = [](RollbackSnapshot& in) { in.ns.autoscalers = {autoscaler("ScaledObject")}; };
       },
       "kubectl annotate scaledobject shop-scaler -n demo autoscaling.keda.sh/paused=true"},
      {"ScaledByKeda", "autoscalers that may not be listed, and KEDA once scaled it",
       [](World& w) {
         w.deployment.fieldOwners = {{"keda", "scale", true, {}}};
         w.changeSnapshot = [](RollbackSnapshot& in) { in.ns.autoscalersKnown = false; };
       }},
      {"SelfHealed", "Argo CD by annotation",
       [](World& w) {
         w.deployment.meta.annotations["argocd.argoproj.io/tracking-id"] = "shop-app:apps/Deployment:demo/shop";
       },
       "kubectl patch application shop-app -n argocd"},
      {"SelfHealed", "Argo CD by annotation, an Application of another namespace",
       [](World& w) {
         w.deployment.meta.annotations["argocd.argoproj.io/tracking-id"] = "team_shop-app:apps/Deployment:demo/shop";
       },
       "kubectl patch application shop-app -n team"},
      {"SelfHealed", "Argo CD by the label Helm uses too",
       [](World& w) {
         w.deployment.meta.labels["app.kubernetes.io/instance"] = "shop-app";
         w.deployment.fieldOwners = {{"argocd-controller", "", false, {"app"}}};
       },
       "shop-app"},
      {"SelfHealed", "a Flux Kustomization",
       [](World& w) { w.deployment.meta.labels["kustomize.toolkit.fluxcd.io/name"] = "apps"; },
       "kubectl annotate Deployment/shop -n demo kustomize.toolkit.fluxcd.io/reconcile=disabled"},
      {"SelfHealed", "a Flux HelmRelease",
       [](World& w) {
         w.deployment.meta.labels["helm.toolkit.fluxcd.io/name"] = "shop";
         w.deployment.meta.labels["helm.toolkit.fluxcd.io/namespace"] = "flux";
       },
       "kubectl patch helmrelease shop -n flux"},
      {"SelfHealed", "another controller",
       [](World& w) {
         w.deployment.meta.ownerReferences = {{"x/v1", "Shop", "shop", "u", true, true}};
       },
       "Shop shop"},

      {"NoKnownGoodVersion", "no version was ever healthy before",
       [](World& w) {
         w.rollback->spec.to = {};
         w.rollback->spec.to.lastKnownGood = true;
       }},
      {"SchemaUnknown", "a version nobody ever saw", [](World& w) { w.rollback->spec.to.version = "9.9.9"; }, "9.9.9"},
      {"SchemaUnknown", "a version never seen healthy, and no backup", [](World& w) { w.backupExists = false; }},
      {"SchemaUnknown", "no rows in the live schema",
       [](World& w) {
         w.inspectPatch = R"({"live": {"schema": {"state": "Unknown", "reason": "the query gave no rows"}}})";
       },
       "no rows"},
      {"SchemaUnknown", "row security",
       [](World& w) {
         w.inspectPatch =
             R"({"live": {"schema": {"state": "Unknown", "digest": "sha256:x", "reason": "row security"}}})";
       },
       "row security"},
      {"BackupNotFound", "a backup that does not exist", [](World& w) { w.rollback->spec.to.backupName = "nope"; },
       "nope"},
      {"BackupNotFound", "the data must go back, and there is no backup",
       [](World& w) {
         w.backupExists = false;
         w.rollback->spec.scope = {"Version", "Databases"};
       }},
      {"BackupNotFound", "a folder that does not exist",
       [](World& w) {
         byPath(w);
         w.inspectPatch = R"({"backup": {"found": false, "manifest": null}})";
       },
       "shop/elsewhere"},
      {"BackupNotUsable", "a backup that failed",
       [](World& w) {
         w.rollback->spec.to.backupName = "shop-1";
         w.changeBackup = [](api::FrameworkBackup& b) { b.status.phase = "Failed"; };
       },
       "Failed"},
      {"BackupNotUsable", "a backup nobody verified",
       [](World& w) {
         w.rollback->spec.to.backupName = "shop-1";
         w.changeBackup = [](api::FrameworkBackup& b) { b.status.verifiedAt.clear(); };
       }},
      {"BackupUnverified", "a script's folder",
       [](World& w) {
         w.rollback->spec.to = {};
         w.rollback->spec.to.backupName = "shop-1";
         w.changeBackup = [](api::FrameworkBackup& b) { b.status.manifestVersion = 1; };
       },
       "accept: {unverifiedBackup: true}"},
      {"BackupHoldsNoData", "a script's folder, accepted, where the data must go back",
       [](World& w) {
         w.rollback->spec.to = {};
         w.rollback->spec.to.backupName = "shop-1";
         w.rollback->spec.acceptUnverifiedBackup = true;
         w.rollback->spec.scope = {"Version", "Databases"};
         w.changeBackup = [](api::FrameworkBackup& b) { b.status.manifestVersion = 1; };
       },
       "no data is restored from it"},
      {"BackupNotNamed", "corruption, and no backup named",
       [](World& w) { w.rollback->spec.reason = "DataCorruption"; }},
      {"BackupTooOld", "the newest is older than maxDataLoss", [](World& w) { w.now += std::chrono::hours(48); },
       "shop-1"},
      {"BackupUnsettled", "taken while the version changed",
       [](World& w) {
         w.rollback->spec.to.backupName = "shop-1";
         w.changeBackup = [](api::FrameworkBackup& b) { b.status.unsettled = true; };
       }},
      {"BackupUnsettled", "its manifest says so",
       [](World& w) { w.inspectPatch = R"({"backup": {"manifest": {"unsettled": true}}})"; }},
      {"BackupIncomplete", "no completion marker",
       [](World& w) { w.inspectPatch = R"({"backup": {"complete": false}})"; }, "SHA256SUMS"},
      {"BackupDamaged", "not the size the catalogue says",
       [](World& w) { w.changeBackup = [](api::FrameworkBackup& b) { b.status.sizeBytes = 512; }; },
       "500 bytes, the catalogue says 512"},
      {"BackupChanged", "not the digest the catalogue says",
       [](World& w) { w.inspectPatch = R"({"backup": {"digest": "sha256:other"}})"; }, "sha256:other"},
      {"BackupOfAnotherFramework", "by name",
       [](World& w) {
         w.rollback->spec.to.backupName = "shop-1";
         w.changeBackup = [](api::FrameworkBackup& b) { b.spec.frameworkName = "other"; };
       },
       "other"},
      {"BackupOfAnotherFramework", "by its manifest",
       [](World& w) { w.inspectPatch = R"({"backup": {"manifest": {"framework": "other"}}})"; }, "other"},
      {"BackupOfAnotherVersion", "by name",
       [](World& w) {
         w.rollback->spec.to.version = "0.9.0";
         w.rollback->spec.to.backupName = "shop-1";
       },
       "0.9.0"},
      {"BackupOfAnotherVersion", "by its manifest",
       [](World& w) { w.inspectPatch = R"({"backup": {"manifest": {"current_version": "0.9.0"}}})"; }, "0.9.0"},
      {"KeyDiffers", "another key",
       [](World& w) {
         w.frameworkClass.spec.keys = {{"encryption-key", "main", "KEY"}};
         w.keyState = "Differ";
       },
       "encryption-key"},
      {"KeyUnknown", "a key that cannot be compared",
       [](World& w) {
         w.frameworkClass.spec.keys = {{"encryption-key", "main", "KEY"}};
         w.keyState = "Unknown";
       },
       "spec.accept.unknownKeys"},
      {"SpaceUnknown", "no capacity declared, and no claim tells it",
       [](World& w) {
         w.blockers = {{"SpaceUnknown", "the capacity is not declared"}};
       },
       "spec.accept.unknownSpace"},
      {"ForeignSession", "the application's own role at work from elsewhere", [](World& w) { connected(w, kStranger); },
       "from 10.1.0.9 too, as role shop by psql"},
      {"WrongPassword", "the login fails", [](World& w) { answerOfInspect(w, "WrongPassword"); }, "as shop"},
      {"CannotConnect", "no answer", [](World& w) { answerOfInspect(w, "CannotConnect"); }},
      {"MayNotConnect", "no right to connect", [](World& w) { answerOfInspect(w, "MayNotConnect"); }},
      {"NotAcceptingConnections", "a closed database", [](World& w) { answerOfInspect(w, "NotAcceptingConnections"); }},
      {"TooManyConnections", "a full server", [](World& w) { answerOfInspect(w, "TooManyConnections"); }},
      {"ServerStarting", "a server that starts", [](World& w) { answerOfInspect(w, "ServerStarting"); }},
      {"DatabaseMissing", "no such database", [](World& w) { answerOfInspect(w, "DatabaseMissing"); }},
      {"ToolMissing", "an image without pg_dump", [](World& w) { answerOfInspect(w, "ToolMissing"); }},
      {"JobFailed", "a Job that cannot say anything sensible",
       [](World& w) { w.inspectPatch = R"({"live": {"oid": 0}})"; }},
  };
  return all;
}

std::string planned(const World& world) {
  const auto* condition = kube::findCondition(world.rollback->status.conditions, "Planned");
  return condition && condition->status == "False" ? condition->reason : std::string();
}

// What failed · what state the application is in · what the operator does next · the one command to run.
void requireRefused(const World& world, const std::string& code) {
  const auto& status = world.rollback->status;
  REQUIRE(status.phase == Phase::Failed);
  REQUIRE(status.reason == "NothingTouched");
  REQUIRE(planned(world) == code);
  const std::string& message = status.message;
  REQUIRE(message.find("(" + code + "): ") != std::string::npos);
  const auto state = message.find(" · the application was not touched and serves as before · nothing more is done");
  REQUIRE(state != std::string::npos);
  REQUIRE(message.find(" · kubectl ", state) != std::string::npos);
  for (const char* unfilled : {"{ns}", "{name}", "{framework}", "{class}", "{repository}"})
    REQUIRE(message.find(unfilled) == std::string::npos);
  // Nothing was touched: not a mutation was sent.
  for (const auto& line : world.log) {
    INFO(line);
    if (line.rfind("mover inspect: ", 0) == 0) continue;
    REQUIRE((line.find("frameworkrollbacks") != std::string::npos || line.find("jobs") != std::string::npos));
  }
  for (const auto& [name, job] : world.jobs) REQUIRE(job.effect == "read");
  REQUIRE(world.databases.size() == 1);
  REQUIRE(world.databases.at("shop").open);
  REQUIRE(world.lockFree());
  REQUIRE_FALSE(world.ledger);
  REQUIRE(world.violations.empty());
}

}  // namespace

TEST_CASE("Given what a rollback must not be done with, when planned, then it is refused with reason and command") {
  const auto c = GENERATE(from_range(cases()));
  const std::string mode = GENERATE("Execute", "Plan");
  World world;
  world.rollback->spec.mode = mode;
  c.arrange(world);
  const bool ended = world.run(1000);
  INFO(c.code << ", " << c.what << ", mode " << mode << "\n" << world.story());
  REQUIRE(ended);
  requireRefused(world, c.code);
  REQUIRE(world.rollback->status.message.find(c.says) != std::string::npos);
}

TEST_CASE("Given sessions whose addresses tell nothing, when planned, then nobody is taken for a stranger") {
  World world;
  SECTION("all come by way of somebody else") {
    connected(world, R"([{"user": "shop", "application": "", "address": "10.1.0.9", "count": 5}])");
  }
  SECTION("they are to be ended at the switch") {
    connected(world, kStranger);
    world.framework.spec.stores[0].postgres->otherClients = "Terminate";
  }
  SECTION("the application connects through a pooler") {
    connected(world, kStranger);
    world.framework.spec.stores[0].postgres->directHost = "db-direct";
  }
  SECTION("a pod came after the look inside") { connected(world, kStranger, "2026-11-24T09:00:00Z"); }
  SECTION("inside of the server's own pod") {
    connected(world, R"([{"user": "shop", "application": "", "address": "10.1.0.7", "count": 5},
                         {"user": "shop", "application": "psql", "address": "", "count": 1},
                         {"user": "shop", "application": "pg_isready", "address": "127.0.0.1", "count": 1}])");
  }
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
}

TEST_CASE(
    "Given anything the mover found in the way of a restore, when planned, then it is refused as the mover said") {
  const auto refusal = GENERATE(from_range(rollback::reconcilers::refusals()));
  World world;
  world.blockers = {{refusal.code, "the mover's own words"}};
  const bool ended = world.run();
  INFO(refusal.code << "\n" << world.story());
  REQUIRE(ended);
  requireRefused(world, refusal.code);
}

TEST_CASE("Given the same in the way, when the data stays, then it is in nobody's way") {
  World world;
  world.databases["shop"].schema = "1.0.0";
  world.blockers = {{"PreparedTransaction", "x"}, {"ForeignSession", "y"}, {"NotEnoughSpace", "z"}};
  REQUIRE(world.run());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE(world.restores == 0);
}

TEST_CASE("Given the list of refusals, then each code is there once, and its command names what it is run on") {
  std::set<std::string> seen;
  for (const auto& refusal : rollback::reconcilers::refusals()) {
    INFO(refusal.code);
    REQUIRE(seen.insert(refusal.code).second);
    REQUIRE(std::string(refusal.command).rfind("kubectl ", 0) == 0);
  }
  for (const auto& c : cases()) {
    INFO(c.code);
    REQUIRE(seen.count(c.code) == 1);
  }
}

TEST_CASE("Given what looks like another writer and is none, when planned, then it goes on") {
  World world;
  SECTION("a plain autoscaler, which rests at 0") {
    world.changeSnapshot = [](RollbackSnapshot& in) { in.ns.autoscalers = {autoscaler("")}; };
  }
  SECTION("an autoscaler of another workload") {
    world.changeSnapshot = [](RollbackSnapshot& in) {
      in.ns.autoscalers = {autoscaler("ScaledObject")};
      in.ns.autoscalers[0].targetName = "other";
    };
  }
  SECTION("Flux, told to leave the object alone") {
    world.deployment.meta.labels["kustomize.toolkit.fluxcd.io/name"] = "apps";
    world.deployment.meta.annotations["kustomize.toolkit.fluxcd.io/reconcile"] = "disabled";
  }
  SECTION("Helm's own label") { world.deployment.meta.labels["app.kubernetes.io/instance"] = "shop"; }
  SECTION("an owner that does not control") {
    world.deployment.meta.ownerReferences = {{"x/v1", "Note", "n", "u", false, false}};
  }
  SECTION("accepted") {
    world.deployment.meta.annotations["argocd.argoproj.io/tracking-id"] = "shop:apps/Deployment:demo/shop";
    world.rollback->spec.acceptOtherWriters = true;
  }
  SECTION("a claim of its own") {
    world.deployment.claimNames = {"files"};
    world.changeSnapshot = [](RollbackSnapshot& in) { in.ns.claims["files"].capacity = "1Gi"; };
  }
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
}

TEST_CASE("Given risks that were taken knowingly, when planned, then they are taken") {
  World world;
  SECTION("space") {
    world.blockers = {{"SpaceUnknown", "capacity is not declared"}};
    world.rollback->spec.acceptUnknownSpace = true;
  }
  SECTION("keys") {
    world.frameworkClass.spec.keys = {{"encryption-key", "main", "KEY"}};
    world.keyState = "Unknown";
    world.rollback->spec.acceptUnknownKeys = true;
  }
  SECTION("an old backup, named") {
    world.now += std::chrono::hours(48);
    world.rollback->spec.to.backupName = "shop-1";
  }
  REQUIRE(world.run());
  INFO(world.story());
  REQUIRE(world.rollback->status.phase == Phase::Succeeded);
  REQUIRE(world.restores == 1);
}

TEST_CASE(
    "Given a namespace that has not opted in, when planned, then it waits with the commands, and nothing is sent") {
  World world;
  world.changeSnapshot = [](RollbackSnapshot& in) {
    in.ns.optIn.allowed = false;
    in.ns.optIn.reason = "namespace demo has not opted in: kubectl create serviceaccount rollback-runner -n demo";
  };
  REQUIRE_FALSE(world.run(30));
  INFO(world.story());
  REQUIRE(kube::findCondition(world.rollback->status.conditions, "Ready")->reason == "NotOptedIn");
  REQUIRE(world.rollback->status.phase == Phase::Pending);
  REQUIRE(world.rollback->status.message.find("kubectl create serviceaccount") != std::string::npos);
  REQUIRE(world.jobs.empty());
  for (const auto& line : world.log) REQUIRE(line.find("frameworkrollbacks/status") != std::string::npos);
}
