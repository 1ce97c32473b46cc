#!/usr/bin/env bash
# The node tier: the operator as its manifests install it, a real kubelet, a real PostgreSQL. Skipped (77) without root.
#   run.sh [WORD ...]    only tests whose file.Class.test contains a word; --list names them; KEEP=1 leaves the cluster for a look around
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
[ "$(id -u)" = 0 ] || { echo "the node tier needs root: it makes network and mount namespaces for its cluster"; exit 77; }
tests/cluster/binaries/build.sh node >/dev/null
mkdir -p build
tests/images.sh operator mover postgres demo-app >build/node-images.log 2>&1 || { tail -20 build/node-images.log; echo "node: building the images failed; the log is build/node-images.log"; exit 1; }
PYTHONPATH=tests exec python3 -B tests/node/runner.py "$@"
