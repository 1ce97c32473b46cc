#!/usr/bin/env bash
# make bench BENCH=name: figures, never assertions. What they showed, with the command that made them, is in RESULTS.md.
#   run.sh [list|restore|caches|events|downtime] [arguments]      (default: list)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
preset=${PRESET:-release}
bin=$root/build/$preset/bin
bench=${1:-list}
[ $# -gt 0 ] && shift
case $bench in
  list)
    tests/build.sh "$preset" bench_list >/dev/null
    exec "$bin/bench_list" "$@" ;;
  restore)
    tests/build.sh "$preset" rollback-mover >/dev/null
    FRB_MOVER=$bin/rollback-mover exec python3 -B tests/bench/restore/bench.py "$@" ;;
  caches)
    tests/build.sh "$preset" rollback-operator >/dev/null
    tests/bench/peers/build.sh
    exec python3 -B tests/bench/caches/bench.py "$@" ;;
  events)
    tests/build.sh "$preset" rollback-operator >/dev/null
    tests/bench/peers/build.sh
    exec python3 -B tests/bench/events/bench.py "$@" ;;
  downtime)
    [ "$(id -u)" = 0 ] || { echo "bench: downtime needs root: it makes a node" >&2; exit 1; }
    tests/cluster/binaries/build.sh node >/dev/null
    tests/images.sh operator mover postgres demo-app >build/bench-images.log 2>&1 || { tail -20 build/bench-images.log >&2; exit 1; }
    exec python3 -B tests/bench/downtime/bench.py "$@" ;;
  *) echo "bench: $bench is none of list, restore, caches, events, downtime" >&2; exit 2 ;;
esac
