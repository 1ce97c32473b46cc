#!/usr/bin/env bash
# Writes go.mod for a pinned Kubernetes: mkmod.sh v1.34.4. Run it to move the pin, then `go mod tidy` and commit both files.
# A dependency's replace lines are ignored, and k8s.io/kubernetes requires its staging modules at v0.0.0, so all of
# them are replaced here (kubernetes/kubernetes#79384).
set -euo pipefail
version=${1:?usage: mkmod.sh v1.MINOR.PATCH}
staging=v0.${version#v1.}
printf 'module rollback.pa-ecosystem.io/testcluster/kubernetes\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes %s\n\nreplace (\n' "$version"
for m in api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap \
  code-generator component-base component-helpers controller-manager cri-api cri-client csi-translation-lib \
  dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator kube-controller-manager kube-proxy \
  kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver sample-cli-plugin \
  sample-controller; do
  printf '\tk8s.io/%s => k8s.io/%s %s\n' "$m" "$m" "$staging"
done
printf ')\n\ntool (\n'
for c in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
  printf '\tk8s.io/kubernetes/cmd/%s\n' "$c"
done
printf '\tgo.etcd.io/etcd/server/v3\n)\n'
