#include <catch2/catch.hpp>

#include "mover/model.h"
#include "mover/outcome.h"
#include "mover/verbs.h"

using namespace model;
using Kind = Outcome::Kind;
using Hit = Server::Hit;

namespace {

std::string describe(const World& world) {
  std::string out;
  for (const auto& [name, base] : world.server.databases)
    if (name != "postgres") out += name + "=" + std::to_string(base.oid) + (base.open ? " open, " : " closed, ");
  return out;
}

const std::string kOriginal = "shop=100 open, shop_stage_ab12cd34_1=200 closed, ";
const std::string kSwitched = "shop=200 open, shop_prev_ab12cd34=100 closed, ";
const std::string kVoid = "shop=100 open, shop_stage_ab12cd34_1_void=200 closed, ";
const std::string kReverted = "shop=100 open, shop_reverted_ab12cd34=200 closed, ";

// A run that may be killed; nullopt if it was.
std::optional<Outcome> attempt(World& world, Outcome (*verb)(const Task&, Environment&)) {
  try {
    return verb(world.task, world.env);
  } catch (const Killed&) {
    return std::nullopt;
  }
}

int statementsOf(Outcome (*verb)(const Task&, Environment&), bool switchedBefore) {
  World world;
  if (switchedBefore) switchOver(world.task, world.env);
  const int before = world.server.statements;
  verb(world.task, world.env);
  return world.server.statements - before;
}

constexpr Hit kHits[] = {Hit::KillBefore, Hit::KillAfter, Hit::CrashBefore, Hit::CrashAfter, Hit::LoseAnswer};

void holdsAlways(const World& world, const std::string& story) {
  INFO(story << ": " << describe(world));
  REQUIRE(world.server.databases.count("shop"));
  int original = 0, staged = 0;
  for (const auto& [name, base] : world.server.databases) {
    original += base.oid == 100;
    staged += base.oid == 200;
    if (name != "shop" && name != "postgres") REQUIRE_FALSE(base.open);
  }
  REQUIRE(original == 1);
  REQUIRE(staged == 1);
}

}  // namespace

TEST_CASE("given the go token, when switched, the copy is live and open and the previous one is closed") {
  World world;
  world.go.after = 5;
  const auto outcome = switchOver(world.task, world.env);
  INFO(outcome.message);
  REQUIRE(outcome.kind == Kind::Succeeded);
  REQUIRE(describe(world) == kSwitched);
  REQUIRE(outcome.result.find("\"liveOid\":200") != std::string::npos);
  REQUIRE(outcome.result.find("\"prevOid\":100") != std::string::npos);
}

TEST_CASE("live is closed before the renames and opened only after them") {
  World world;
  switchOver(world.task, world.env);
  std::vector<std::string> changes;
  for (const auto& statement : world.server.log)
    if (statement.rfind("alter", 0) == 0 || statement == "begin" || statement == "commit" ||
        statement.rfind("set local", 0) == 0)
      changes.push_back(statement);
  REQUIRE(changes == std::vector<std::string>{"alter database \"shop\" with allow_connections false", "begin",
                                              "set local synchronous_commit to on",
                                              "alter database \"shop\" rename to \"shop_prev_ab12cd34\"",
                                              "alter database \"shop_stage_ab12cd34_1\" rename to \"shop\"", "commit",
                                              "alter database \"shop\" with allow_connections true"});
}

TEST_CASE("before the go token nothing is changed") {
  World world;
  SECTION("none comes") {
    world.go.token = "";
    world.task.deadlineSeconds = 5;
    REQUIRE(switchOver(world.task, world.env).code == "NoGo");
  }
  SECTION("it comes, said again") {
    world.go.token += " 2";
    REQUIRE(switchOver(world.task, world.env).kind == Kind::Succeeded);
    return;
  }
  SECTION("another attempt's") {
    world.go.token = "stale";
    REQUIRE(switchOver(world.task, world.env).code == "WrongToken");
  }
  SECTION("the pod is asked to end") {
    world.go.token = "";
    world.stop.asked = true;
    REQUIRE(switchOver(world.task, world.env).code == "Cancelled");
  }
  REQUIRE(describe(world) == kOriginal);
  for (const auto& statement : world.server.log) REQUIRE(statement.rfind("alter", 0) != 0);
}

