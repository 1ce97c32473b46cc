// sim: runs the simulator.
//
//   sim --seeds N [--from S]        N random runs
//   sim --seed S [--trace]          one of them, with everything that happened
//   sim --scenario NAME [--trace] [--mutant NAME] [--kill N[after]]...
//   sim --crashes NAME              every single crash point of a scenario
//   sim --pairs NAME [--share i/n]  every pair of them
//   sim --mutants                   every scenario must be clean, then every seeded bug be caught, and by its rule
//
// Ends with 0 if no rule was broken (with --mutants: but by the seeded bugs, each of which was caught).
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "runtime/logging.h"
#include "sim/scenario.h"

namespace {

using namespace rollback::sim;

void print(const Run& run, const Verdict& verdict) {
  for (const auto& line : verdict.trace) std::printf("%s\n", line.c_str());
  std::string kills;
  for (const auto& kill : run.kills) kills += " --kill " + std::to_string(kill.write) + (kill.after ? "after" : "");
  std::printf("%s%s: %s%s%s, %ld writes, %ld requests, %ld deaths, %.0f s\n",
              run.scenario == "random" ? ("seed " + std::to_string(run.seed)).c_str() : run.scenario.c_str(),
              kills.c_str(), verdict.phase.empty() ? "object gone" : verdict.phase.c_str(),
              verdict.reason.empty() ? "" : " ", verdict.reason.c_str(), verdict.writes, verdict.requests,
              verdict.deaths, verdict.seconds);
  for (const auto& violation : verdict.violations)
    std::printf("  %s: %s\n", violation.rule.c_str(), violation.text.c_str());
}

const char* nameOf(Mutant mutant) {
  for (const auto& info : mutants())
    if (info.mutant == mutant) return info.name;
  return mutant == Mutant::Placebo ? "Placebo" : "";
}

std::string replay(const Run& run) {
  if (run.scenario == "random") return "make sim SEED=" + std::to_string(run.seed) + " TRACE=1";
  std::string out = "sim --scenario " + run.scenario + " --trace";
  if (run.mutant != Mutant::None) out += std::string(" --mutant ") + nameOf(run.mutant);
  for (const auto& kill : run.kills) out += " --kill " + std::to_string(kill.write) + (kill.after ? "after" : "");
  return out;
}

struct Tally {
  long runs = 0, bad = 0, deaths = 0;
  std::map<std::string, long> phases, rules;
  Verdict add(const Run& run) {
    Verdict verdict = simulate(run);
    ++runs;
    deaths += verdict.deaths;
    ++phases[verdict.phase.empty() ? "gone" : verdict.phase];
    if (verdict.violations.empty()) return verdict;
    for (const auto& violation : verdict.violations) ++rules[violation.rule];
    if (++bad <= 20) {
      Run quiet = run;
      print(quiet, Verdict{verdict.violations,
                           verdict.phase,
                           verdict.reason,
                           verdict.writes,
                           verdict.deaths,
                           verdict.requests,
                           verdict.seconds,
                           {}});
      std::printf("  again: %s\n", replay(run).c_str());
      std::fflush(stdout);
    }
    return verdict;
  }
  int end(const char* what) const {
    std::printf("%s: %ld runs, %ld deaths of the operator, %ld runs with violations;", what, runs, deaths, bad);
    for (const auto& [phase, count] : phases) std::printf(" %s %ld", phase.c_str(), count);
    for (const auto& [rule, count] : rules) std::printf(" [%s %ld]", rule.c_str(), count);
    std::printf("\n");
    return bad == 0 && runs > 0 ? 0 : 1;
  }
};

}  // namespace

