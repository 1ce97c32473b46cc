#include "child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <set>

#include "http/transport.h"

namespace rollback::kube {

namespace {

using Instant = std::chrono::steady_clock::time_point;

constexpr std::size_t kMaxOutput = 1u << 20;
constexpr int kStepMs = 5;               // between looks at a child that closed its output but has not ended
constexpr Millis kGraceAfterKill{2000};  // for a child that even SIGKILL does not end at once

Millis left(Instant until) {
  return std::max(Millis(0), std::chrono::duration_cast<Millis>(until - std::chrono::steady_clock::now()));
}

// One child: its pid, the reading end of its output, and the promise that neither is left behind.
class Child {
 public:
  ~Child() {
    if (output_ >= 0) close(output_);
    if (pid_ <= 0) return;
    kill(-pid_, SIGKILL);  // the group: a plugin may have children of its own
    int ignored = 0;
    waitUntil(std::chrono::steady_clock::now() + kGraceAfterKill, ignored);
  }

  int start(const PluginCommand& command);
  // Reads until the program closes its output. false: too much, or too late.
  bool read(std::string& out, Instant until);
  // false: it still runs. `status` as waitpid gives it, -1 if somebody else reaped it.
  bool waitUntil(Instant until, int& status);

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

// Ours, but for where authorities are found: our own TLS needs that to point nowhere, the program's must trust
// somebody.
std::vector<std::string> environmentWith(const std::vector<std::pair<std::string, std::string>>& added) {
  std::set<std::string> replaced;
  for (const auto& each : added) replaced.insert(each.first);
  std::vector<std::string> variables;
  for (const auto& [name, value] : http::trustEnvironment()) {
    if (replaced.insert(name).second && value) variables.push_back(name + "=" + *value);
  }
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    const std::string variable = *each;
    if (replaced.count(variable.substr(0, variable.find('='))) == 0) variables.push_back(variable);
  }
  for (const auto& each : added) variables.push_back(each.first + "=" + each.second);
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

// Returns 0 or an errno.
int Child::start(const PluginCommand& command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  output_ = ends[0];
  fcntl(output_, F_SETFL, O_NONBLOCK);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  // We may block or ignore signals; the program should start as from a shell.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<std::string> words = command.argv;
  std::vector<std::string> variables = environmentWith(command.environment);
  pid_t pid = -1;
  const int fault = posix_spawnp(&pid, words.front().c_str(), &files, &attributes, pointers(words).data(),
                                 pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  close(ends[1]);
  if (fault == 0) pid_ = pid;
  return fault;
}

bool Child::read(std::string& out, Instant until) {
  char piece[8192];
  while (true) {
    pollfd waiting{output_, POLLIN, 0};
    const Millis time = left(until);
    if (time.count() == 0) return false;
    if (poll(&waiting, 1, int(std::min<Millis::rep>(time.count(), 1 << 20))) < 0 && errno != EINTR) return false;
    const ssize_t got = ::read(output_, piece, sizeof piece);
    if (got == 0) return true;
    if (got < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (got > 0) out.append(piece, std::size_t(got));
    if (out.size() > kMaxOutput) return false;
  }
}

bool Child::waitUntil(Instant until, int& status) {
  while (true) {
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended == pid_ || (ended < 0 && errno != EINTR)) {
      if (ended < 0) status = -1;
      pid_ = -1;
      return true;
    }
    if (left(until).count() == 0) return false;
    poll(nullptr, 0, kStepMs);
  }
}

}  // namespace

Result<std::string> runChild(const PluginCommand& command) {
  if (command.argv.empty() || command.argv.front().empty())
    return Error{ErrorCode::BadInput, "running a program: no name"};
  const std::string running = "running " + command.argv.front() + ": ";
  const Instant until = std::chrono::steady_clock::now() + command.deadline;
  Child child;
  if (const int fault = child.start(command); fault != 0) {
    return Error{fault == ENOENT ? ErrorCode::NotFound : ErrorCode::Unavailable, running + std::strerror(fault)};
  }
  std::string output;
  int status = 0;
  if (!child.read(output, until) || !child.waitUntil(until, status)) {
    if (output.size() > kMaxOutput)
      return Error{ErrorCode::Protocol, running + "it printed more than 1 MiB and was killed"};
    return Error{ErrorCode::Timeout,
                 running + "it did not end within " + std::to_string(command.deadline.count()) + " ms and was killed"};
  }
  if (status == -1) return Error{ErrorCode::Unavailable, running + "its exit status is not known"};
  if (WIFSIGNALED(status)) {
    return Error{ErrorCode::Unavailable, running + "it was ended by signal " + std::to_string(WTERMSIG(status))};
  }
  if (WEXITSTATUS(status) != 0) {
    return Error{ErrorCode::Unavailable, running + "it failed with exit code " + std::to_string(WEXITSTATUS(status)) +
                                             "; see what it said on stderr"};
  }
  return output;
}

}  // namespace rollback::kube
