#!/usr/bin/env bash
# The alerting rules and the dashboard of manifests/monitoring, judged by promtool's own code: rules and every query of the dashboard
# parse, and each alert fires when rules_test.yaml says so, and not otherwise. Then kustomize renders the folder.
# promtool is built once, from the Go module pinned beside this file, into the cache: 5 minutes cold on two cores; later runs take seconds.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${FROLLBACK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/framework-rollback}
version=$(sed -n 's/.*github.com\/prometheus\/prometheus \(v[0-9.]*\).*/\1/p' "$here/go.mod" | head -1)
promtool=$cache/promtool-$version-$(sha256sum <"$here/go.sum" | cut -c1-8)
if [ ! -x "$promtool" ]; then
  . "$root/tests/cluster/binaries/go.sh"
  find_go
  echo "building promtool $version, once"
  began=$SECONDS
  mkdir -p "$cache"
  (cd "$here" && CGO_ENABLED=0 GOFLAGS=-mod=readonly "$go" build -tags remove_all_sd -trimpath -ldflags '-s -w' -o "$promtool.part" github.com/prometheus/prometheus/cmd/promtool)
  mv "$promtool.part" "$promtool"
  echo "built in $((SECONDS - began)) s"
fi

work=$root/build/monitoring
rm -rf "$work" && mkdir -p "$work" && cd "$work"
sed '1,/^spec:/d; s/^  //' "$root/manifests/monitoring/rules.yaml" >rules.yaml
cp "$here/rules_test.yaml" .
python3 "$here/queries.py" "$root/manifests/monitoring/dashboard.json" >queries.yaml
"$promtool" check rules --lint=all --lint-fatal rules.yaml
"$promtool" check rules --lint=none queries.yaml
"$promtool" test rules rules_test.yaml
# An alert nobody tests is not known to fire.
for alert in $(sed -n 's/^ *- alert: //p' rules.yaml); do
  python3 "$here/queries.py" --fires "$alert" rules_test.yaml || { echo "no test of rules_test.yaml sees $alert fire" >&2; exit 1; }
done
kubectl=$("$root/tests/cluster/binaries/build.sh" kubectl | tail -1)/kubectl
"$kubectl" kustomize "$root/manifests/monitoring" >rendered.yaml
for kind in PodMonitor PrometheusRule ConfigMap; do grep -q "^kind: $kind\$" rendered.yaml || { echo "no $kind is rendered" >&2; exit 1; }; done
echo "monitoring: $(grep -c '  - alert:\|^ *- alert:' rules.yaml) alerts, $(grep -c 'record:' queries.yaml) queries, all as they should be"
