#!/usr/bin/env bash
# Runs every tier this machine can run, in the order unit, layers, fuzz, sim, mover, api, node; prints what was skipped and why, and ends
# with one line of totals. TIERS="unit api" runs only those. Under CI=true a tier that CI must run may not be skipped.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
trap tests/cluster/give-back EXIT
preset=${PRESET:-release}
build=$root/build/$preset
tiers=${TIERS:-unit layers fuzz sim mover api node}
passed=0 failed=0 skipped=0
notes=()

say() { printf '\n== %s\n' "$*"; }

say "build ($preset)"
tests/build.sh "$preset" || exit 1

# skip TIER WHY
skip() {
  skipped=$((skipped + 1))
  notes+=("$1 skipped: $2")
  if [ "${CI:-}" = true ] && [ "$1" != bench ]; then
    failed=$((failed + 1))
    notes+=("$1: CI must run this tier")
  fi
}

# ctest_tier LABEL: adds ctest's own counts. A test that ran into its time limit, and only such a one, is tried once more: on a machine
# shared with others that is no verdict.
ctest_tier() {
  local out
  out=$(mktemp)
  ctest --test-dir "$build" -L "^$1\$" --output-on-failure --repeat after-timeout:2 -j "$(nproc)" 2>&1 | tee "$out" | grep -vE '^ *(Start|[0-9]+/[0-9]+ Test.*Passed)|^$'
  local total bad
  total=$(sed -n 's/.*tests failed out of \([0-9]*\)$/\1/p' "$out"); bad=$(sed -n 's/.* \([0-9]*\) tests failed out of.*/\1/p' "$out")
  if [ -z "$total" ] || [ "$total" = 0 ]; then failed=$((failed + 1)); notes+=("$1: no test ran"); else
    failed=$((failed + bad)); passed=$((passed + total - bad)); fi
  mapfile -t -O "${#notes[@]}" notes < <(sed -n '/^The following tests FAILED/,$s/^\t *[0-9]* - //p' "$out")
  rm -f "$out"
}

# script_tier NAME COMMAND...: 0 passed, 77 skipped (its last line says why), anything else failed.
script_tier() {
  local name=$1; shift
  local out rc
  out=$(mktemp)
  "$@" 2>&1 | tee "$out"; rc=${PIPESTATUS[0]}
  case $rc in
    0) passed=$((passed + 1)) ;;
    77) skip "$name" "$(tail -1 "$out")" ;;
    *) failed=$((failed + 1)); notes+=("$name failed (exit $rc)")
       mapfile -t -O "${#notes[@]}" notes < <(grep -E '^(FAILED|FAIL:|ERROR:) |FAILED: ' "$out" | head -20) ;;
  esac
  rm -f "$out"
}

for tier in $tiers; do
  say "$tier"
  began=$SECONDS
  case $tier in
    unit | layers | sim) ctest_tier "$tier" ;;
    mover) FRB_QUICK=${FRB_QUICK-1} ctest_tier mover ;;    # every fifth crash point; all of them: make crash
    fuzz) RUNS=${RUNS:-10000} script_tier fuzz tests/fuzz/run.sh ;;    # a minute, each run the same; for longer: make fuzz
    api) script_tier api tests/api/run.sh ;;
    node) script_tier node tests/node/run.sh ;;
    *) notes+=("$tier: no such tier"); failed=$((failed + 1)) ;;
  esac
  echo "$tier took $((SECONDS - began)) s"
done

say result
for note in "${notes[@]:-}"; do [ -n "$note" ] && echo "$note"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
