// afterStage against a scripted session: what is sent, in which order, and what each answer means. What PostgreSQL
// makes of the statements is in tests/mover/after_stage_test.py.
#include "mover/after_stage.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "mover/model.h"
#include "mover/outcome.h"

using namespace rollback;
using namespace rollback::mover;

namespace {

bool begins(const std::string& text, const std::string& with) { return text.rfind(with, 0) == 0; }

// The staged copy, as far as afterStage asks.
struct Copy {
  std::vector<std::string> log;  // every statement; "open" and "end" of sessions
  std::vector<std::string> structure{"column public.orders.id integer"};
  std::vector<std::string> owners{"table public.orders owner shop", "large object 16400 owner shop"};
  std::vector<std::string> migrations{"0001"};
  int transaction = 700, rows = 3;
  std::string failAt;  // the beginning of the statement that fails with `error`
  Error error;
  std::function<void()> atCommit = [] {};
  std::function<void()> atStatement = [] {};
};

class CopySession final : public Session {
 public:
  explicit CopySession(Copy& copy) : copy_(copy) { copy_.log.push_back("open"); }
  ~CopySession() override { copy_.log.push_back("end"); }
  Result<Rows> query(const std::string& statement, Deadline) override {
    copy_.log.push_back(statement);
    if (!copy_.failAt.empty() && begins(statement, copy_.failAt)) return copy_.error;
    if (begins(statement, "/* structure")) return once(structureAsked_, copy_.structure);
    if (begins(statement, "/* owners")) return once(ownersAsked_, copy_.owners);
    if (begins(statement, "fetch ")) return texts(copy_.migrations);
    if (begins(statement, "/* after stage"))
      return Rows{{std::to_string(copy_.transaction), std::to_string(copy_.rows)}};
    if (begins(statement, "do ") && statement.find("frb.rows") != std::string::npos) copy_.atStatement();
    if (statement == "commit") copy_.atCommit();
    return Rows{};
  }

 private:
  static Rows texts(const std::vector<std::string>& lines) {
    Rows rows;
    for (const auto& line : lines) rows.push_back({line, std::string()});
    return rows;
  }
  // The catalogue is read in several queries: one of them answers.
  static Rows once(bool& asked, const std::vector<std::string>& lines) {
    const bool first = !asked;
    asked = true;
    return first ? texts(lines) : Rows{};
  }

  Copy& copy_;
  bool structureAsked_ = false, ownersAsked_ = false;
};

class CopyDatabase final : public Database {
 public:
  explicit CopyDatabase(Copy& copy) : copy_(copy) {}
  std::vector<std::pair<std::string, Login>> opened;
  Result<std::unique_ptr<Session>> open(const std::string& database, Login login, SessionOptions, Deadline) override {
    opened.emplace_back(database, login);
    return std::unique_ptr<Session>(std::make_unique<CopySession>(copy_));
  }
  std::string user(Login) const override { return "shop"; }

