// rollback-mover: install itself, do nothing, or do the one verb its task asks for (docs/mover.md).
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "edge/beast_http.h"
#include "edge/posix_files.h"
#include "edge/posix_process.h"
#include "edge/psql_database.h"
#include "edge/runtime.h"
#include "mover/verbs.h"
#ifdef FROLLBACK_FAILPOINTS
#include "failpoints.h"
#endif

namespace {

using namespace rollback::mover;

constexpr const char* kUsage =
    "rollback-mover install PATH   copy this program to PATH\n"
    "rollback-mover run            do what the task in /frb/task/task.json asks for\n"
    "rollback-mover noop           end at once\n";

std::string readTask(const std::string& folder) {
  std::ifstream file(folder + "/task.json");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A folder of this run's own below TMPDIR, gone with it.
struct Scratch {
  explicit Scratch(const std::string& below) : path(below + "/rollback-mover-" + std::to_string(getpid())) {
    std::filesystem::create_directories(path, error);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
  std::error_code error;
};

Outcome perform(const Task& task, const Places& places, const Credentials& credentials) {
  const rollback::Clock& clock = rollback::systemClock();
  SignalStop stop;
  RealWaiter waiter;
  RealRandom random;
  LineProgress progress(clock);
  Scratch scratchFolder(places.scratch);
  PosixFiles repository(places.repository), scratch(scratchFolder.path);
  PsqlDatabase database(task.postgres, credentials, places.caFile, clock, random, stop);
  PosixProcess process(task.postgres, credentials, places.caFile, clock, stop);
  BeastHttp http(clock);
  FileGoToken go(places.taskFolder + "/go");
#ifdef FROLLBACK_FAILPOINTS
  Failpoints failpoints;
  FailingDatabase failingDatabase(database, failpoints);
  FailingProcess failingProcess(process, failpoints);
  Environment env{failingDatabase, repository, scratch, failingProcess, http,     go,
                  clock,           waiter,     random,  stop,           progress, keyFromEnvironment};
#else
  Environment env{database, repository, scratch, process, http,     go,
                  clock,    waiter,     random,  stop,    progress, keyFromEnvironment};
#endif
  return runVerb(task, env);
}

int run() {
  const Places places = placesFromEnvironment();
  const Credentials credentials = credentialsFromEnvironment();
  std::vector<std::string> secrets = {credentials.appPassword, credentials.adminPassword};
  const std::string text = readTask(places.taskFolder);
  auto task = decodeTask(text);
  Outcome outcome;
  if (!task)
    outcome = refused(task.error());
  else {
    for (std::size_t i = 0; i < task->keys.size(); ++i) secrets.push_back(keyFromEnvironment(i).value_or(""));
    outcome = perform(*task, places, credentials);
  }
  if (outcome.kind != Outcome::Kind::Succeeded) std::cerr << toString(outcome.kind) << " " << outcome.code << "\n";
  if (publish(report(outcome, tokenOf(text), secrets), places.terminationLog)) return 0;
  std::cerr << "rollback-mover: the outcome could not be written to " << places.terminationLog << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "noop") return 0;
  if (command == "install" && argc == 3) {
    const auto installed = installSelf(argv[2]);
    if (!installed) std::cerr << "rollback-mover: " << installed.error().message << "\n";
    return installed ? 0 : 1;
  }
  // A Job may name its verb, so that `kubectl describe` shows it; what is done is what the task says.
  if (argc == 2 && !command.empty() && command[0] != '-' && command != "help" && command != "install") return run();
  std::cerr << kUsage;
  return 2;
}
