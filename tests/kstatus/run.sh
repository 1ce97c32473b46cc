#!/usr/bin/env bash
# What the unit tests say about kstatus, asked of Flux's library itself (a Go module, pinned beside this file).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${FROLLBACK_BUILD:-$root/build/${PRESET:-release}}
cache=${FROLLBACK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/framework-rollback}
examples=$build/kstatus
rm -rf "$examples" && mkdir -p "$examples"
tests=$(find "$build" -name unit_reconcilers -type f -perm -u+x | head -1)
[ -n "$tests" ] || { echo "kstatus: unit_reconcilers is not built: make build" >&2; exit 1; }
FROLLBACK_EXAMPLES=$examples "$tests" "kstatus:*" >/dev/null
. "$root/tests/cluster/binaries/go.sh"
find_go
cd "$here" && CGO_ENABLED=0 GOFLAGS=-mod=readonly "$go" run . "$examples"
