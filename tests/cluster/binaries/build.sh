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
fallback_go=1.24.9

say() { echo "kubernetes $version: $*" >&2; }

# Sets $go to a Go of at least 1.24.
find_go() {
  go=$(command -v go || true)
  [ -n "$go" ] || { echo "build.sh: Go is not installed; run hack/install-deps.sh" >&2; exit 1; }
  local have
  have=$("$go" env GOVERSION 2>/dev/null || "$go" version | awk '{print $3}')
  have=${have#go}
  if [ "$(printf '1.24\n%s\n' "$have" | sort -V | head -1)" = 1.24 ]; then return; fi
  local tools=$cache/go-$fallback_go
  if [ ! -x "$tools/bin/go" ]; then
    say "installed Go is $have; fetching Go $fallback_go as a module"
    local scratch; scratch=$(mktemp -d)
    (cd "$scratch" && printf 'module fetch\n\ngo 1.17\n' > go.mod &&
      GOFLAGS=-mod=mod GONOSUMDB=golang.org/toolchain GONOSUMCHECK=1 "$go" mod download -json "golang.org/toolchain@v0.0.1-go$fallback_go.linux-amd64" > out.json)
    local dir; dir=$(sed -n 's/.*"Dir": "\(.*\)",*/\1/p' "$scratch/out.json")
    [ -d "$dir" ] || { cat "$scratch/out.json" >&2; echo "build.sh: could not fetch Go $fallback_go" >&2; exit 1; }
    mkdir -p "$tools.part" && cp -r "$dir/." "$tools.part/"
    chmod -R u+w "$tools.part"
    chmod +x "$tools.part"/bin/* "$tools.part"/pkg/tool/*/*      # the module cache drops the executable bits
    rm -rf "$tools" && mv "$tools.part" "$tools"
    rm -rf "$scratch"
  fi
  go=$tools/bin/go
  export GOROOT=$tools
}

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
