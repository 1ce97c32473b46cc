// Numbered places where a run can be made to end: before and after every statement and program of a verb. Only in the
// test build.
//
//   FRB_FAILPOINT=<number>:<before|after|lost>:<kill|stop>   kill: SIGKILL to itself. stop: SIGSTOP to itself, so that
//   the test can do
//       something to the server before it lets the run go on. lost: the statement is done, and the session ends without
//       its answer
//   FRB_FAILPOINT_LOG=<file>   a line "<number> <what>" for every place passed
#pragma once

#include <memory>
#include <string>

#include "mover/environment.h"

namespace rollback::mover {

class Failpoints {
 public:
  Failpoints();
  void before(const std::string& what);
  bool after();  // true: the answer of this place is lost

 private:
  void act() const;
  int wanted_ = 0, passed_ = 0;
  std::string position_, action_, log_;
};

class FailingDatabase final : public Database {
 public:
  FailingDatabase(Database& real, Failpoints& failpoints) : real_(real), failpoints_(failpoints) {}
  Result<std::unique_ptr<Session>> open(const std::string& database, Login login, SessionOptions options,
                                        Deadline deadline) override;
  std::string user(Login login) const override { return real_.user(login); }

 private:
  Database& real_;
  Failpoints& failpoints_;
};

class FailingProcess final : public Process {
 public:
  FailingProcess(Process& real, Failpoints& failpoints) : real_(real), failpoints_(failpoints) {}
  Result<ProgramExit> run(const Command& command, const std::function<bool(std::string_view)>& sink,
                          Deadline deadline) override;

 private:
  Process& real_;
  Failpoints& failpoints_;
};

}  // namespace rollback::mover
