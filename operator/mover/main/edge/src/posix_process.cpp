#include "edge/posix_process.h"

#include "edge/child.h"
#include "mover/outcome.h"

namespace rollback::mover {
namespace {

constexpr Millis kTick{100};
constexpr std::size_t kHead = 8192, kTail = 4096;  // of standard error: what happened first, and how it ended

}  // namespace

Result<ProgramExit> PosixProcess::run(const Command& command, const std::function<bool(std::string_view)>& sink,
                                      Deadline deadline) {
  Child child;
  std::map<std::string, std::string> environment;
  if (!command.database.empty())
    environment = libpqEnvironment(target_, credentials_, caFile_, command.database, command.login);
  if (auto ok = child.start(command.argv, environment); !ok) return ok.error();
  child.closeInput();
  ProgramExit exit;
  std::string output;
  for (;;) {
    const auto event = child.wait(kTick, output, exit.errors);
    if (exit.errors.size() > kHead + 2 * kTail) exit.errors.erase(kHead, exit.errors.size() - kHead - kTail);
    if (!output.empty() && !sink(output))
      return problem(ErrorCode::Cancelled, "Cancelled", command.argv[0] + " was stopped");
    output.clear();
    if (event == Child::Event::Ended) break;
    if (deadline.expired(clock_))
      return problem(ErrorCode::Timeout, "DeadlineExceeded", command.argv[0] + " did not end within the deadline");
    if (stop_.requested())
      return problem(ErrorCode::Cancelled, "Cancelled", "asked to end while " + command.argv[0] + " ran");
  }
  exit.status = child.reap();
  return exit;
}

}  // namespace rollback::mover
