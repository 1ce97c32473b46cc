"""The cluster's certificates and kubeconfigs, made with openssl: elliptic keys, so the whole set takes well under a second."""
import subprocess

from .network import Plan
from .state import Cluster, ClusterError, hand_over

USERS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "kubelet": "/O=system:nodes/CN=system:node:node1",
}
CURVE = ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
DAYS = "3650"


def make(cluster: Cluster, plan: Plan) -> None:
    """Writes ca, server and client certificates, the service-account key pair, and a kubeconfig per user."""
    pki = cluster.pki
    pki.mkdir(parents=True, exist_ok=True)
    cluster.etc.mkdir(exist_ok=True)
    _openssl("req", "-x509", "-newkey", "ec", *CURVE, "-nodes", "-keyout", pki / "ca.key", "-out", pki / "ca.crt",
             "-days", DAYS, "-subj", "/CN=test-cluster-ca", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"]
    sans = [f"DNS:{n}" for n in names] + [f"IP:{a}" for a in ("127.0.0.1", plan.node_ip, plan.kubernetes_ip)]
    issue(cluster, "kube-apiserver", "/CN=kube-apiserver", sans)
    for user, subject in USERS.items():
        issue(cluster, user, subject, ["DNS:node1", f"IP:{plan.node_ip}", "IP:127.0.0.1"] if user == "kubelet" else [])
        write_kubeconfig(cluster, user, plan.server)
    _openssl("genpkey", "-algorithm", "EC", *CURVE, "-out", pki / "sa.key")
    _openssl("pkey", "-in", pki / "sa.key", "-pubout", "-out", pki / "sa.pub")


def issue(cluster: Cluster, name: str, subject: str, sans=()) -> None:
    pki = cluster.pki
    _openssl("req", "-new", "-newkey", "ec", *CURVE, "-nodes", "-keyout", pki / f"{name}.key", "-out", pki / f"{name}.csr",
             "-subj", subject)
    extensions = ["basicConstraints=CA:FALSE", "keyUsage=digitalSignature", "extendedKeyUsage=serverAuth,clientAuth"]
    if sans:
        extensions.append("subjectAltName=" + ",".join(sans))
    (pki / f"{name}.ext").write_text("\n".join(extensions) + "\n")
    _openssl("x509", "-req", "-in", pki / f"{name}.csr", "-CA", pki / "ca.crt", "-CAkey", pki / "ca.key",
             "-CAcreateserial", "-out", pki / f"{name}.crt", "-days", DAYS, "-extfile", pki / f"{name}.ext")


def write_kubeconfig(cluster: Cluster, user: str, server: str) -> None:
    pki = cluster.pki
    path = cluster.kubeconfig(user)
    path.write_text(f"""apiVersion: v1
kind: Config
clusters:
- name: {cluster.name}
  cluster: {{server: "{server}", certificate-authority: {pki}/ca.crt}}
users:
- name: {user}
  user: {{client-certificate: {pki}/{user}.crt, client-key: {pki}/{user}.key}}
contexts:
- name: {cluster.name}
  context: {{cluster: {cluster.name}, user: {user}}}
current-context: {cluster.name}
""")
    path.chmod(0o600)
    if user not in USERS or user == "admin":         # of people
        hand_over(path, pki / f"{user}.key")


def _openssl(*args) -> None:
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ClusterError(f"openssl {args[0]} failed while making the cluster's certificates: {done.stderr.strip()}")
