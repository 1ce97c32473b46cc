#include "edge/child.h"

#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "mover/outcome.h"

namespace rollback::mover {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;

bool executable(const std::string& path) { return access(path.c_str(), X_OK) == 0; }

void closeIf(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

std::vector<std::string> environmentWith(const std::map<std::string, std::string>& added) {
  std::vector<std::string> out;
  for (char** each = environ; each && *each; ++each) {
    const std::string variable = *each;
    const std::string name = variable.substr(0, variable.find('='));
    if (name.compare(0, 2, "PG") == 0 || name.compare(0, 4, "FRB_") == 0 || name == "LANGUAGE" ||
        name.compare(0, 3, "LC_") == 0 || added.count(name))
      continue;
    out.push_back(variable);
  }
  for (const auto& [name, value] : added) out.push_back(name + "=" + value);
  out.push_back("LC_ALL=C");
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (auto& string : strings) out.push_back(string.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

std::string findTool(const std::string& name) {
  if (name.find('/') != std::string::npos) return executable(name) ? name : std::string();
  const char* path = std::getenv("PATH");
  const std::string folders = path ? path : "/usr/local/bin:/usr/bin:/bin";
  for (std::size_t at = 0; at <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', at), folders.size());
    const std::string candidate = folders.substr(at, end - at) + "/" + name;
    if (end > at && executable(candidate)) return candidate;
    at = end + 1;
  }
  glob_t found{};
  std::string newest;
  int newestVersion = -1;
  if (glob(("/usr/lib/postgresql/*/bin/" + name).c_str(), 0, nullptr, &found) == 0)
    for (std::size_t i = 0; i < found.gl_pathc; ++i) {
      const int version = std::atoi(found.gl_pathv[i] + std::strlen("/usr/lib/postgresql/"));
      if (version > newestVersion && executable(found.gl_pathv[i])) {
        newestVersion = version;
        newest = found.gl_pathv[i];
      }
    }
  globfree(&found);
  return newest;
}

Child::~Child() {
  closeIf(in_);
  closeIf(out_);
  closeIf(err_);
  if (pid_ > 0) {
    killGroup();
    reap();
  }
}

void Child::killGroup() { kill(-pid_, SIGKILL); }

Result<void> Child::start(const std::vector<std::string>& argv, const std::map<std::string, std::string>& environment) {
  const std::string program = findTool(argv.at(0));
  if (program.empty())
    return problem(ErrorCode::NotFound, "ToolMissing",
                   argv[0] +
                       " is not in this image, neither on PATH nor below /usr/lib/postgresql; name the database's own "
                       "image in the store's tools");
  std::vector<std::string> arguments = argv;
  std::vector<std::string> variables = environmentWith(environment);
  auto argvPointers = pointers(arguments);
  auto envPointers = pointers(variables);
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    for (int* pair : {in, out, err}) closeIf(pair[0]), closeIf(pair[1]);
    return Error{ErrorCode::Unavailable, std::string("no pipe for ") + argv[0] + ": " + std::strerror(errno)};
  }
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    // Only async-signal-safe calls from here.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    execve(program.c_str(), argvPointers.data(), envPointers.data());
    _exit(127);
  }
  closeIf(in[0]);
  closeIf(out[1]);
  closeIf(err[1]);
  in_ = in[1];
  out_ = out[0];
  err_ = err[0];
  if (pid_ < 0) return Error{ErrorCode::Unavailable, "no process for " + argv[0] + ": " + std::strerror(errno)};
  setpgid(pid_, pid_);  // whichever of the two comes first
  return {};
}

Child::Event Child::wait(Millis time, std::string& output, std::string& errors) {
  if (out_ < 0 && err_ < 0) return Event::Ended;
  pollfd streams[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  if (poll(streams, 2, static_cast<int>(time.count())) <= 0) return Event::Nothing;
  char buffer[kBuffer];
  // Errors first: when both have something, the sentinel of an answer must not be seen before what was said about it.
  for (int i : {1, 0}) {
    if (!(streams[i].revents & (POLLIN | POLLHUP | POLLERR))) continue;
    int& fd = i == 0 ? out_ : err_;
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return Event::Nothing;
    if (count <= 0) {
      closeIf(fd);
      if (out_ < 0 && err_ < 0) return Event::Ended;
      continue;
    }
    (i == 0 ? output : errors).append(buffer, static_cast<std::size_t>(count));
    return i == 0 ? Event::Output : Event::Errors;
  }
  return Event::Nothing;
}

bool Child::write(const std::string& input, Deadline deadline, const Clock& clock) {
  fcntl(in_, F_SETFL, O_NONBLOCK);
  for (std::size_t at = 0; at < input.size();) {
    const ssize_t count = ::write(in_, input.data() + at, input.size() - at);
    if (count > 0) {
      at += static_cast<std::size_t>(count);
      continue;
    }
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN) return false;
    if (deadline.expired(clock)) return false;
    pollfd stream{in_, POLLOUT, 0};
    poll(&stream, 1, 100);
  }
  return true;
}

void Child::closeInput() { closeIf(in_); }

int Child::reap() {
  if (pid_ <= 0) return 0;
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  kill(-pid_, SIGKILL);  // whatever it left behind in its group
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace rollback::mover
