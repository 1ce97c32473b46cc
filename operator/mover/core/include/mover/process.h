// Programs of the user's own image, started by argv: pg_dump, pg_restore. Never a shell.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "mover/database.h"

namespace rollback::mover {

struct Command {
  std::vector<std::string> argv;  // argv[0]: a tool's name ("pg_dump"), found on PATH or below /usr/lib/postgresql
  std::string
      database{};  // not empty: PGHOST, PGUSER, PGPASSWORD, … of the application's role are set, and this PGDATABASE
  Login login = Login::App;
};

struct ProgramExit {
  int status = 0;      // exit status; 128 + n if signal n ended it
  std::string errors;  // its standard error; the middle is left out if it is long
};

class Process {
 public:
  virtual ~Process() = default;
  // Runs it to its end. `sink` gets its standard output piece by piece and returns false to stop it. The program and
  // all it started are killed when the deadline passes (Timeout), when a stop is requested (Cancelled) and when the
  // mover itself dies. NotFound: no such program.
  virtual Result<ProgramExit> run(const Command& command, const std::function<bool(std::string_view)>& sink,
                                  Deadline deadline) = 0;
};

}  // namespace rollback::mover
