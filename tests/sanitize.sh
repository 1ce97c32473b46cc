#!/usr/bin/env bash
# Unit tests, simulator and fuzzers with sanitizers: `asan` (clang 14, address and undefined behaviour; -Wthread-safety is an error), `tsan`
# (g++, data races). Both when none is named. API=1 runs the programs of the api tier with asan too. ALL=1 builds everything that clang must
# be able to build, the mover too. Fuzzers run for SECONDS_EACH (10), see tests/fuzz/run.sh; the simulator SEEDS runs (40).
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
bad=0

# unit PRESET CTEST-ARGUMENTS...: a time limit is tried once more, a failure never.
unit() {
  local preset=$1; shift
  ctest --test-dir "build/$preset" -L '^unit$' --output-on-failure --repeat after-timeout:2 -j "$(nproc)" "$@" 2>&1 |
    grep -vE '^ *(Start|[0-9]+/[0-9]+ Test.*Passed)|^$|^Label Time|^unit +='
  [ "${PIPESTATUS[0]}" = 0 ] || bad=1
}

# simulate PRESET: a share of one scenario's crash points, and random runs, on all cores.
simulate() {
  local sim=build/$1/bin/sim seeds=${SEEDS:-40} n i pids=()
  "$sim" --crashes revert --share 0/20 || bad=1
  n=$(nproc)
  for i in $(seq "$n"); do "$sim" --seeds "$seeds" --share "$((i - 1))/$n" & pids+=($!); done
  for i in "${pids[@]}"; do wait "$i" || bad=1; done
}

for preset in ${@:-asan tsan}; do
  printf '\n== %s\n' "$preset"
  began=$SECONDS
  case $preset in
    asan)
      tests/build.sh asan ${ALL:+all} unit_tests fuzzers sim ${API:+rollback-operator api_kube_client api_operator_requests} || { bad=1; continue; }
      export UBSAN_OPTIONS=print_stacktrace=1
      export ASAN_OPTIONS=detect_stack_use_after_return=1
      unit asan
      simulate asan
      # What OpenSSL keeps for each thread is told apart by whole stacks, which take time: only where the operator itself ends.
      [ -z "${API:-}" ] || ASAN_OPTIONS=$ASAN_OPTIONS:fast_unwind_on_malloc=0 LSAN_OPTIONS=suppressions=$root/tests/sanitizers/lsan.supp \
        FROLLBACK_BUILD=$root/build/asan tests/api/run.sh || bad=1
      unset ASAN_OPTIONS
      SECONDS_EACH=${SECONDS_EACH:-10} tests/fuzz/run.sh || bad=1
      ;;
    tsan)
      tests/build.sh tsan unit_tests sim || { bad=1; continue; }
      TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$root/tests/sanitizers/tsan.supp unit tsan
      simulate tsan
      ;;
    *) echo "sanitize: no such preset: $preset" >&2; bad=1 ;;
  esac
  echo "$preset took $((SECONDS - began)) s"
done
[ "$bad" = 0 ] && echo "sanitize: nothing found"
exit "$bad"
