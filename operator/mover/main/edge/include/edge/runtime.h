// The rest of the real world: sleeping, randomness, signals, the task's files, progress lines, reporting.
#pragma once

#include <optional>
#include <string>

#include "edge/connection.h"
#include "mover/environment.h"
#include "mover/outcome.h"

namespace rollback::mover {

// Where the pod's volumes are mounted (docs/mover.md, Channels). Tests point elsewhere by FRB_TASK_DIR, FRB_REPOSITORY,
// FRB_CA_FILE and FRB_TERMINATION_LOG.
struct Places {
  std::string taskFolder, repository, caFile, terminationLog, scratch;
};
Places placesFromEnvironment();
Credentials credentialsFromEnvironment();
std::optional<std::string> keyFromEnvironment(std::size_t index);

class RealWaiter final : public Waiter {
 public:
  void sleep(Millis time) override;
};

class RealRandom final : public Random {
 public:
  std::string bytes(std::size_t count) override;
};

// SIGTERM and SIGINT. One object a program.
class SignalStop final : public Stop {
 public:
  SignalStop();
  bool requested() const override;
};

// FRB-PROGRESS lines, at most one every five seconds, and at once when `what` changes its first word.
class LineProgress final : public Progress {
 public:
  explicit LineProgress(const Clock& clock) : clock_(clock) {}
  void report(std::uint64_t done, std::uint64_t total, const std::string& unit, const std::string& what) override;

 private:
  const Clock& clock_;
  std::optional<MonoTime> last_;
  std::string lastWord_;
};

class FileGoToken final : public GoToken {
 public:
  explicit FileGoToken(std::string path) : path_(std::move(path)) {}
  std::string read() override;

 private:
  std::string path_;
};

// Says it. Nothing is done after this but ending. False: the outcome could not be written, which is a crash.
bool publish(const Report& report, const std::string& terminationLog);

// Copies the running program to `path`, mode 0755, complete or not at all.
Result<void> installSelf(const std::string& path);

}  // namespace rollback::mover
