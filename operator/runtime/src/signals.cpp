#include "runtime/signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "runtime/logging.h"

namespace rollback::runtime {
namespace {

sigset_t stopSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

int orThrow(int descriptor, const char* what) {
  if (descriptor < 0) throw std::system_error(errno, std::generic_category(), what);
  return descriptor;
}

void endProcess() {
  flushLogs();
  _exit(1);
}

}  // namespace

StopSignals::StopSignals(std::function<void()> onSecond) {
  if (!onSecond) onSecond = endProcess;
  const sigset_t set = stopSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = orThrow(signalfd(-1, &set, SFD_CLOEXEC), "signalfd for SIGTERM and SIGINT");
  wake_ = orThrow(eventfd(0, EFD_CLOEXEC), "eventfd of the signal thread");
  thread_ = std::thread([this, onSecond = std::move(onSecond)] {
    for (int seen = 0;;) {
      pollfd both[] = {{signals_, POLLIN, 0}, {wake_, POLLIN, 0}};
      if (poll(both, 2, -1) < 0) continue;  // EINTR
      if (both[1].revents != 0) return;
      signalfd_siginfo info{};
      if (read(signals_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
      const char* const name = info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT";
      if (++seen == 1) {
        log(Level::Info, "stopping in order; a second signal ends the process at once", {{"signal", name}});
        token_.cancel();
      } else {
        log(Level::Warn, "ending at once", {{"signal", name}});
        onSecond();
      }
    }
  });
}

// The signals stay blocked: one that comes after this waits for the end of the process instead of cutting it short.
StopSignals::~StopSignals() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_, &one, sizeof one);  // fails only when the counter is full
  thread_.join();
  close(signals_);
  close(wake_);
}

}  // namespace rollback::runtime
