// The checker judged by streams of writes of which it is known what is wrong with them. The simulator's seeded bugs
// (tests/sim/mutants.h) show that each rule is heard at all; here is what a rule must not be talked out of.
#include "checker.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "api/resources.h"

using namespace rollback;
using namespace rollback::rules;

namespace {

constexpr const char* kOperator = "system:serviceaccount:rollback-system:rollback-operator";

// Writes to the rollbacks and the lock of one framework, demo/shop, as they would be in an audit log.
class Log {
 public:
  Log() { lock(""); }

  // A user asks for it; `undoes` names the rollback it takes back.
  void create(const std::string& name, const std::string& undoes = "", const std::string& framework = "shop",
              const std::string& ns = "demo") {
    json to = {{"version", "1.0.0"}};
    if (!undoes.empty()) to = {{"undo", undoes}};
    rollbacks_[name] = {
        {"metadata",
         {{"name", name}, {"namespace", ns}, {"uid", name + "-uid"}, {"finalizers", {api::kRollbackFinalizer}}}},
        {"spec", {{"frameworkRef", {{"name", framework}}}, {"to", to}}},
        {"status", json::object()}};
    write("alice", "create", "frameworkrollbacks", "", rollbacks_[name]);
  }
  void status(const std::string& name, const std::string& phase, const std::string& reason = "") {
    rollbacks_[name]["status"] = {{"phase", phase}, {"reason", reason}};
    write(kOperator, "update", "frameworkrollbacks", "status", rollbacks_[name]);
  }
  // A user deleted it.
  void remove(const std::string& name) {
    rollbacks_[name]["metadata"]["deletionTimestamp"] = "2026-11-24T03:00:00Z";
    write("alice", "delete", "frameworkrollbacks", "", rollbacks_[name]);
  }
  // The operator takes its finalizer off.
  void letGo(const std::string& name) {
    rollbacks_[name]["metadata"]["finalizers"] = json::array();
    write(kOperator, "patch", "frameworkrollbacks", "", rollbacks_[name]);
  }
  void annotate(const std::string& value) {
    framework_["metadata"]["annotations"] = {{api::kAnnotationUnlock, value}};
    write("alice", "patch", "frameworks", "", framework_);
  }
  // The framework's lock goes to that rollback; empty: to nobody.
  void lock(const std::string& name) {
    framework_["status"] = json::object();
    if (!name.empty()) framework_["status"]["activeRollback"] = {{"name", name}, {"uid", name + "-uid"}};
    write(kOperator, "update", "frameworks", "status", framework_);
  }
  // One that was locked, went as far as stopping the application, and ended with the lock kept.
  void ends(const std::string& name, const std::string& reason) {
    lock(name);
    status(name, "Preparing");
    status(name, "Switching");
    if (reason == "RevertFailed") status(name, "Reverting");
    status(name, "Failed", reason);
  }

