#!/usr/bin/env bash
# make demo: builds what is missing, then hands over to demo.py, which does and shows the rollback. As a user it compiles as that user, and as
# root, by sudo, does what needs it: images from Debian packages, and the cluster. What that made is the user's in the end (give-back).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
framework=${FRAMEWORK:-shop}
case $framework in
  shop) images="operator mover postgres demo-app" ;;
  n8n) images="operator mover postgres n8n" ;;
  *) echo "demo: FRAMEWORK is shop or n8n, not $framework" >&2; exit 2 ;;
esac
step() { printf '\n\033[1m▸ %s\033[0m\n' "$*"; }
if [ "${1:-}" != as-root ]; then
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || { echo "demo: needs root (or sudo): it makes network and mount namespaces for its cluster" >&2; exit 1; }
  step "Kubernetes binaries (once: about 7 minutes on two cores)"
  tests/cluster/binaries/build.sh node >/dev/null
  step "operator, mover and images"
  [ "$framework" != n8n ] || tests/install-deps.sh n8n
  tests/build.sh "${PRESET:-release}" rollback-operator rollback-mover
  [ "$(id -u)" = 0 ] || exec sudo -E --preserve-env=HOME,PATH,XDG_CACHE_HOME "$0" as-root
fi
trap tests/cluster/give-back EXIT
# shellcheck disable=SC2086
tests/images.sh $images >build/demo-images.log 2>&1 || { tail -20 build/demo-images.log >&2; echo "demo: building failed; the log is build/demo-images.log" >&2; exit 1; }
python3 -B tests/demo/demo.py "$framework"
