#include "failpoints.h"

#include <signal.h>

#include <cstdlib>
#include <fstream>

namespace rollback::mover {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

class FailingSession final : public Session {
 public:
  FailingSession(std::unique_ptr<Session> real, Failpoints& failpoints)
      : real_(std::move(real)), failpoints_(failpoints) {}
  Result<Rows> query(const std::string& statement, Deadline deadline) override {
    if (!real_) return Error{ErrorCode::ConnectionLost, "the session is over"};
    failpoints_.before(statement);
    auto rows = real_->query(statement, deadline);
    if (failpoints_.after()) {
      real_.reset();
      return Error{ErrorCode::ConnectionLost, "the connection to the server was lost"};
    }
    return rows;
  }

 private:
  std::unique_ptr<Session> real_;
  Failpoints& failpoints_;
};

}  // namespace

Failpoints::Failpoints() : log_(variable("FRB_FAILPOINT_LOG")) {
  const std::string spec = variable("FRB_FAILPOINT");
  const std::size_t first = spec.find(':'), second = spec.rfind(':');
  if (first == std::string::npos || second == first) return;
  wanted_ = std::atoi(spec.c_str());
  position_ = spec.substr(first + 1, second - first - 1);
  action_ = spec.substr(second + 1);
}

void Failpoints::act() const { raise(action_ == "stop" ? SIGSTOP : SIGKILL); }

void Failpoints::before(const std::string& what) {
  ++passed_;
  if (!log_.empty())
    std::ofstream(log_, std::ios::app) << passed_ << " " << what.substr(0, what.find('\n')).substr(0, 100) << "\n";
  if (passed_ == wanted_ && position_ == "before") act();
}

bool Failpoints::after() {
  if (passed_ != wanted_) return false;
  if (position_ == "after") act();
  return position_ == "lost";
}

Result<std::unique_ptr<Session>> FailingDatabase::open(const std::string& database, Login login, SessionOptions options,
                                                       Deadline deadline) {
  auto session = real_.open(database, login, options, deadline);
  if (!session) return session;
  return std::unique_ptr<Session>(std::make_unique<FailingSession>(std::move(*session), failpoints_));
}

Result<ProgramExit> FailingProcess::run(const Command& command, const std::function<bool(std::string_view)>& sink,
                                        Deadline deadline) {
  failpoints_.before(command.argv[0] + " " + command.argv[1]);
  auto exit = real_.run(command, sink, deadline);
  failpoints_.after();
  return exit;
}

}  // namespace rollback::mover