  // The rules that were found broken, each once, in the order of their names.
  std::vector<std::string> broken() {
    checker_.finish();
    std::vector<std::string> out;
    for (const auto& violation : checker_.violations()) {
      UNSCOPED_INFO(violation.rule << ": " << violation.text);
      out.push_back(violation.rule);
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

 private:
  void write(const std::string& user, const char* verb, const char* resource, const char* subresource, json& object) {
    object["metadata"]["resourceVersion"] = std::to_string(++revision_);
    Record record;
    record.at = WallTime(Millis(1'795'500'000'000 + 1000 * revision_));
    record.user = user;
    record.verb = verb;
    record.group = api::kGroup;
    record.resource = resource;
    record.subresource = subresource;
    record.namespace_ = object["metadata"]["namespace"];
    record.name = object["metadata"]["name"];
    record.request = record.response = &object;
    checker_.see(record);
  }

  Checker checker_;
  long revision_ = 0;
  std::map<std::string, json> rollbacks_;
  json framework_ = {{"metadata", {{"name", "shop"}, {"namespace", "demo"}, {"uid", "shop-uid"}}},
                     {"spec", json::object()}};
};

using Rules = std::vector<std::string>;

}  // namespace

TEST_CASE("Given a rollback that ended with the lock kept, when the lock is released unasked, then S11 is broken") {
  const std::string reason = GENERATE("Held", "RevertFailed");
  CAPTURE(reason);
  Log log;
  log.create("back");
  log.ends("back", reason);
  SECTION("and there is no other rollback") {}
  SECTION("and an undo of it is there, which does not get the lock") { log.create("undo", "back"); }
  SECTION("and something else was undone before") {
    log.create("undo", "long-ago");
    log.status("undo", "Failed", "NothingTouched");
  }
  SECTION("and another framework has an undo of one of the same name") {
    log.create("theirs", "back", "shop", "elsewhere");
    log.create("beside", "back", "till");
  }
  SECTION("and what was asked for is to release another's") { log.annotate("long-ago-uid"); }
  SECTION("and another rollback was deleted") {
    log.create("other");
    log.remove("other");
    log.letGo("other");
  }
  log.lock("");
  CHECK(log.broken() == Rules{"S11"});
}

TEST_CASE("Given a rollback that ended with the lock kept, when another takes the lock, then S6 and S11 are broken") {
  Log log;
  log.create("back");
  log.ends("back", "Held");
  SECTION("which goes back once more") { log.create("next"); }
  SECTION("which undoes something else, though an undo of it is there") {
    log.create("undo", "back");
    log.create("next", "long-ago");
  }
  SECTION("which undoes one of the same name, of another framework") { log.create("next", "back", "till"); }
  log.lock("next");
  CHECK(log.broken() == Rules{"S11", "S6"});
}

TEST_CASE("Given a rollback that ended with the lock kept, when a user lets the lock go, then no rule is broken") {
  const std::string reason = GENERATE("Held", "RevertFailed");
  CAPTURE(reason);
  Log log;
  log.create("back");
  log.ends("back", reason);
  SECTION("by its undo, which takes the lock over and releases it at its end") {
    log.create("undo", "back");
    log.lock("undo");
    for (const char* phase : {"Preparing", "Switching", "Verifying"}) log.status("undo", phase);
    log.lock("");
    log.status("undo", "Succeeded", "Succeeded");
  }
  SECTION("by the annotation that names it") {
    log.annotate("back-uid");
    log.lock("");
  }
  SECTION("by deleting it: its framework takes it back") {
    log.remove("back");
    log.letGo("back");
    log.lock("");
  }
  CHECK(log.broken() == Rules{});
}

TEST_CASE("Given a rollback that holds the lock, when it lets go of its object, then S16 is broken") {
  Log log;
  log.create("back");
  SECTION("as it was deleted at work") {
    log.lock("back");
    log.status("back", "Preparing");
    log.remove("back");
  }
  SECTION("as it ended with the lock kept, and nobody deleted it") { log.ends("back", "Held"); }
  log.letGo("back");
  CHECK(log.broken() == Rules{"S16"});
}

TEST_CASE("Given an undo that took the lock over and ended with it kept, when that is released, then S11 is broken") {
  Log log;
  log.create("back");
  log.ends("back", "Held");
  log.create("undo", "back");
  log.ends("undo", "RevertFailed");
  log.lock("");
  CHECK(log.broken() == Rules{"S11"});
}

// simulator, seed 3062828: the rollback was lost, its Jobs were collected, and its framework returned it to service.
TEST_CASE("Given a backup was verified, when a late write makes its Job anew, then S13 is kept, and broken without") {
  const bool verified = GENERATE(true, false);
  CAPTURE(verified);
  Checker checker;
  long revision = 0;
  const auto see = [&](bool runner, const char* verb, const char* resource, const char* subresource, json object) {
    object["metadata"]["namespace"] = "demo";
    object["metadata"]["resourceVersion"] = std::to_string(++revision);
    Record record;
    record.at = WallTime(Millis(1'795'500'000'000 + 1000 * revision));
    record.user = kOperator;
    if (runner) record.impersonated = "system:serviceaccount:demo:rollback-runner";
    record.verb = verb;
    record.group = runner ? "" : api::kGroup;
    record.resource = resource;
    record.subresource = subresource;
    record.namespace_ = "demo";
    record.name = object["metadata"]["name"];
    record.request = record.response = &object;
    checker.see(record);
  };
  const auto job = [](const char* uid, bool suspended) {
    return json{{"metadata",
                 {{"name", "verify-1"},
                  {"uid", uid},
                  {"labels", {{api::kLabelOwnerUid, "back-uid"}, {api::kLabelStep, "verify"}}}}},
                {"spec", {{"suspend", suspended}}}};
  };
  see(false, "create", "frameworkrollbacks", "",
      {{"metadata", {{"name", "back"}, {"uid", "back-uid"}}},
       {"spec", {{"frameworkRef", {{"name", "shop"}}}, {"to", {{"version", "1.0.0"}}}}},
       {"status",
        {{"plan", {{"stores", json::array({{{"name", "database"}, {"action", "Restore"}}})}}},
         {"steps", json::array({{{"name", "VerifyBackup"}, {"state", "Succeeded"}}})}}}});
  see(false, "update", "frameworks", "status",
      {{"metadata", {{"name", "shop"}, {"uid", "shop-uid"}}},
       {"spec", json::object()},
       {"status",
        {{"activeRollback",
          {{"name", "back"},
           {"uid", "back-uid"},
           {"resume",
            {{"components", json::array({{{"workloadKind", "Deployment"}, {"workloadName", "shop"}}})}}}}}}}});
  see(true, "create", "jobs", "", job("first", true));
  if (verified) see(true, "patch", "jobs", "", job("first", false));
  see(true, "delete", "jobs", "", job("first", !verified));
  see(true, "create", "jobs", "", job("late", true));
  see(true, "patch", "deployments", "scale", {{"metadata", {{"name", "shop"}}}, {"spec", {{"replicas", 2}}}});
  const auto& found = checker.violations();
  CHECK(std::none_of(found.begin(), found.end(), [](const auto& each) { return each.rule == "S13"; }) == verified);
}
