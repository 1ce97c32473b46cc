// A child process with pipes for its three standard streams. It has a process group of its own, all of which is killed
// at the end, and it is killed by the kernel when the mover dies: a restore must not go on for a mover that is gone.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace rollback::mover {

// The path of a tool of PostgreSQL: in PATH, else of the newest version below /usr/lib/postgresql. Empty: there is
// none.
std::string findTool(const std::string& name);

class Child {
 public:
  Child() = default;
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // `environment` is added to the mover's own, freed of everything of libpq (PG*) and of the mover's (FRB_*). NotFound:
  // no such program.
  Result<void> start(const std::vector<std::string>& argv, const std::map<std::string, std::string>& environment);

  enum class Event { Output, Errors, Ended, Nothing };  // Nothing: `time` passed. Ended: both streams are closed.
  // Appends what came to `output` or `errors`.
  Event wait(Millis time, std::string& output, std::string& errors);
  // False: the child reads no more.
  bool write(const std::string& input, Deadline deadline, const Clock& clock);
  void closeInput();
  // After both streams ended: the exit status, 128 + n for a signal.
  int reap();

 private:
  void killGroup();
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
};

}  // namespace rollback::mover
