#!/usr/bin/env bash
# Builds every fuzzer (preset asan) and runs all, or those named, for SECONDS_EACH (20) on what tests/fuzz/corpus holds and on from there,
# one a core. An input that breaks a property is kept in build/fuzz and told. New inputs stay in build/fuzz/corpus: the next run goes on.
#   tests/fuzz/run.sh [NAME...]      RUNS=10000: that many inputs instead of a time, the same ones each time from the same corpus
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export root each=${SECONDS_EACH:-20}
export ASAN_OPTIONS=allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
cd "$root"
tests/build.sh asan fuzzers || exit 1
names=("$@")
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(basename -s _fuzz.cpp -a "$root"/tests/fuzz/*_fuzz.cpp)

fuzz() { # NAME
  local kept=$root/build/fuzz log=$root/build/fuzz/$1.log limit=(-max_total_time="$each")
  mkdir -p "$kept/corpus/$1"
  [ -z "${RUNS:-}" ] || limit=(-runs="$RUNS" -seed=1)
  if "$root/build/asan/bin/fuzz_$1" "${limit[@]}" -max_len=4096 -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
      -artifact_prefix="$kept/$1-" "$kept/corpus/$1" "$root/tests/fuzz/corpus/$1" >"$log" 2>&1; then
    printf '%-12s %9s inputs, nothing found\n' "$1" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
  else
    printf '%-12s FAILED: %s\n' "$1" "$(grep -m1 -E 'property does not hold|ERROR: |runtime error' "$log" || tail -1 "$log")"
    grep -h 'Test unit written' "$log"
    return 1
  fi
}
export -f fuzz
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz {}'
