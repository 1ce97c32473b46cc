#!/usr/bin/env bash
# make bench BENCH=name: figures, never assertions. What they showed, with the command that made them, is in RESULTS.md.
#   run.sh [list|restore|caches|events|downtime] [arguments]      (default: list)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1       # two checkouts share the compiler cache
preset=${PRESET:-release}
bin=$root/build/$preset/bin
bench=${1:-list}
[ $# -gt 0 ] && shift
build() {
  cmake --preset "$preset" -S "$root" >/dev/null
  cmake --build "build/$preset" -j "$(nproc)" --target "$@" >/dev/null
}
case $bench in
  list)
    build bench_list
    exec "$bin/bench_list" "$@" ;;
  restore)
    build rollback-mover
    FRB_MOVER=$bin/rollback-mover exec python3 -B tests/bench/restore/bench.py "$@" ;;
  caches)
    build rollback-operator
    tests/bench/peers/build.sh
    exec python3 -B tests/bench/caches/bench.py "$@" ;;
  events)
    build rollback-operator
    tests/bench/peers/build.sh
    exec python3 -B tests/bench/events/bench.py "$@" ;;
  downtime)
    [ "$(id -u)" = 0 ] || { echo "bench: downtime needs root: it makes a node" >&2; exit 1; }
    tests/cluster/binaries/build.sh node >/dev/null
    tests/images.sh operator mover postgres demo-app >build/bench-images.log 2>&1 || { tail -20 build/bench-images.log >&2; exit 1; }
    exec python3 -B tests/bench/downtime/bench.py "$@" ;;
  *) echo "bench: $bench is none of list, restore, caches, events, downtime" >&2; exit 2 ;;
esac
