#!/usr/bin/env bash
# make bench BENCH=name: figures, never assertions. What they showed, with the command that made them, is in RESULTS.md.
#   run.sh [list|restore] [arguments]      (default: list)
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
  *) echo "bench: $bench is neither list nor restore" >&2; exit 2 ;;
esac