 private:
  Copy& copy_;
};

struct Stage {
  Copy copy;
  CopyDatabase database{copy};
  model::World world;
  Environment env{database,    world.repository, world.scratch, world.process, world.http,     world.go,
                  world.clock, world.waiter,     world.random,  world.stop,    world.progress, {}};
  Task task;
  Stage() {
    task.schemaQuery = "select name from migrations";
    task.afterStage = {{"mark-crashed", "update executions set status = 'crashed'"}, {"outbox", "delete from outbox"}};
  }
  Result<std::vector<StatementRows>> run() {
    return runAfterStage(env, "shop_stage_ab12cd34_1", task, Deadline::after(world.clock, Millis(60'000)));
  }
  // What was sent between the first "begin" and the end of that session.
  std::vector<std::string> transaction() const {
    std::vector<std::string> out;
    for (const auto& line : copy.log) {
      if (line == "begin") out.clear();
      if (line == "begin" || !out.empty()) out.push_back(line);
      if (line == "end" && !out.empty()) break;
    }
    return out;
  }
  std::size_t count(const std::string& statement) const {
    return std::count(copy.log.begin(), copy.log.end(), statement);
  }
};

}  // namespace

TEST_CASE("all statements run in order, in one transaction of the application's role, and tell their rows") {
  Stage stage;
  const auto rows = stage.run();
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == 2);
  CHECK(rows->at(0).name == "mark-crashed");
  CHECK(rows->at(0).rows == 3);
  CHECK(rows->at(1).name == "outbox");
  const auto sent = stage.transaction();
  REQUIRE(sent.size() == 8);
  CHECK(sent[0] == "begin");
  CHECK(begins(sent[1], "/* after stage */"));
  CHECK(sent[1].find("search_path") != std::string::npos);
  CHECK(begins(sent[2], "do "));
  CHECK(sent[2].find("update executions") != std::string::npos);
  CHECK(begins(sent[3], "/* after stage */"));
  CHECK(sent[4].find("delete from outbox") != std::string::npos);
  CHECK(sent[6] == "commit");
  CHECK(sent[7] == "end");
  for (const auto& [name, login] : stage.database.opened) {
    CHECK(name == "shop_stage_ab12cd34_1");
    CHECK(login == Login::App);
  }
}

TEST_CASE("a statement reaches psql only as a literal in a literal") {
  Stage stage;
  stage.task.afterStage = {{"hostile", "\\! touch /tmp/x\n'; commit; --"}};
  REQUIRE(stage.run().ok());
  const std::string sent = stage.transaction().at(2);
  // Every quote of the statement is doubled twice, every backslash too.
  CHECK(sent.find("''''; commit; --") != std::string::npos);
  CHECK(sent.find("\\\\\\\\! touch") != std::string::npos);
}

TEST_CASE("a statement the server refuses is named with the server's words, and nothing is committed") {
  Stage stage;
  stage.copy.failAt = "do ";
  stage.task.schemaQuery.clear();
  stage.copy.error = problem(ErrorCode::Conflict, "42P01", "relation \"outbox\" does not exist");
  const auto rows = stage.run();
  REQUIRE_FALSE(rows.ok());
  CHECK(codeOf(rows.error()) == "AfterStageFailed");
  CHECK(rows.error().message.find("statement \"mark-crashed\" of afterStage") != std::string::npos);
  CHECK(rows.error().message.find("relation \"outbox\" does not exist") != std::string::npos);
  CHECK(rows.error().message.find("live was not touched") != std::string::npos);
  CHECK(stage.count("commit") == 0);
  CHECK(stage.transaction().size() == 4);  // begin, settings, the statement, the session's end
}

TEST_CASE("a commit that is refused, by a deferred constraint, fails the stage") {
  Stage stage;
  stage.copy.failAt = "commit";
  stage.copy.error = problem(ErrorCode::Conflict, "23503", "violates foreign key constraint");
  const auto rows = stage.run();
  REQUIRE_FALSE(rows.ok());
  CHECK(codeOf(rows.error()) == "AfterStageFailed");
  CHECK(rows.error().message.find("violates foreign key constraint") != std::string::npos);
}

TEST_CASE("a session that is lost is no fault of a statement, and nothing is asked again") {
  Stage stage;
  const std::string where = GENERATE("begin", "/* after stage", "do ", "commit");
  INFO(where);
  stage.task.schemaQuery.clear();
  stage.copy.failAt = where;
  stage.copy.error = GENERATE(Error{ErrorCode::ConnectionLost, "the connection to the server was lost"},
                              Error{ErrorCode::Timeout, "the server did not answer in time"},
                              problem(ErrorCode::Conflict, "57P01", "terminating connection"),
                              problem(ErrorCode::Cancelled, "Cancelled", "asked to end"));
  const auto rows = stage.run();
  REQUIRE_FALSE(rows.ok());
  CHECK(codeOf(rows.error()) != "AfterStageFailed");
  CHECK(codeOf(rows.error()) == codeOf(stage.copy.error));
  CHECK(stage.copy.log.back() == "end");
}

TEST_CASE("a statement that left the transaction fails the stage, and nothing more is run") {
  Stage stage;
  stage.copy.atStatement = [&] { ++stage.copy.transaction; };
  const auto rows = stage.run();
  REQUIRE_FALSE(rows.ok());
  CHECK(codeOf(rows.error()) == "AfterStageFailed");
  CHECK(rows.error().message.find("\"mark-crashed\" of afterStage left the transaction") != std::string::npos);
  CHECK(stage.count("commit") == 0);
  for (const auto& line : stage.copy.log) CHECK(line.find("delete from outbox") == std::string::npos);
}

TEST_CASE("what changed is compared after the commit: structure, privileges, the schema level; not large objects") {
  Stage stage;
  std::string named;
  SECTION("structure") {
    stage.copy.atCommit = [&] { stage.copy.structure.push_back(named = "column public.orders.added text"); };
  }
  SECTION("privileges") {
    stage.copy.atCommit = [&] { stage.copy.owners[0] = named = "table public.orders owner a stranger"; };
  }
  SECTION("something is gone") {
    named = stage.copy.structure[0];
    stage.copy.atCommit = [&] { stage.copy.structure.clear(); };
  }
  SECTION("the schema level") {
    named = "schema level 0002";
    stage.copy.atCommit = [&] { stage.copy.migrations.push_back("0002"); };
  }
  SECTION("the schema level is not known any more") {
    named = "schema level";
    stage.copy.atCommit = [&] { stage.copy.migrations.clear(); };
  }
  SECTION("a large object") {
    stage.copy.atCommit = [&] { stage.copy.owners.pop_back(); };
  }
  const auto rows = stage.run();
  if (named.empty()) {
    REQUIRE(rows.ok());
    return;
  }
  REQUIRE_FALSE(rows.ok());
  CHECK(codeOf(rows.error()) == "AfterStageFailed");
  CHECK(rows.error().message.find(named.substr(0, 40)) != std::string::npos);
}

TEST_CASE("the rows of as many statements as there may be fit the termination message") {
  nlohmann::json result = {{"stageOid", 4294967295u}, {"systemIdentifier", std::string(20, '7')},
                           {"liveOid", 4294967295u},  {"rows", INT64_MAX},
                           {"bytes", INT64_MAX},      {"seconds", INT64_MAX}};
  for (const char* phase : {"digest", "restore", "analyze", "compare", "afterStage"})
    result["phases"][phase] = 86400000;
  for (int i = 0; i < 16; ++i) result["afterStage"].push_back({{"name", std::string(63, 'n')}, {"rows", INT64_MAX}});
  const auto told = report(succeeded(result.dump()), std::string(64, 't'), {});
  CHECK(told.resultLines.empty());
  CHECK(told.terminationMessage.size() <= 3072);
}
