#!/usr/bin/env bash
# Runs every tier this machine can run, in the order unit, layers, fuzz, sim, mover, api, node; prints what was skipped and why, and ends
# with one line of totals. TIERS="unit api" runs only those. Under CI=true a tier that CI must run may not be skipped. fuzz and sim, which
# need nothing but the processor and know no time, run at the lowest priority beside mover, api and node, which mostly wait.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
other=
finish() {
  [ -z "$other" ] || kill -- "-$other" 2>/dev/null
  tests/cluster/give-back
}
trap finish EXIT
trap 'exit 130' INT TERM
preset=${PRESET:-release}
build=$root/build/$preset
tiers=${TIERS:-unit layers fuzz sim mover api node}
passed=0 failed=0 skipped=0
notes=()

say() { printf '\n== %s\n' "$*"; }

if [ -z "${BUILT:-}" ]; then
  say "build ($preset)"
  tests/build.sh "$preset" || exit 1
fi

# skip TIER WHY
skip() {
  skipped=$((skipped + 1))
  notes+=("$1 skipped: $2")
  if [ "${CI:-}" = true ] && [ "$1" != bench ]; then
    failed=$((failed + 1))
    notes+=("$1: CI must run this tier")
  fi
}

# ctest_tier LABEL [AT_ONCE]: adds ctest's own counts. A test that ran into its time limit, and only such a one, is tried once more: on a machine
# shared with others that is no verdict.
ctest_tier() {
  local out
  out=$(mktemp)
  ctest --test-dir "$build" -L "^$1\$" --output-on-failure --repeat after-timeout:2 -j "${2:-$(nproc)}" 2>&1 | tee "$out" | grep -vE '^ *(Start|[0-9]+/[0-9]+ Test.*Passed)|^$'
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

run_tier() {
  local began=$SECONDS
  say "$1"
  case $1 in
    unit | layers | sim) ctest_tier "$1" ;;
    mover) FRB_QUICK=${FRB_QUICK-1} ctest_tier mover $((2 * $(nproc))) ;;    # they mostly wait. Every fifth crash point; all: make crash
    fuzz) RUNS=${RUNS:-10000} script_tier fuzz tests/fuzz/run.sh ;;    # a minute, each run the same; for longer: make fuzz
    api) script_tier api tests/api/run.sh ;;
    node) script_tier node tests/node/run.sh ;;
    *) notes+=("$1: no such tier"); failed=$((failed + 1)) ;;
  esac
  echo "$1 took $((SECONDS - began)) s"
}

# A second run of this script, in a session of its own: that is what priority is given to (sched(7), autogroup).
start_beside() {
  say "$* begin at the lowest priority; what they say comes at the end"
  said=$(mktemp)
  BUILT=1 TIERS="$*" PRESET=$preset setsid bash -c 'echo 19 2>/dev/null >/proc/self/autogroup; exec nice -n 19 tests/run.sh' >"$said" 2>&1 &
  other=$!
}

end_beside() {
  [ -n "$other" ] || return 0
  echo 0 2>/dev/null >"/proc/$other/autogroup"    # nothing is beside it any more
  wait "$other"; local rc=$?
  other=
  sed '/^== result$/,$d' "$said"
  local totals
  totals=$(tail -1 "$said" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p')
  mapfile -t -O "${#notes[@]}" notes < <(sed '1,/^== result$/d; $d' "$said")
  rm -f "$said"
  read -r good bad without <<<"$totals"
  if [ -z "$totals" ] || { [ "$rc" != 0 ] && [ "$bad" = 0 ]; }; then bad=$((${bad:-0} + 1)); notes+=("what ran beside the others ended with $rc"); fi
  passed=$((passed + ${good:-0})) failed=$((failed + bad)) skipped=$((skipped + ${without:-0}))
}

alone=() beside=() waits=()
for tier in $tiers; do
  case $tier in
    fuzz | sim) beside+=("$tier") ;;
    mover | api | node) waits+=("$tier") ;;
    *) alone+=("$tier") ;;
  esac
done
for tier in "${alone[@]}"; do run_tier "$tier"; done
if [ ${#waits[@]} = 0 ]; then
  for tier in "${beside[@]}"; do run_tier "$tier"; done
else
  [ ${#beside[@]} = 0 ] || start_beside "${beside[@]}"
  for tier in "${waits[@]}"; do run_tier "$tier"; done
  end_beside
fi

say result
for note in "${notes[@]:-}"; do [ -n "$note" ] && echo "$note"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
