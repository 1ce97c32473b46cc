// Process over fork and exec.
#pragma once

#include "edge/connection.h"
#include "mover/environment.h"

namespace rollback::mover {

class PosixProcess final : public Process {
 public:
  PosixProcess(const PostgresTarget& target, Credentials credentials, std::string caFile, const Clock& clock,
               const Stop& stop)
      : target_(target), credentials_(std::move(credentials)), caFile_(std::move(caFile)), clock_(clock), stop_(stop) {}
  Result<ProgramExit> run(const Command& command, const std::function<bool(std::string_view)>& sink,
                          Deadline deadline) override;

 private:
  const PostgresTarget& target_;
  Credentials credentials_;
  std::string caFile_;
  const Clock& clock_;
  const Stop& stop_;
};

}  // namespace rollback::mover