TEST_CASE("asked to end after the go token, the swap is finished") {
  World world;
  world.go.after = 1;
  world.waiter.meanwhile = [&] { world.stop.asked = true; };
  world.go.after = 0;
  world.stop.asked = true;
  REQUIRE(switchOver(world.task, world.env).kind == Kind::Succeeded);
  REQUIRE(describe(world) == kSwitched);
}

TEST_CASE("every crash of switch, twice, ends switched whoever comes next") {
  const int count = statementsOf(switchOver, false);
  REQUIRE(count > 15);
  for (int first = 1; first <= count; ++first)
    for (const Hit hit : kHits)
      for (int second = 1; second <= count; ++second) {
        World world;
        const std::string story = "hit " + std::to_string(static_cast<int>(hit)) + " at " + std::to_string(first) +
                                  ", then killed at " + std::to_string(second);
        world.server.hitAt(first, hit);
        attempt(world, switchOver);
        holdsAlways(world, story);
        world.server.hitAt(second, Hit::KillAfter);
        attempt(world, switchOver);
        holdsAlways(world, story);
        world.server.hitAt(0, Hit::None);
        const auto last = attempt(world, switchOver);
        INFO(story << ": " << last->code << " " << last->message);
        REQUIRE(last->kind == Kind::Succeeded);
        REQUIRE(describe(world) == kSwitched);
      }
}

TEST_CASE("every crash of switch can be taken back, and a replay of the switch changes nothing") {
  const int count = statementsOf(switchOver, false);
  for (int at = 1; at <= count; ++at)
    for (const Hit hit : kHits) {
      World world;
      world.server.hitAt(at, hit);
      attempt(world, switchOver);
      const auto back = switchBack(world.task, world.env);
      INFO("hit " << static_cast<int>(hit) << " at " << at << ": " << back.code << " " << back.message);
      REQUIRE(back.kind == Kind::Succeeded);
      const std::string end = describe(world);
      REQUIRE((end == kReverted || end == kVoid));
      REQUIRE(switchOver(world.task, world.env).code == (end == kReverted ? "AlreadyReverted" : "StageMissing"));
      REQUIRE(describe(world) == end);
    }
}

TEST_CASE("a switch that comes to the lock after everything was taken back finds nothing to switch") {
  World world;
  SECTION("a staged copy") {
    const auto back = switchBack(world.task, world.env);
    REQUIRE(back.result == "{\"liveOid\":100,\"revertedOid\":0}");
    REQUIRE(describe(world) == kVoid);
    REQUIRE(switchBack(world.task, world.env).kind == Kind::Succeeded);
    REQUIRE(switchOver(world.task, world.env).code == "StageMissing");
    REQUIRE(describe(world) == kVoid);
    REQUIRE(discard(world.task, world.env).result == "{\"dropped\":[\"shop_stage_ab12cd34_1_void\"]}");
    REQUIRE(switchOver(world.task, world.env).code == "StageMissing");
    REQUIRE(describe(world) == "shop=100 open, ");
  }
  SECTION("a copy that an earlier rollback kept: it stays, under the name it has after a switch that was taken back") {
    world.server.databases["shop_prev_99999999"] = world.server.databases.at("shop_stage_ab12cd34_1");
    world.server.databases.erase("shop_stage_ab12cd34_1");
    world.task.names = {"shop_prev_99999999", "shop_reverted_ab12cd34", "shop_prev_ab12cd34"};
    REQUIRE(switchBack(world.task, world.env).result == "{\"liveOid\":100,\"revertedOid\":200}");
    REQUIRE(describe(world) == "shop=100 open, shop_prev_ab12cd34=200 closed, ");
    REQUIRE(switchOver(world.task, world.env).code == "AlreadyReverted");
    REQUIRE(describe(world) == "shop=100 open, shop_prev_ab12cd34=200 closed, ");
  }
}

