"""The node tier: scheduler, kubelet, containerd, kube-proxy, CoreDNS and a volume provisioner, beside the control plane.

Each setting that looks odd is there because the plain one was seen to fail on a machine without systemd, with cgroups of
version 1, without loadable kernel modules, or as root without CAP_SYS_RESOURCE.
"""
import json
import pathlib
import subprocess
import sys

from . import api, binaries, cgroups
from .components import Component, ControlPlane
from .network import Plan
from .state import Cluster

PAUSE_IMAGE = "localhost/pause:1"
NODE_NAME = "node1"
STORAGE_CLASSES = [("standard", True), ("limited", False)]
PROVISIONER = "test-cluster/local"


class Node:
    def __init__(self, cluster: Cluster, plan: Plan, folder: pathlib.Path):
        self.cluster, self.plan, self.binaries = cluster, plan, folder
        self.api = api.Api(cluster, plan.node_ip)

    def start_with(self, plane: ControlPlane, supervisor) -> None:
        supervisor.start(self.containerd())
        supervisor.start(plane.etcd())
        supervisor.start(plane.apiserver())
        supervisor.await_ready("containerd", "etcd", "kube-apiserver")     # `cluster up` imports images from the first on
        self.create_storage_classes()
        rest = [plane.controller_manager(), self.scheduler(), self.coredns(), self.kubelet(), self.kube_proxy(), self.provisioner()]
        for component in rest:
            supervisor.start(component)
        supervisor.await_ready(*(component.name for component in rest))

    def containerd(self) -> Component:
        home, socket = self.cluster.dir, self.cluster.containerd_socket
        (self.cluster.etc / "cni").mkdir()
        (self.cluster.etc / "cni" / "10-pods.conflist").write_text(json.dumps({
            "cniVersion": "0.4.0", "name": "pods", "plugins": [
                {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": {
                    "type": "host-local", "ranges": [[{"subnet": self.plan.pods}]], "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": f"{home}/cni-addresses"}},
                {"type": "portmap", "capabilities": {"portMappings": True}}]}))
        config = self.cluster.etc / "containerd.toml"
        # restrict_oom_score_adj: without CAP_SYS_RESOURCE a negative value is refused and runc ends with
        # "can't get final child's PID from pipe: EOF".
        config.write_text(f"""version = 2
root = "{home}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{home}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{binaries.cni_dir()}"
    conf_dir = "{self.cluster.etc}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter(self.cluster)}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
""")
        return Component("containerd", ["containerd", "--config", config], lambda: api.listens(str(socket)))

    def scheduler(self) -> Component:
        return Component("kube-scheduler", [
            self.binaries / "kube-scheduler", f"--kubeconfig={self.cluster.kubeconfig('kube-scheduler')}",
            "--leader-elect=false", "--authentication-skip-lookup=true", "--kube-api-qps=200", "--kube-api-burst=400",
        ], lambda: api.answers("127.0.0.1", 10259, "/healthz", tls=True))

    def kubelet(self) -> Component:
        home, etc, pki = self.cluster.dir, self.cluster.etc, self.cluster.pki
        (etc / "resolv.conf").write_text(f"nameserver {self.plan.node_ip}\n")
        config = etc / "kubelet.yaml"
        config.write_text(f"""apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {pki}/ca.crt}}}}
authorization: {{mode: Webhook}}
tlsCertFile: {pki}/kubelet.crt
tlsPrivateKeyFile: {pki}/kubelet.key
rotateCertificates: false
cgroupDriver: cgroupfs
cgroupRoot: /{cgroups.name(self.plan.number)}
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: [pods]
clusterDomain: cluster.local
clusterDNS: [{self.plan.node_ip}]
resolvConf: {etc}/resolv.conf
containerRuntimeEndpoint: unix://{self.cluster.containerd_socket}
volumePluginDir: {home}/plugins
serializeImagePulls: false
kubeAPIQPS: 100
kubeAPIBurst: 200
imageGCHighThresholdPercent: 100   # an image thrown away could not be pulled again
imageGCLowThresholdPercent: 99
evictionHard: {{memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}}
""")
        return Component("kubelet", [
            self.binaries / "kubelet", f"--config={config}", f"--kubeconfig={self.cluster.kubeconfig('kubelet')}",
            f"--root-dir={home}/kubelet", f"--hostname-override={NODE_NAME}", f"--node-ip={self.plan.node_ip}",
        ], self.node_ready, seconds=90)

    def kube_proxy(self) -> Component:
        config = self.cluster.etc / "kube-proxy.yaml"
        config.write_text(f"""apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {{kubeconfig: {self.cluster.kubeconfig('kube-proxy')}}}
mode: iptables
clusterCIDR: {self.plan.pods}
hostnameOverride: {NODE_NAME}
nodePortAddresses: [{self.plan.node_ip}/32]
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}   # leaves the kernel's settings alone
iptables: {{minSyncPeriod: 100ms}}
""")
        return Component("kube-proxy", [self.binaries / "kube-proxy", f"--config={config}"],
                         lambda: api.answers("127.0.0.1", 10256, "/healthz"))

    def coredns(self) -> Component:
        corefile = self.cluster.etc / "Corefile"
        # The root zone is the plugin's own too: any other name gets a firm NXDOMAIN, where a SERVFAIL would be asked again.
        corefile.write_text(f""".:53 {{
  bind {self.plan.node_ip}
  errors
  health 127.0.0.1:8054
  kubernetes cluster.local in-addr.arpa . {{
    kubeconfig {self.cluster.kubeconfig()} {self.cluster.name}
    ttl 1
  }}
}}
""")
        return Component("coredns", [self.binaries / "coredns", "-conf", corefile],
                         lambda: api.answers("127.0.0.1", 8054, "/health"))

    def provisioner(self) -> Component:
        self.cluster.volumes.mkdir()
        ready = self.cluster.dir / "provisioner.ready"
        home = pathlib.Path(__file__).resolve().parent.parent
        return Component("provisioner", [sys.executable, "-m", "harness.provisioner", self.cluster.dir, self.plan.node_ip, ready],
                         ready.exists, environment={"PYTHONPATH": str(home), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"})

    def create_storage_classes(self) -> None:
        for name, default in STORAGE_CLASSES:
            self.api.create("/apis/storage.k8s.io/v1/storageclasses", {
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": PROVISIONER,
                "metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": str(default).lower()}}})

    def node_ready(self) -> bool:
        node = self.api.get(f"/api/v1/nodes/{NODE_NAME}")
        if node is None or node["spec"].get("taints"):
            return False
        return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))


def snapshotter(cluster: Cluster) -> str:
    """overlayfs where the state folder's file system can carry it (not where it is an overlay itself), else plain copies."""
    probe = cluster.dir / "overlay-probe"
    for name in ("lower", "upper", "work", "merged"):
        (probe / name).mkdir(parents=True)
    options = f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work"
    mounted = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, f"{probe}/merged"], capture_output=True)
    if mounted.returncode != 0:
        return "native"
    subprocess.run(["umount", f"{probe}/merged"], check=True)
    return "overlayfs"
