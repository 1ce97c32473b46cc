// The rules that never bend (docs/safety.md), judged from a stream of writes to the API server: of a real one, by its
// audit log, or of the simulator's. What an audit log cannot tell, pods that still run and what is in a database, an
// Observer tells where there is one.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "record.h"
#include "state.h"

namespace rollback::rules {

// What the simulator sees beside the API. Asked at the moment of a write.
class Observer {
 public:
  virtual ~Observer() = default;
  // Pods of that workload ("deployments ns/name") of which a process may still run.
  virtual int processesOf(const std::string& workload) const = 0;
  // Movers with effect=write of that owner that still run, by pod name.
  virtual std::vector<std::string> writersOf(const std::string& ownerUid) const = 0;
};

struct Options {
  std::string operatorUser = "system:serviceaccount:rollback-system:rollback-operator";
  std::vector<std::string> secrets;  // texts that must be in no body (S14)
  int contested = 24;                // S15: writes to one field of one workload in one rollback
  // How long a Job's status may take to say what its pod said already: without an Observer the end of a Job is only
  // known by its status.
  Millis jobStatusLag{30000};
  Millis lookLag{3000};  // S8: from a live read to the write that is decided from it
};

struct Violation {
  std::string rule;  // "S8"
  std::string text;
};

class Checker {
 public:
  explicit Checker(Options options = {}, const Observer* observer = nullptr);

  // In the order the server executed them.
  void see(const Record& record);
  // The stream is over: what was to happen later did not.
  void finish();
  // A rule that is judged from more than the API was found broken.
  void report(const std::string& rule, const std::string& text) { violations_.push_back({rule, text}); }

  const std::vector<Violation>& violations() const { return violations_; }
  const State& state() const { return state_; }
  const Options& options() const { return options_; }
  const Observer* observer() const { return observer_; }
  bool byOperator(const Record& record) const { return record.user == options_.operatorUser; }
  bool byRunner(const Record& record) const;
  std::size_t seen() const { return seen_; }

  // An ending was written while this Job had not said that it is over.
  struct Unfinished {
    std::string job, uid, rollback;
    WallTime since;
  };
  std::vector<Unfinished>& unfinished() { return unfinished_; }

 private:
  const Options options_;
  const Observer* observer_;
  State state_;
  std::vector<Violation> violations_;
  std::vector<Unfinished> unfinished_;
  std::size_t seen_ = 0;
};

// A rule looks at the state before a write and at the write. One function a rule, in rules.cpp.
struct Rule {
  const char* id;
  void (*judge)(Checker& checker, const Record& record);
};
const std::vector<Rule>& rules();

}  // namespace rollback::rules
