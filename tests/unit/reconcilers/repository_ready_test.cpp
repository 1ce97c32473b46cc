// BackupRepository: one condition, from the claim and the opt-in.
#include <catch2/catch.hpp>

#include "common/opt_in.h"
#include "repository/repository.h"

using namespace rollback;

namespace {

reconcilers::RepositorySnapshot snapshotOf(bool optedIn, bool claim) {
  reconcilers::RepositorySnapshot in;
  parseTime("2026-11-24T03:00:00Z", in.ns.now);
  in.ns.optIn = {optedIn, optedIn ? "" : reconcilers::notOptedIn("demo")};
  in.ns.repositoryClaimExists = claim;
  in.object.meta.name = "backups";
  in.object.meta.namespace_ = "demo";
  in.object.meta.generation = 3;
  in.object.spec.claimName = "backups-claim";
  in.object.status.scan.emplace();  // a scan that has just been: nothing but readiness is decided
  in.object.status.scan->startedAt = "2026-11-24T03:00:00Z";
  in.object.status.scan->generation = 3;
  return in;
}

}  // namespace

TEST_CASE("Given a repository, when looked at, then Ready says whether its claim can be used, once") {
  struct Case {
    bool optedIn, claim;
    const char* status;
    const char* reason;
    const char* says;
  };
  const auto c =
      GENERATE(Case{true, true, "True", "ClaimFound", "backups-claim"},
               Case{true, false, "False", "ClaimMissing", "kubectl get persistentvolumeclaims -n demo"},
               Case{false, true, "False", "NotOptedIn", "kubectl create rolebinding rollback-runner -n demo"},
               Case{false, false, "False", "NotOptedIn", "kubectl create serviceaccount rollback-runner -n demo"});
  auto in = snapshotOf(c.optedIn, c.claim);
  const auto decision = reconcilers::reconcileRepository(in, {});
  REQUIRE(decision.requests.size() == 1);
  REQUIRE(decision.requests[0].describe() == "UPDATE backuprepositories/status demo/backups");
  REQUIRE(decision.requests[0].body == reconcilers::reconcileRepository(in, {}).requests[0].body);
  REQUIRE(decision.requeueAfter);
  const auto written = api::decodeBackupRepository(decision.requests[0].body);
  REQUIRE(written);
  const auto* ready = kube::findCondition(written->status.conditions, "Ready");
  REQUIRE(ready);
  REQUIRE(ready->status == c.status);
  REQUIRE(ready->reason == c.reason);
  REQUIRE(ready->message.find(c.says) != std::string::npos);
  REQUIRE(written->status.observedGeneration == 3);

  in.object.status = written->status;
  in.ns.now += std::chrono::minutes(5);
  REQUIRE(reconcilers::reconcileRepository(in, {}).requests.empty());
}

TEST_CASE("Given a repository that is being deleted, when looked at, then nothing is written") {
  auto in = snapshotOf(true, true);
  in.object.meta.deletionTimestamp = "2026-11-24T03:00:00Z";
  REQUIRE(reconcilers::reconcileRepository(in, {}).requests.empty());
}
