#!/usr/bin/env bash
# Installs what a fresh Debian 12 lacks to build and test this project, and says what it installs. Quiet when nothing is missing.
# Needs root (or sudo) only if something is missing.
#   install-deps.sh [n8n]     n8n: also what the demo with the real n8n needs
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

build="g++ cmake ninja-build ccache pkg-config file libcpprest-dev nlohmann-json3-dev libyaml-cpp-dev libspdlog-dev catch2 libssl-dev zlib1g-dev \
 libboost-dev libtcmalloc-minimal4 clang-format-14 clang-tidy-14 clang-14 libclang-rt-14-dev python3 python3-yaml jq curl ca-certificates openssl"
# A real PostgreSQL for the mover's tests.
data="postgresql-15"
cluster=$(grep -v '^#' "$here/cluster/packages.txt" | tr '\n' ' ')
# Go builds the pinned Kubernetes. Where a newer one is on PATH already, Debian's is not wanted.
go=""
command -v go >/dev/null || go="golang-go"

npm=""
[ "${1:-}" != n8n ] || command -v npm >/dev/null || npm="npm"

missing=()
for package in $build $data $cluster $go $npm; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || [[ " ${missing[*]:-} " == *" $package "* ]] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "deps: need root or sudo to install: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "deps: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  # No service may start by itself: tests start their own servers.
  "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    { echo "deps: apt-get could not install: ${missing[*]}" >&2; exit 1; }
fi
