"""The processes of a cluster: their command lines, and how each shows that it works."""
import dataclasses
import pathlib
import typing

from . import api
from .network import Plan
from .state import Cluster

AUDIT_POLICY = pathlib.Path(__file__).resolve().parent.parent / "audit-policy.yaml"


@dataclasses.dataclass
class Component:
    name: str
    argv: list
    ready: typing.Callable[[], bool]
    seconds: float = 60          # how long it may take to become ready
    environment: dict = dataclasses.field(default_factory=dict)


class ControlPlane:
    """etcd, kube-apiserver and kube-controller-manager: all of the api tier."""

    def __init__(self, cluster: Cluster, plan: Plan, binaries: pathlib.Path, tier: str):
        self.cluster, self.plan, self.binaries, self.tier = cluster, plan, binaries, tier
        self.api = api.Api(cluster, plan.node_ip)

    def etcd(self) -> Component:
        return Component("etcd", [
            self.binaries / "etcd", f"--data-dir={self.cluster.dir}/etcd", "--unsafe-no-fsync",
            "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380", "--log-level=warn",
        ], lambda: api.answers("127.0.0.1", 2379, "/health"))

    def apiserver(self) -> Component:
        pki = self.cluster.pki
        return Component("kube-apiserver", [
            self.binaries / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
            f"--bind-address={self.plan.node_ip}", f"--advertise-address={self.plan.node_ip}",
            f"--service-cluster-ip-range={self.plan.services}",
            f"--tls-cert-file={pki}/kube-apiserver.crt", f"--tls-private-key-file={pki}/kube-apiserver.key",
            f"--client-ca-file={pki}/ca.crt", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            "--anonymous-auth=true",                     # probes of /readyz; RBAC gives anonymous nothing else
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
            f"--kubelet-client-certificate={pki}/admin.crt", f"--kubelet-client-key={pki}/admin.key",
            f"--kubelet-certificate-authority={pki}/ca.crt", "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            f"--audit-policy-file={AUDIT_POLICY}", f"--audit-log-path={self.cluster.audit_log}",
            "--audit-log-mode=blocking-strict", "--audit-log-maxsize=10240",      # megabytes: never rotated within a test
        ], self.api.ready, seconds=120)

    def controller_manager(self) -> Component:
        pki = self.cluster.pki
        argv = [
            self.binaries / "kube-controller-manager", f"--kubeconfig={self.cluster.kubeconfig('kube-controller-manager')}",
            f"--root-ca-file={pki}/ca.crt", f"--service-account-private-key-file={pki}/sa.key",
            "--use-service-account-credentials", "--leader-elect=false", "--kube-api-qps=200", "--kube-api-burst=400",
            "--authentication-skip-lookup=true",         # it would end at once when started before the RBAC bootstrap
            f"--flex-volume-plugin-dir={self.cluster.dir}/plugins",
        ]
        if self.tier == "api":                           # Node objects made by tests have no kubelet and must not turn NotReady
            argv.append("--controllers=*,-node-lifecycle-controller")
        return Component("kube-controller-manager", argv, self._default_account)

    def _default_account(self) -> bool:
        return self.api.get("/api/v1/namespaces/default/serviceaccounts/default") is not None