TEST_CASE("what a switch and a switchback say they did is so, whichever answer the server owes them") {
  for (const bool back : {false, true}) {
    const int count = statementsOf(back ? switchBack : switchOver, back);
    for (int at = 1; at <= count; ++at)
      for (const Hit hit : {Hit::CrashBefore, Hit::CrashAfter, Hit::LoseAnswer}) {
        World world;
        if (back) switchOver(world.task, world.env);
        world.server.hitAt(at, hit);
        const auto outcome = back ? switchBack(world.task, world.env) : switchOver(world.task, world.env);
        INFO((back ? "switchback" : "switch")
             << " hit " << static_cast<int>(hit) << " at " << at << ": " << outcome.result);
        if (outcome.kind != Kind::Succeeded) continue;
        REQUIRE(outcome.result.find(back ? "\"revertedOid\":200" : "\"prevOid\":100") != std::string::npos);
      }
  }
}

TEST_CASE("every crash of switchback where nothing was switched, twice, ends out of a switch's reach") {
  const int count = statementsOf(switchBack, false);
  for (int first = 1; first <= count; ++first)
    for (const Hit hit : kHits)
      for (int second = 1; second <= count; ++second) {
        World world;
        world.server.hitAt(first, hit);
        attempt(world, switchBack);
        world.server.hitAt(second, Hit::KillBefore);
        attempt(world, switchBack);
        world.server.hitAt(0, Hit::None);
        const auto last = attempt(world, switchBack);
        INFO("hit " << static_cast<int>(hit) << " at " << first << ", then killed at " << second << ": " << last->code);
        REQUIRE(last->kind == Kind::Succeeded);
        REQUIRE(describe(world) == kVoid);
      }
}

TEST_CASE("every crash of switchback, twice, ends reverted") {
  const int count = statementsOf(switchBack, true);
  for (int first = 1; first <= count; ++first)
    for (const Hit hit : kHits)
      for (int second = 1; second <= count; ++second) {
        World world;
        switchOver(world.task, world.env);
        const std::string story = "hit " + std::to_string(static_cast<int>(hit)) + " at " + std::to_string(first) +
                                  ", then killed at " + std::to_string(second);
        world.server.hitAt(first, hit);
        attempt(world, switchBack);
        holdsAlways(world, story);
        world.server.hitAt(second, Hit::KillBefore);
        attempt(world, switchBack);
        holdsAlways(world, story);
        world.server.hitAt(0, Hit::None);
        const auto last = attempt(world, switchBack);
        INFO(story << ": " << last->code << " " << last->message);
        REQUIRE(last->kind == Kind::Succeeded);
        REQUIRE(last->result == "{\"liveOid\":100,\"revertedOid\":200}");
        REQUIRE(describe(world) == kReverted);
      }
}

TEST_CASE("a server that is away for a while is waited for, whatever the deadline says") {
  World world;
  world.task.deadlineSeconds = 2;
  world.server.hitAt(12, Hit::CrashBefore);
  world.waiter.meanwhile = [&, calls = 0]() mutable {
    world.server.down = world.server.generation > 0 && ++calls < 300;
  };
  const auto outcome = switchOver(world.task, world.env);
  INFO(outcome.code << " " << outcome.message);
  REQUIRE(outcome.kind == Kind::Succeeded);
  REQUIRE(describe(world) == kSwitched);
}

