#!/usr/bin/env bash
# make demo: builds what is missing, then hands over to demo.py, which does and shows the rollback.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "demo: needs root (or sudo): it makes network and mount namespaces for its cluster" >&2; exit 1; }
  exec sudo -E --preserve-env=HOME,PATH,XDG_CACHE_HOME "$0" "$@"
fi
framework=${FRAMEWORK:-shop}
step() { printf '\n\033[1m▸ %s\033[0m\n' "$*"; }
step "Kubernetes binaries (once: about 7 minutes on two cores)"
tests/cluster/binaries/build.sh node >/dev/null
step "operator, mover and images"
case $framework in
  shop) images="operator mover postgres demo-app" ;;
  n8n)
    images="operator mover postgres n8n"
    tests/install-deps.sh n8n ;;
  *) echo "demo: FRAMEWORK is shop or n8n, not $framework" >&2; exit 2 ;;
esac
# shellcheck disable=SC2086
tests/images.sh $images >build/demo-images.log 2>&1 || { tail -20 build/demo-images.log >&2; echo "demo: building failed; the log is build/demo-images.log" >&2; exit 1; }
exec python3 -B tests/demo/demo.py "$framework"
