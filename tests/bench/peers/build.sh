#!/usr/bin/env bash
# Builds what the benches caches and events run beside the operator: the fast API server, and the peers on controller-runtime and
# kube-rs, into build/bench. Needs Go 1.26 and a current Rust with network for the first time; PEERS="" builds the server alone.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
out=$root/build/bench
mkdir -p "$out"
(cd "$root/tests/bench/apiserver" && go build -o "$out/apiserver" .)
for peer in ${PEERS-controller-runtime kube-rs}; do
  [ -d "$root/tests/bench/peers/$peer" ] || continue
  case $peer in
    controller-runtime) (cd "$root/tests/bench/peers/controller-runtime" && go build -o "$out/controller-runtime-peer" .) ;;
    kube-rs)
      CARGO_TARGET_DIR=$out/kube-rs cargo build --quiet --release --locked --manifest-path "$root/tests/bench/peers/kube-rs/Cargo.toml"
      cp "$out/kube-rs/release/kube-rs-peer" "$out/" ;;
  esac
done
