#include "edge/runtime.h"

#include <openssl/rand.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

namespace rollback::mover {
namespace {

constexpr Millis kProgressEvery{5000};

std::atomic<bool> stopRequested{false};  // written by the signal handler: the one thing a handler may do

void onSignal(int) { stopRequested = true; }

std::string variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value && *value ? value : otherwise;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out;
}

}  // namespace

Places placesFromEnvironment() {
  return {variable("FRB_TASK_DIR", "/frb/task"), variable("FRB_REPOSITORY", "/repository"),
          variable("FRB_CA_FILE", "/frb/ca/ca.crt"), variable("FRB_TERMINATION_LOG", "/dev/termination-log"),
          variable("TMPDIR", "/tmp")};
}

Credentials credentialsFromEnvironment() {
  return {variable("FRB_APP_USER", ""), variable("FRB_APP_PASSWORD", ""), variable("FRB_ADMIN_USER", ""),
          variable("FRB_ADMIN_PASSWORD", "")};
}

std::optional<std::string> keyFromEnvironment(std::size_t index) {
  const char* value = std::getenv(("FRB_KEY_" + std::to_string(index)).c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

void RealWaiter::sleep(Millis time) { std::this_thread::sleep_for(time); }

std::string RealRandom::bytes(std::size_t count) {
  std::string out(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) != 1) {
    std::cerr << "rollback-mover: the system has no randomness; cannot go on\n";
    std::abort();
  }
  return out;
}

SignalStop::SignalStop() {
  struct sigaction action {};
  action.sa_handler = onSignal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

bool SignalStop::requested() const { return stopRequested; }

void LineProgress::report(std::uint64_t done, std::uint64_t total, const std::string& unit, const std::string& what) {
  const std::string word = what.substr(0, what.find(' '));
  const MonoTime now = clock_.now();
  if (last_ && now - *last_ < kProgressEvery && word == lastWord_) return;
  last_ = now;
  lastWord_ = word;
  std::cout << "FRB-PROGRESS {\"done\":" << done << ",\"total\":" << total << ",\"unit\":\"" << escaped(unit)
            << "\",\"what\":\"" << escaped(what) << "\"}" << std::endl;
}

std::string FileGoToken::read() {
  std::ifstream file(path_);
  std::string token;
  std::getline(file, token);
  while (!token.empty() && std::isspace(static_cast<unsigned char>(token.back()))) token.pop_back();
  return token;
}

bool publish(const Report& report, const std::string& terminationLog) {
  for (const auto& line : report.resultLines) std::cout << line << "\n";
  std::cout.flush();
  std::ofstream file(terminationLog, std::ios::trunc);
  file << report.terminationMessage;
  file.flush();
  if (!file.good() || !std::cout.good()) return false;
  if (const std::string last = report.lastLine(); !last.empty()) std::cout << last << std::endl;
  return true;
}

Result<void> installSelf(const std::string& path) {
  const std::string part = path + ".part";
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  std::filesystem::copy_file("/proc/self/exe", part, std::filesystem::copy_options::overwrite_existing, error);
  if (error) return Error{ErrorCode::Unavailable, "copying rollback-mover to " + part + ": " + error.message()};
  if (chmod(part.c_str(), 0755) != 0 || std::rename(part.c_str(), path.c_str()) != 0)
    return Error{ErrorCode::Unavailable, "installing " + path + ": " + std::strerror(errno)};
  return {};
}

}  // namespace rollback::mover
