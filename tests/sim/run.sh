#!/usr/bin/env bash
# Runs the simulator from `make sim`: SEEDS random runs from FROM on, on all cores, or one SEED (TRACE=1: with all that happened), or the
# modes that are its arguments, each on all cores (run.sh --pairs success).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
preset=${PRESET:-release}
tests/build.sh "$preset" sim >/dev/null
sim=build/$preset/bin/sim
if [ -n "${SEED:-}" ]; then
  exec "$sim" --seed "$SEED" ${TRACE:+--trace}
fi
[ $# -gt 0 ] || set -- --seeds "${SEEDS:-10000}" --from "${FROM:-1}"
n=$(nproc) status=0
pids=()
for i in $(seq "$n"); do
  "$sim" "$@" --share "$((i - 1))/$n" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || status=1; done
exit $status
