#!/usr/bin/env bash
# OCI archives of what this tree builds, and of what the test clusters run beside it, into build/images:
#   images.sh [operator] [mover] [postgres] [demo-app] [n8n]      (default: operator mover)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
preset=${PRESET:-release}
bin=$root/build/$preset/bin
out=$root/build/images
mkdir -p "$out"
for image in "${@:-operator mover}"; do
  for one in $image; do
    case $one in
      operator | mover)
        "$root/tests/build.sh" "$preset" "rollback-$one" >/dev/null
        "$root/tests/cluster/images/build" "$one" "$out" "$bin/rollback-$one" ;;
      *) "$root/tests/cluster/images/build" "$one" "$out" ;;
    esac
  done
done
ls -l "$out"
