#!/usr/bin/env bash
# make bench: figures, never assertions. Each goes into RESULTS.md with the command that made it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
preset=${PRESET:-release}
cmake --preset "$preset" -S "$root" >/dev/null
cmake --build "$root/build/$preset" --target bench_list >/dev/null
"$root/build/$preset/bin/bench_list" "${1:-10000}"
