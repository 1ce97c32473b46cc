#!/usr/bin/env bash
# The api tier: definitions, rules, rights and policies, and the C++ client, on a real API server that is started here and ended.
#
#   tests/api/run.sh [PYTHON TEST...]     for example: tests/api/run.sh test_policies; with names, the C++ tests are left out
#
# Needs root (namespaces), or USE_EXISTING_CLUSTER=true with the KUBECONFIG of a cluster's administrator. FROLLBACK_BUILD is the build
# directory with the C++ tests. The last is the test of the test clusters themselves, beside the one that is up (not with
# USE_EXISTING_CLUSTER). Ends with 77 when it cannot run here; the last line then says why.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${FROLLBACK_BUILD:-$root/build/${PRESET:-release}}
existing=${USE_EXISTING_CLUSTER:-}

if [ "${existing,,}" != true ] && [ "$(id -u)" != 0 ]; then
  echo "the api tests need root, for the namespaces of the cluster they start (sudo -E), or USE_EXISTING_CLUSTER=true and KUBECONFIG"
  exit 77
fi

name=api-$$
failed=0
finish() {
  if [ $failed = 0 ]; then "$root/tests/cluster/cluster" down "$name" >/dev/null
  else "$root/tests/cluster/cluster" down "$name" --keep-logs "$build/logs" && echo "logs: $build/logs/$name"; fi
}
trap 'failed=1; exit 1' INT TERM
trap finish EXIT
"$root/tests/cluster/cluster" up "$name" --tier api || { failed=1; exit 1; }
eval "$("$root/tests/cluster/cluster" env "$name")"
export FROLLBACK_KUBECONFIG=$KUBECONFIG

cd "$here" || exit 1
export PYTHONDONTWRITEBYTECODE=1
if [ $# -gt 0 ]; then
  python3 -m unittest -v "$@" || failed=1
  exit $failed
fi
python3 -m unittest discover -v -p 'test_*.py' || failed=1
# A server that has just started on a database that has not: resourceVersions it never saw are gone, as the client's tests expect.
if [ "${existing,,}" != true ]; then
  "$root/tests/cluster/cluster" restart "$name" kube-apiserver >/dev/null
  for _ in $(seq 120); do
    [ "$("$KUBECTL" get --raw /readyz 2>/dev/null)" = ok ] && break
    sleep 0.25
  done
fi
for source in "$here"/*_test.cpp; do
  program=$build/bin/api_$(basename "$source" _test.cpp)
  if [ -x "$program" ]; then
    echo "== $(basename "$program")"
    "$program" || failed=1
  else
    echo "$program is not built: cmake --build $build" >&2
    failed=1
  fi
done
if [ "${existing,,}" != true ]; then
  echo "== the test clusters themselves"
  log=$build/logs/cluster-selftest.log began=$SECONDS
  mkdir -p "$build/logs"
  if "$root/tests/cluster/selftest.sh" api >"$log" 2>&1; then
    echo "ok, $(grep -c '^---' "$log") things in $((SECONDS - began)) s"
  else
    tail -15 "$log"
    echo "FAILED: tests/cluster/selftest.sh api; the log is $log"
    failed=1
  fi
fi
exit $failed
