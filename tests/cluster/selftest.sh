#!/usr/bin/env bash
# Tests of the cluster harness itself. Needs root and the Kubernetes binaries (built when missing).
# (In a pipe no grep -q: it would end before who writes to it, and pipefail would call that a failure.)
#   selftest.sh api    two clusters side by side, the death of their supervisors, nothing left behind: about 20 seconds
#   selftest.sh node   the demo application goes to its bad release and back, volumes, names, nothing left behind: about
#                      a minute, two more when the images must be built first
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cluster=$here/cluster
tier=${1:-api}
export FROLLBACK_STATE=${SELFTEST_STATE:-$(mktemp -d /tmp/frollback-selftest.XXXXXX)}
unset USE_EXISTING_CLUSTER KUBECONFIG

finish() {
  local code=$?
  [ $code = 0 ] || echo "selftest: FAILED (exit code $code); logs are kept in $FROLLBACK_STATE/logs" >&2
  for name in one two; do "$cluster" down $name --keep-logs "$FROLLBACK_STATE/logs" >/dev/null || true; done
  [ $code = 0 ] && rm -rf "$FROLLBACK_STATE"
  exit $code
}
trap finish EXIT

stopped() { "$cluster" status | grep >/dev/null "^$1 .*stopped"; }
given() { echo "--- $*"; }
fail() { echo "selftest: $*" >&2; exit 1; }
kubectl() { local name=$1; shift; "$cluster" kubectl "$name" -- "$@"; }
field() { "$cluster" env "$1" | sed -n "s/^export $2=//p"; }

# within SECONDS COMMAND...: the command succeeds before the deadline.
within() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "not within the deadline: $*"
    sleep 0.2
  done
}

# Folders that a node without namespaces of its own would make on the host.
declare -A present
for folder in /var/lib/cni /var/lib/kubelet /run/containerd /var/log/pods /run/netns; do [ ! -e "$folder" ] || present[$folder]=yes; done

# What a cluster owns on the host: its interface, its cgroups, processes of its folder, mounts of its folder.
assert_nothing_left() {
  local number=$1 name=$2 folder process
  [ ! -e "/sys/class/net/frb$number" ] || fail "interface frb$number is left after $name"
  ! find /sys/fs/cgroup -maxdepth 2 -name "frollback-$number" 2>/dev/null | grep >/dev/null . || fail "cgroup frollback-$number is left after $name"
  ! grep -q "$FROLLBACK_STATE/$name/" /proc/mounts || fail "a mount is left after $name"
  for folder in /var/lib/cni /var/lib/kubelet /run/containerd /var/log/pods /run/netns; do
    [ ! -e "$folder" ] || [ "${present[$folder]:-}" = yes ] || fail "$folder is left on the host after $name"
  done
  ! ip route | grep >/dev/null "10\.9[678]\.$number\." || fail "a route is left after $name"
  for process in /proc/[0-9]*; do
    ! tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep >/dev/null "$FROLLBACK_STATE/$name/" || fail "process ${process#/proc/} is left after $name"
  done
}

