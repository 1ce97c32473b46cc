#!/usr/bin/env bash
# Builds the Kubernetes binaries the test clusters run, once, from Go modules pinned by the go.mod and go.sum beside
# this file, into $FROLLBACK_CACHE/kubernetes-<version>. Prints that folder's path on its last line of stdout.
#   build.sh kubectl  only that
#   build.sh api    etcd, kube-apiserver, kube-controller-manager, kubectl
#   build.sh node   the same, and kube-scheduler, kubelet, kube-proxy, CoreDNS
# Cold on two cores it takes about 7 minutes (kube-apiserver alone nearly 4); later calls return at once.
# Needs Go 1.24 or later: where the installed one is older, it fetches golang.org/toolchain through the module proxy.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
want=${1:-node}
cache=${FROLLBACK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/framework-rollback}
version=$(grep -oE "k8s\.io/kubernetes v[0-9.]+" "$here/kubernetes/go.mod" | head -1 | cut -d" " -f2)
[ -n "$version" ] || { echo "build.sh: no k8s.io/kubernetes version in $here/kubernetes/go.mod" >&2; exit 1; }
# The folder's name carries every pin, so a changed go.sum never meets old binaries.
pins=$(cat "$here"/kubernetes/go.sum "$here"/coredns/go.sum "$here"/coredns/main.go | sha256sum | cut -c1-8)
bin=$cache/kubernetes-$version-$pins

say() { echo "kubernetes $version: $*" >&2; }

. "$here/go.sh"

# build NAME MODULE-DIR PACKAGE [LDFLAGS]: a binary appears under its name only when it is whole.
build() {
  local name=$1 dir=$2 package=$3 flags=${4:-}
  [ -x "$bin/$name" ] && return
  local began=$SECONDS
  say "building $name"
  (cd "$here/$dir" && CGO_ENABLED=0 GOFLAGS=-mod=readonly "$go" build -trimpath -ldflags "-s -w $flags" -o "$bin/.$name.part" "$package")
  mv "$bin/.$name.part" "$bin/$name"
  say "built $name in $((SECONDS - began)) s"
}

mkdir -p "$bin"
exec 9>"$bin/.lock"
flock 9                                        # two test runs at once: the second waits, then finds everything
missing=0
names="kube-apiserver kube-controller-manager kubectl etcd"
[ "$want" = kubectl ] && names=kubectl
[ "$want" = node ] && names="$names kube-scheduler kubelet kube-proxy coredns"
for n in $names; do [ -x "$bin/$n" ] || missing=1; done
if [ $missing = 1 ]; then
  find_go
  minor=${version#v1.}; minor=${minor%%.*}
  stamp=""
  for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    stamp="$stamp -X $p.gitVersion=$version -X $p.gitMajor=1 -X $p.gitMinor=$minor -X $p.gitTreeState=clean"
  done
  for n in $names; do
    case $n in
      etcd) build etcd kubernetes go.etcd.io/etcd/server/v3 ;;
      coredns) build coredns coredns . ;;
      *) build "$n" kubernetes "k8s.io/kubernetes/cmd/$n" "$stamp" ;;
    esac
  done
fi
echo "$bin"
