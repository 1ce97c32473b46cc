"""Finds the Kubernetes binaries: $KUBEBUILDER_ASSETS where it holds all that are needed, else the pinned build."""
import os
import pathlib
import shutil
import subprocess

from .state import ClusterError

BUILD = pathlib.Path(__file__).resolve().parent.parent / "binaries" / "build.sh"
API = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"]
NODE = API + ["kube-scheduler", "kubelet", "kube-proxy", "coredns"]
TOOLS_API = {"ip": "iproute2", "openssl": "openssl", "mount": "mount"}
TOOLS_NODE = {**TOOLS_API, "containerd": "containerd", "ctr": "containerd", "runc": "runc", "iptables": "iptables",
              "conntrack": "conntrack"}


def find(tier: str) -> pathlib.Path:
    """The folder with the binaries of tier api or node, or with at least kubectl; built first when there is none."""
    wanted = {"kubectl": ["kubectl"], "api": API, "node": NODE}[tier]
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and all((pathlib.Path(assets) / n).is_file() for n in wanted):
        return pathlib.Path(assets)
    done = subprocess.run([str(BUILD), tier], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ClusterError(f"{BUILD} {tier} failed with exit code {done.returncode}; its output above says why")
    return pathlib.Path(done.stdout.strip().splitlines()[-1])


def check_tools(tier: str) -> None:
    tools = TOOLS_API if tier == "api" else TOOLS_NODE
    missing = sorted({package for tool, package in tools.items() if not shutil.which(tool, path=search_path())})
    if tier == "node" and not pathlib.Path("/usr/lib/cni/bridge").exists() and not pathlib.Path("/opt/cni/bin/bridge").exists():
        missing.append("containernetworking-plugins")
    if missing:
        raise ClusterError(f"the {tier} tier needs programs that are not installed; run: apt-get install -y {' '.join(missing)}")


def search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"


def cni_dir() -> str:
    return "/usr/lib/cni" if pathlib.Path("/usr/lib/cni/bridge").exists() else "/opt/cni/bin"
