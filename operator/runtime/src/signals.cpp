#include "runtime/signals.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <utility>

#include "runtime/logging.h"

namespace rollback::runtime {

StopSignals::StopSignals(std::function<void()> onSecond) {
  if (!onSecond) onSecond = [] { ::_exit(1); };
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  wake_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this, onSecond = std::move(onSecond)] {
    for (;;) {
      pollfd ends[] = {{signals_, POLLIN, 0}, {wake_, POLLIN, 0}};
      if (poll(ends, 2, -1) < 0) continue;  // EINTR
      if (ends[1].revents != 0) return;
      signalfd_siginfo info{};
      if (read(signals_, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
      if (token_.cancelled()) {
        log(Level::Warn, "second signal, ending at once", {{"signal", info.ssi_signo}});
        onSecond();
        continue;
      }
      log(Level::Info, "signal received, stopping", {{"signal", info.ssi_signo}});
      token_.cancel();
    }
  });
}

StopSignals::~StopSignals() {
  const std::uint64_t one = 1;
  const ssize_t written = write(wake_, &one, sizeof one);  // of an empty eventfd: cannot fail
  static_cast<void>(written);
  thread_.join();
  close(signals_);
  close(wake_);
}

}  // namespace rollback::runtime