int main(int argc, char** argv) {
  // A sixth of the time went into giving memory back to the system and asking for it again.
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 64 << 20);
  rollback::runtime::LogOptions quiet;
  quiet.level = "error";
  quiet.sink = [](std::string_view) {};
  (void)rollback::runtime::setUpLogging(quiet);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Run run;
  std::string mode;
  long seeds = 0, from = 1, share = 0, shares = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] { return std::string(i + 1 < argc ? argv[++i] : ""); };
    if (word == "--seeds")
      mode = "seeds", seeds = std::atol(value().c_str());
    else if (word == "--from")
      from = std::atol(value().c_str());
    else if (word == "--seed")
      mode = "one", run.seed = std::strtoull(value().c_str(), nullptr, 10);
    else if (word == "--scenario")
      mode = "one", run.scenario = value();
    else if (word == "--trace")
      run.trace = true;
    else if (word == "--crashes" || word == "--pairs")
      mode = word.substr(2), run.scenario = value();
    else if (word == "--mutants")
      mode = "mutants";
    else if (word == "--share") {
      const std::string text = value();
      share = std::atol(text.c_str());
      shares = std::atol(text.c_str() + text.find('/') + 1);
    } else if (word == "--kill") {
      const std::string text = value();
      run.kills.push_back({std::atol(text.c_str()), text.find("after") != std::string::npos});
    } else if (word == "--mutant") {
      const std::string wanted = value();
      if (wanted == nameOf(Mutant::Placebo)) run.mutant = Mutant::Placebo;
      for (const auto& info : mutants())
        if (wanted == info.name) run.mutant = info.mutant;
      if (run.mutant == Mutant::None) {
        std::fprintf(stderr, "sim: no seeded bug is called %s; tests/sim/mutants.cpp lists them\n", wanted.c_str());
        return 2;
      }
    } else {
      std::fprintf(stderr, "sim: %s is not known; the head of tests/sim/main.cpp says what is\n", word.c_str());
      return 2;
    }
  }
  if (run.scenario != "random" && !scenarioOf(run.scenario)) {
    std::fprintf(stderr, "sim: no scenario is called %s; there are", run.scenario.c_str());
    for (const auto& each : scenarios()) std::fprintf(stderr, " %s", each.name);
    std::fprintf(stderr, "\n");
    return 2;
  }
  Tally tally;
  if (mode == "one") {
    const Verdict verdict = simulate(run);
    print(run, verdict);
    return verdict.violations.empty() ? 0 : 1;
  }
  if (mode == "seeds") {
    for (long seed = from; seed < from + seeds; ++seed) {
      if (seed % shares != share % shares) continue;
      run.seed = static_cast<std::uint64_t>(seed);
      tally.add(run);
    }
    return tally.end("random");
  }
  if (mode == "crashes") {
    const long writes = tally.add(run).writes;
    for (long write = 1; write <= writes + 5; ++write)
      for (const bool after : {false, true}) {
        if (write % shares != share % shares) continue;
        run.kills = {{write, after}};
        tally.add(run);
      }
    return tally.end(("crashes of " + run.scenario).c_str());
  }
  if (mode == "pairs") {
    const long writes = tally.add(run).writes;
    // A process remembers nothing between two writes: to die before one is to have died after the one before it.
    for (long first = 1; first <= writes; ++first) {
      if (first % shares != share % shares) continue;
      for (long second = first + 1; second <= writes + 5; ++second) {
        run.kills = {{first, true}, {second, true}};
        tally.add(run);
      }
    }
    return tally.end(("pairs of crashes of " + run.scenario).c_str());
  }
  if (mode == "mutants") {
    // A rule that is always broken would be taken for one that catches.
    for (const auto& scenario : scenarios()) {
      std::string found;
      for (const Mutant mutant : {Mutant::None, Mutant::Placebo}) {
        Run clean;
        clean.scenario = scenario.name;
        clean.mutant = mutant;
        const Verdict verdict = tally.add(clean);
        if (!verdict.violations.empty())
          found += std::string(" ") + (mutant == Mutant::None ? "alone" : "with Placebo");
      }
      std::printf("%-20s %s\n", scenario.name, found.empty() ? "clean" : ("NOT CLEAN," + found).c_str());
    }
    const int unclean = tally.end("scenarios without a bug");
    int missed = 0;
    for (const auto& info : mutants()) {
      Run mutant;
      mutant.scenario = info.scenario;
      mutant.mutant = info.mutant;
      mutant.stopAt = info.rule;
      const Verdict verdict = simulate(mutant);
      const bool caught =
          scenarioOf(info.scenario) && std::any_of(verdict.violations.begin(), verdict.violations.end(),
                                                   [&](const auto& violation) { return violation.rule == info.rule; });
      std::string also;
      for (const auto& violation : verdict.violations)
        if (also.find(" " + violation.rule) == std::string::npos) also += " " + violation.rule;
      std::printf("%-20s %-4s %s (%s;%s)\n", info.name, info.rule, caught ? "caught" : "MISSED", info.scenario,
                  also.c_str());
      missed += !caught;
    }
    std::printf("%zu seeded bugs, %d missed\n", mutants().size(), missed);
    return missed == 0 && unclean == 0 ? 0 : 1;
  }
  std::fputs("sim: say what to run; the head of tests/sim/main.cpp lists it\n", stderr);
  return 2;
}
