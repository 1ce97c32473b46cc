#!/usr/bin/env bash
# Builds a preset of CMakePresets.json, quietly: only what went wrong is printed, and how long it took.
#   tests/build.sh PRESET [TARGET...]
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1       # two checkouts share the compiler cache
cd "$root"
preset=$1; shift
cmake --preset "$preset" >/dev/null || exit 1
began=$SECONDS
cmake --build --preset "$preset" -j "$(nproc)" ${1:+--target "$@"} 2>&1 | grep -E '(error|warning):|FAILED|^ninja: (error|build stopped)' >&2
[ "${PIPESTATUS[0]}" = 0 ] || { echo "build: $preset failed" >&2; exit 1; }
echo "$preset built in $((SECONDS - began)) s"