TEST_CASE("a server that never comes back ends the run as failed") {
  World world;
  world.server.hitAt(12, Hit::CrashBefore);
  world.waiter.meanwhile = [&] { world.server.down = world.server.generation > 0; };
  REQUIRE(switchOver(world.task, world.env).kind == Kind::Failed);
  REQUIRE(world.clock.time < kServerGone + Millis(60'000));
}

TEST_CASE("what stands in the way refuses the switch and leaves live open") {
  World world;
  std::string expected;
  SECTION("a client") {
    world.server.clients = {{7, 100, "shop", "psql", false}};
    expected = "ForeignSession";
  }
  SECTION("a client on the staged copy, even if it may be ended on live") {
    world.server.clients = {{7, 200, "shop", "psql", false}};
    world.task.otherClients = {"*"};
    expected = "ForeignSession";
  }
  SECTION("a prepared transaction") {
    world.server.prepared = {"hanging"};
    expected = "PreparedTransaction";
  }
  SECTION("a slot") {
    world.server.slots = {"consumer"};
    expected = "ReplicationSlot";
  }
  SECTION("a subscription") {
    world.server.subscriptions = {"sub"};
    expected = "Subscription";
  }
  SECTION("a client that may be ended, but cannot") {
    world.server.clients = {{7, 100, "postgres", "backup-tool", true}};
    world.task.otherClients = {"backup-*"};
    expected = "ForeignSession";
  }
  const auto outcome = switchOver(world.task, world.env);
  INFO(outcome.message);
  REQUIRE(outcome.kind == Kind::Refused);
  REQUIRE(outcome.code == expected);
  REQUIRE(describe(world) == kOriginal);
}

TEST_CASE("a session that is just ending is given a moment") {
  World world;
  world.server.clients = {{7, 100, "shop", "the application", false}};
  world.waiter.meanwhile = [&] { world.server.clients.clear(); };
  REQUIRE(switchOver(world.task, world.env).kind == Kind::Succeeded);
}

TEST_CASE("a client that slips in between the look and the closing turns the switch back") {
  World world;
  // The door closes at the statement after which the second look is taken: somebody is inside by then.
  int closings = 0;
  for (int at = 1; at < 40 && closings == 0; ++at) {
    World trial;
    switchOver(trial.task, trial.env);
    for (std::size_t i = 0; i < trial.server.log.size(); ++i)
      if (trial.server.log[i].find("allow_connections false") != std::string::npos) closings = static_cast<int>(i);
  }
  REQUIRE(closings > 0);
  class Intruder final : public Database {
   public:
    Intruder(World& world, int at) : world_(world), at_(at) {}
    Result<std::unique_ptr<Session>> open(const std::string& database, Login login, SessionOptions options,
                                          Deadline deadline) override {
      auto real = world_.database.open(database, login, options, deadline);
      if (!real) return real;
      struct Watching final : Session {
        World& world;
        int at;
        std::unique_ptr<Session> real;
        Watching(World& w, int a, std::unique_ptr<Session> r) : world(w), at(a), real(std::move(r)) {}
        Result<Rows> query(const std::string& statement, Deadline limit) override {
          if (static_cast<int>(world.server.log.size()) == at)
            world.server.clients = {{9, 100, "shop", "cron job", false}};
          return real->query(statement, limit);
        }
      };
      return std::unique_ptr<Session>(std::make_unique<Watching>(world_, at_, std::move(*real)));
    }
    std::string user(Login login) const override { return world_.database.user(login); }

   private:
    World& world_;
    int at_;
  } intruder(world, closings);
  Environment env{intruder,    world.repository, world.scratch, world.process, world.http,     world.go,
                  world.clock, world.waiter,     world.random,  world.stop,    world.progress, world.env.key};
  const auto outcome = switchOver(world.task, env);
  REQUIRE(outcome.code == "ForeignSession");
  REQUIRE(outcome.kind == Kind::Refused);
  REQUIRE(describe(world) == kOriginal);
  REQUIRE(world.server.clients.size() == 1);
}

TEST_CASE("situations that are no plan's are held") {
  World world;
  std::string expected;
  SECTION("another database under the live name") {
    world.server.databases["shop"].oid = 300;
    expected = "WrongDatabase";
  }
  SECTION("no database under the live name") {
    world.server.databases.erase("shop");
    expected = "WrongDatabase";
  }
  SECTION("the staged copy is gone") {
    world.server.databases.erase("shop_stage_ab12cd34_1");
    expected = "StageMissing";
  }
  SECTION("a staged copy made by somebody else") {
    world.server.databases["shop_stage_ab12cd34_1"].oid = 201;
    expected = "StageMissing";
  }
  SECTION("the name for the previous one is taken") {
    world.server.databases["shop_prev_ab12cd34"] = {300, false, ""};
    expected = "NameTaken";
  }
  SECTION("another server") {
    world.server.systemIdentifier = "8000";
    expected = "WrongServer";
  }
  const std::string before = describe(world);
  const auto outcome = switchOver(world.task, world.env);
  REQUIRE(outcome.kind == Kind::Refused);
  REQUIRE(outcome.code == expected);
  REQUIRE(describe(world) == before);
}

TEST_CASE("while another run holds the lock nothing is done") {
  World world;
  const int somebody = 0;
  world.server.locks[100] = &somebody;
  const auto outcome = switchOver(world.task, world.env);
  REQUIRE(outcome.code == "Locked");
  REQUIRE(describe(world) == kOriginal);
  REQUIRE(switchBack(world.task, world.env).code == "Locked");
}

TEST_CASE("switchback ends every client, and keeps what was written") {
  World world;
  switchOver(world.task, world.env);
  world.server.clients = {{7, 200, "shop", "the application", false}, {8, 200, "bob", "psql", false}};
  REQUIRE(switchBack(world.task, world.env).kind == Kind::Succeeded);
  REQUIRE(describe(world) == kReverted);
  REQUIRE(world.server.databases["shop_reverted_ab12cd34"].content == "staged");
}

TEST_CASE("switchback that cannot be done leaves live open") {
  World world;
  switchOver(world.task, world.env);
  std::string expected;
  SECTION("a superuser's session") {
    world.server.clients = {{7, 200, "postgres", "psql", true}};
    expected = "ForeignSession";
  }
  SECTION("a prepared transaction") {
    world.server.prepared = {"hanging"};
    expected = "PreparedTransaction";
  }
  SECTION("the previous one was cleaned up, and an earlier run had closed live") {
    world.server.databases.erase("shop_prev_ab12cd34");
    world.server.databases["shop"].open = false;
    expected = "PreviousMissing";
  }
  const auto outcome = switchBack(world.task, world.env);
  INFO(outcome.message);
  REQUIRE(outcome.code == expected);
  REQUIRE(outcome.kind != Kind::Succeeded);
  REQUIRE(world.server.databases["shop"].open);
  REQUIRE(world.server.databases["shop"].oid == 200);
}

TEST_CASE("without the OID of a staged copy, going back looks, opens live, and swaps nothing") {
  World world;
  world.task.expect.stageOid = 0;
  SECTION("live is the original") {}
  SECTION("and was left closed") { world.server.databases["shop"].open = false; }
  SECTION("another one is live") {
    world.server.databases["shop"] = {300, true, "put there by somebody"};
    world.server.databases["shop_prev_ab12cd34"] = {100, false, ""};
    const auto outcome = switchBack(world.task, world.env);
    REQUIRE(outcome.kind == Kind::Refused);
    REQUIRE(outcome.code == "WrongDatabase");
    REQUIRE(world.server.databases["shop"].oid == 300);
    REQUIRE(world.server.databases["shop_prev_ab12cd34"].oid == 100);
    return;
  }
  const auto outcome = switchBack(world.task, world.env);
  INFO(outcome.code << " " << outcome.message);
  REQUIRE(outcome.result == "{\"liveOid\":100,\"revertedOid\":0}");
  REQUIRE(describe(world) == kOriginal);
}

TEST_CASE("every crash of an undo ends with the kept copy live, or kept again if it is taken back") {
  // After a rollback's switch: live is its copy, what was live before is kept. The undo switches that in.
  const auto prepare = [](World& world) {
    REQUIRE(switchOver(world.task, world.env).kind == Kind::Succeeded);
    world.task.id = "cd56ef78";
    world.task.expect.liveOid = 200;
    world.task.expect.stageOid = 100;
    world.task.names = {"shop_prev_ab12cd34", "shop_reverted_cd56ef78", "shop_prev_cd56ef78"};
  };
  World clean;
  prepare(clean);
  const int before = clean.server.statements;
  REQUIRE(switchOver(clean.task, clean.env).kind == Kind::Succeeded);
  const std::string undone = "shop=100 open, shop_reverted_cd56ef78=200 closed, ";
  REQUIRE(describe(clean) == undone);
  for (int at = 1; at <= clean.server.statements - before; ++at)
    for (const Hit hit : kHits)
      for (const bool back : {false, true}) {
        World world;
        prepare(world);
        const std::string story = "hit " + std::to_string(static_cast<int>(hit)) + " at " + std::to_string(at);
        world.server.hitAt(at, hit);
        attempt(world, switchOver);
        holdsAlways(world, story);
        world.server.hitAt(0, Hit::None);
        const auto outcome = back ? switchBack(world.task, world.env) : switchOver(world.task, world.env);
        INFO(story << ": " << outcome.code << " " << outcome.message);
        REQUIRE(outcome.kind == Kind::Succeeded);
        const std::string end = describe(world);
        if (!back)
          REQUIRE(end == undone);
        else
          REQUIRE((end == "shop=200 open, shop_prev_cd56ef78=100 closed, " ||
                   end == "shop=200 open, shop_prev_ab12cd34=100 closed, "));
        if (back && end.find("cd56ef78") != std::string::npos)
          REQUIRE(switchOver(world.task, world.env).code == "AlreadyReverted");
      }
}

TEST_CASE("postgres itself is never renamed") {
  World world;
  world.task.postgres.database = "postgres";
  REQUIRE(switchOver(world.task, world.env).code == "ReservedDatabase");
  REQUIRE(switchBack(world.task, world.env).code == "ReservedDatabase");
}

TEST_CASE("discard drops this rollback's attempts up to its own, and nothing else") {
  World world;
  for (const char* name : {"shop_stage_ab12cd34_2", "shop_stage_ab12cd34_3", "shop_stage_99999999_1",
                           "shop_prev_ab12cd34", "other_stage_ab12cd34_1"})
    world.server.databases[name] = {static_cast<Oid>(300 + world.server.databases.size()), false, ""};
  world.task.names.stage = "shop_stage_ab12cd34_2";
  const auto outcome = discard(world.task, world.env);
  REQUIRE(outcome.result == "{\"dropped\":[\"shop_stage_ab12cd34_1\",\"shop_stage_ab12cd34_2\"]}");
  REQUIRE(world.server.droppedNames == std::set<std::string>{"shop_stage_ab12cd34_1", "shop_stage_ab12cd34_2"});
}

TEST_CASE("discard of a lost rollback, whose attempts nobody knows, drops all of them and no other's") {
  World world;
  for (const char* name : {"shop_stage_ab12cd34_17", "shop_stage_99999999_1", "shop_prev_ab12cd34"})
    world.server.databases[name] = {static_cast<Oid>(300 + world.server.databases.size()), false, ""};
  world.task.names.stage = "shop_stage_ab12cd34_999999";
  REQUIRE(discard(world.task, world.env).kind == Kind::Succeeded);
  REQUIRE(world.server.droppedNames == std::set<std::string>{"shop_stage_ab12cd34_1", "shop_stage_ab12cd34_17"});
}

TEST_CASE("cleanup drops by name and OID, never live, and goes on after one that cannot go") {
  World world;
  world.server.databases["shop_prev_00000001"] = {300, false, ""};
  world.server.databases["shop_reverted_00000002"] = {301, true, ""};
  world.server.clients = {{7, 301, "bob", "psql", false}};
  SECTION("as it should") {
    world.task.drop = {{"shop_prev_00000001", 300}, {"shop_reverted_00000002", 301}, {"shop_prev_gone0000", 999}};
    const auto outcome = cleanup(world.task, world.env);
    REQUIRE(outcome.result == "{\"dropped\":[\"shop_prev_00000001\",\"shop_reverted_00000002\"]}");
  }
  SECTION("another OID") {
    world.task.drop = {{"shop_prev_00000001", 301}, {"shop_reverted_00000002", 301}};
    const auto outcome = cleanup(world.task, world.env);
    REQUIRE(outcome.kind == Kind::Failed);
    REQUIRE(outcome.code == "WrongDatabase");
    REQUIRE(world.server.droppedNames == std::set<std::string>{"shop_reverted_00000002"});
  }
  SECTION("live, reserved, or not a copy of ours") {
    for (const char* name : {"shop", "postgres", "customers"}) {
      world.server.databases["customers"] = {100, true, ""};
      world.task.drop = {{name, world.server.databases[name].oid}};
      REQUIRE(cleanup(world.task, world.env).code == "LiveDatabase");
    }
    REQUIRE(world.server.droppedNames.empty());
  }
  SECTION("without an OID") {
    world.task.drop = {{"shop_prev_00000001", 0}};
    REQUIRE(cleanup(world.task, world.env).code == "BadTask");
  }
}
