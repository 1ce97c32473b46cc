// Everything a verb may touch, handed in: the verbs themselves know no operating system.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "mover/database.h"
#include "mover/files.h"
#include "mover/process.h"

namespace rollback::mover {

class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void sleep(Millis time) = 0;
};

class Random {
 public:
  virtual ~Random() = default;
  virtual std::string bytes(std::size_t count) = 0;
};

// Whether somebody (SIGTERM) asked the mover to end. A verb looks at it where it may still turn back.
class Stop {
 public:
  virtual ~Stop() = default;
  virtual bool requested() const = 0;
};

// What people and the operator see of a run; rate-limited by the implementation.
class Progress {
 public:
  virtual ~Progress() = default;
  virtual void report(std::uint64_t done, std::uint64_t total, const std::string& unit, const std::string& what) = 0;
};

class HttpProbe {
 public:
  virtual ~HttpProbe() = default;
  // The status of one GET; redirects are not followed.
  virtual Result<int> get(const std::string& url, Deadline deadline) = 0;
};

// The go annotation as the pod sees it now; empty until given.
class GoToken {
 public:
  virtual ~GoToken() = default;
  virtual std::string read() = 0;
};

struct Environment {
  Database& database;
  Files& repository;
  Files& scratch;
  Process& process;
  HttpProbe& http;
  GoToken& go;
  const Clock& clock;
  Waiter& waiter;
  Random& random;
  const Stop& stop;
  Progress& progress;
  // The value of task.keys[n], nullopt if the operator could not give its source.
  std::function<std::optional<std::string>(std::size_t)> key;
};

}  // namespace rollback::mover
