// One run: a shop in a namespace, an upgrade that went wrong, a FrameworkRollback, what its users do meanwhile, and
// what must be so at the end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/replica.h"

namespace rollback::sim {

struct Run {
  std::string scenario = "random";  // the name of one of scenarios(), or random: everything by the seed
  std::uint64_t seed = 1;
  Mutant mutant = Mutant::None;
  std::vector<Kill> kills;
  bool trace = false;
  std::string stopAt;  // a rule: the run is over once it was found broken
};

struct Verdict {
  std::vector<rules::Violation> violations;
  std::string phase, reason;  // of the first rollback, at its end; empty: its object is gone
  long writes = 0, deaths = 0, requests = 0;
  double seconds = 0;  // of virtual time
  std::vector<std::string> trace;
};

// What happens is the same each time, and however often the operator dies it comes to the same end.
struct ScenarioInfo {
  const char* name;
  const char* phase;   // of the first rollback, at its end; empty: its object is gone
  const char* reason;  // the same
};
const std::vector<ScenarioInfo>& scenarios();
const ScenarioInfo* scenarioOf(const std::string& name);  // null: there is none

Verdict simulate(const Run& run);

}  // namespace rollback::sim