test_api() {
  given "two clusters started at once, each answers on its own address"
  "$cluster" up one </dev/null | cat & first=$!        # a pipe and no terminal, as under make
  "$cluster" up two </dev/null | cat
  wait $first
  [ "$(field one CLUSTER_SERVER)" != "$(field two CLUSTER_SERVER)" ] || fail "both clusters have one address"
  kubectl one create configmap only-in-one >/dev/null
  kubectl two get configmap only-in-one >/dev/null 2>&1 && fail "the clusters share their objects"

  given "up of a running cluster changes nothing"
  "$cluster" up one | grep >/dev/null "already up" || fail "a second up did not say so"
  kubectl one get configmap only-in-one >/dev/null

  given "a Deployment's ReplicaSet and pods are made, and pod security refuses what it must"
  kubectl one create namespace strict >/dev/null
  kubectl one label namespace strict pod-security.kubernetes.io/enforce=restricted >/dev/null
  kubectl one create deployment web --image=localhost/none:1 --replicas=2 >/dev/null
  made() { [ "$(kubectl one get pods -l app=web -o name | wc -l)" = 2 ]; }
  within 20 made
  within 20 kubectl one -n strict get serviceaccount default
  kubectl one -n strict run bad --image=localhost/none:1 2>/dev/null && fail "restricted pod security let a bare pod in"

  given "the audit log has the body of a write and never one of a Secret"
  kubectl one create secret generic s --from-literal=password=topsecretvalue >/dev/null
  audit=$(field one AUDIT_LOG)
  grep -q '"requestObject".*only-in-one' "$audit" || fail "no body of the ConfigMap's creation in $audit"
  grep -q '"resource":"secrets"' "$audit" || fail "no line about the Secret in $audit"
  ! grep -q "$(printf topsecretvalue | base64)" "$audit" || fail "the Secret's body is in $audit"

  given "a user certificate has only the rights it was given"
  dev=$("$cluster" user one dev developers)
  KUBECONFIG=$dev "$(field one KUBECTL)" auth whoami | grep >/dev/null developers || fail "the group is not in the certificate"
  KUBECONFIG=$dev "$(field one KUBECTL)" get pods >/dev/null 2>&1 && fail "a new user may list pods"

  given "a killed API server comes back with its data"
  "$cluster" restart one kube-apiserver
  again() { [ "$(grep -c "kube-apiserver started" "$FROLLBACK_STATE/one/log/supervisor.log")" = 2 ]; }
  within 10 again
  within 30 kubectl one get configmap only-in-one

  number_one=$(field one CLUSTER_SERVER | cut -d. -f3)
  number_two=$(field two CLUSTER_SERVER | cut -d. -f3)

  given "kill -9 of the keeper ends its cluster and not the other"
  kill -9 "$(field one CLUSTER_SUPERVISOR_PID)"
  within 20 stopped one
  kubectl two get namespaces >/dev/null
  "$cluster" env one >/dev/null 2>&1 && fail "env of a dead cluster succeeded"

  given "up after that gives a new, empty cluster"
  "$cluster" up one
  kubectl one get configmap only-in-one >/dev/null 2>&1 && fail "old objects are back"

  given "kill -9 of init makes the keeper clean up"
  kill -9 "$(field two CLUSTER_INIT_PID)"
  within 20 stopped two
  within 20 test ! -e "/sys/class/net/frb$number_two"

  given "a start that fails names the log to read"
  bad=$(mktemp -d)
  for n in etcd kube-apiserver kube-controller-manager kubectl; do printf '#!/bin/sh\necho broken on purpose; exit 3\n' >"$bad/$n"; done
  chmod +x "$bad"/*
  "$cluster" down two >/dev/null
  output=$(KUBEBUILDER_ASSETS=$bad "$cluster" up two 2>&1) && fail "a cluster of broken binaries came up"
  grep -qE "read $FROLLBACK_STATE/two/log/(etcd|kube-apiserver).log" <<<"$output" || fail "no log named in: $output"
  rm -rf "$bad"
  grep -q "broken on purpose" <<<"$output" || fail "the log's end is not shown in: $output"

  given "down leaves nothing"
  "$cluster" down one
  "$cluster" down two
  assert_nothing_left "$number_one" one
  assert_nothing_left "$number_two" two
  [ -z "$("$cluster" status | tail -n +2)" ] || fail "status still lists a cluster"

  given "a user's own cluster is left alone"
  USE_EXISTING_CLUSTER=true KUBECONFIG=/nowhere/config "$cluster" up one
  [ ! -e "$FROLLBACK_STATE/one" ] || fail "up touched something although USE_EXISTING_CLUSTER is set"
  USE_EXISTING_CLUSTER=true KUBECONFIG=/nowhere/config "$cluster" env one | grep >/dev/null "KUBECONFIG=/nowhere/config" || fail "env does not hand KUBECONFIG on"
}

test_node() {
  local images number ip before after
  given "a node cluster with the demo application in release 1.0.0"
  images=$FROLLBACK_STATE/.images
  "$here/images/build" postgres "$images"
  "$here/images/build" demo-app "$images"
  "$cluster" up one --tier node --image "$images"/*.tar
  number=$(field one CLUSTER_SERVER | cut -d. -f3)
  kubectl one apply -k "$here/demo-app/manifests"
  kubectl one -n demo rollout status statefulset/db deployment/shop --timeout=90s
  ip=$(kubectl one -n demo get service shop -o jsonpath='{.spec.clusterIP}')
  shop() { curl -sS -m 5 -o /dev/null -w '%{http_code}' "http://$ip:8080/$1" || true; }
  answers() { [ "$(shop "$1")" = "$2" ]; }
  rolled() { kubectl one -n demo set image deployment/shop "shop=localhost/demo-app:$1" >/dev/null &&
    kubectl one -n demo rollout status deployment/shop --timeout=60s >/dev/null; }

  given "release 1.0.0 works, seen from the host through the Service"
  for path in healthz version orders checkout acked; do within 10 answers $path 200; done
  acked() { curl -sS -m 5 "http://$ip:8080/acked" | grep -v >/dev/null '"count": 0'; }
  within 10 acked

  given "release 2.0.0 migrates, is healthy, and its checkout fails"
  rolled 2.0.0
  within 10 answers healthz 200
  within 10 answers checkout 500
  [ "$(kubectl one -n demo exec db-0 -- psql -XAtq -U postgres -d shop -c 'select count(*) from migrations')" = 2 ] || fail "release 2.0.0 did not migrate"

  given "release 1.0.0 on that database says it is healthy, and is broken"
  rolled 1.0.0
  within 10 answers healthz 200
  within 10 answers orders 500

  given "a restarted database keeps its data"
  before=$(kubectl one -n demo exec db-0 -- psql -XAtq -U postgres -d shop -c 'select count(*) from orders')
  kubectl one -n demo delete pod db-0 >/dev/null
  kubectl one -n demo rollout status statefulset/db --timeout=60s >/dev/null
  after=$(kubectl one -n demo exec db-0 -- psql -XAtq -U postgres -d shop -c 'select count(*) from orders')
  [ "$before" -gt 0 ] && [ "$after" -ge "$before" ] || fail "orders before the restart: $before, after: $after"

  given "a name outside the cluster is refused at once"
  SECONDS=0
  kubectl one -n demo exec db-0 -- getent ahosts name.outside.example >/dev/null 2>&1 && fail "a name outside resolved"
  [ $SECONDS -lt 5 ] || fail "a name outside took $SECONDS s"

  given "a limited volume is as big as it claims, and a deleted claim takes its volume away"
  kubectl one apply -f - >/dev/null <<'YAML'
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: small, namespace: demo}
spec: {storageClassName: limited, accessModes: [ReadWriteOnce], resources: {requests: {storage: 16Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: filler, namespace: demo}
spec:
  restartPolicy: Never
  securityContext: {runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: filler
    image: localhost/postgres:15
    command: [dd, if=/dev/zero, of=/data/file, bs=1M, count=32]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: small}}]
YAML
  full() { kubectl one -n demo logs filler | grep >/dev/null "No space left on device"; }
  within 30 full
  kubectl one -n demo delete pod/filler pvc/small >/dev/null
  gone() { [ "$(kubectl one get persistentvolumes -o name | wc -l)" = 2 ]; }
  within 30 gone

  given "a killed kubelet and containerd come back and the pods live on"
  "$cluster" restart one containerd
  "$cluster" restart one kubelet
  within 30 kubectl one -n demo exec db-0 -- pg_isready -q -h 127.0.0.1
  within 30 answers healthz 200

  given "a killed node cluster leaves only files, and down removes those"
  kill -9 "$(field one CLUSTER_INIT_PID)"
  within 20 stopped one
  "$cluster" down one
  assert_nothing_left "$number" one
}

case $tier in
  api | node) "test_$tier" ;;
  all) test_api; test_node ;;
  *) echo "usage: selftest.sh [api|node|all]" >&2; exit 2 ;;
esac
echo "selftest: passed"
