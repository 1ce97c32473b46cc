"""Addresses of a cluster and the veth pair that joins its network namespace to the host.

Cluster number N owns 10.97.N.0/24 (host end .1, node .2), services 10.96.N.0/24 and pods 10.98.N.0/24. The number is
claimed by creating the interface `frb<N>`, which only one process can do; interface and routes vanish with the
cluster's network namespace, so a dead cluster gives its number back by itself. Whoever has it then is told from the one before by
the interface's index, which the kernel gives once in a boot.
"""
import contextlib
import fcntl
import pathlib
import subprocess

from .state import ClusterError, boot

LOCK = "/run/lock/framework-rollback-network.lock"
NUMBERS = range(1, 250)


class Plan:
    """Every address of cluster number N."""

    def __init__(self, number: int):
        self.number = number
        self.interface = f"frb{number}"
        self.host_ip = f"10.97.{number}.1"
        self.node_ip = f"10.97.{number}.2"
        self.services = f"10.96.{number}.0/24"
        self.kubernetes_ip = f"10.96.{number}.1"
        self.pods = f"10.98.{number}.0/24"
        self.server = f"https://{self.node_ip}:6443"


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def claim(pid: int) -> Plan:
    """From the host: makes the pair, its far end named eth0 in the network namespace of `pid`, and the host's routes."""
    pathlib.Path(LOCK).parent.mkdir(parents=True, exist_ok=True)
    with open(LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for number in NUMBERS:
            plan = Plan(number)
            if pathlib.Path(f"/sys/class/net/{plan.interface}").exists():
                continue
            run("ip", "link", "add", plan.interface, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
            run("ip", "addr", "add", f"{plan.host_ip}/24", "dev", plan.interface)
            run("ip", "link", "set", plan.interface, "up")
            run("ip", "route", "replace", plan.services, "via", plan.node_ip, "dev", plan.interface)
            run("ip", "route", "replace", plan.pods, "via", plan.node_ip, "dev", plan.interface)
            return plan
    raise ClusterError(f"all {len(NUMBERS)} cluster networks are in use; end clusters with `cluster down`")


def configure_inside(plan: Plan, node: bool) -> None:
    """In the cluster's namespace. The network is closed: what is not the cluster or the host is refused at once."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "addr", "add", f"{plan.node_ip}/24", "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "route", "add", "default", "via", plan.host_ip)      # kubelet and kube-proxy look for one
    if node:
        for setting, value in (("net/ipv4/ip_forward", "1"), ("net/bridge/bridge-nf-call-iptables", "1")):
            with contextlib.suppress(FileNotFoundError):           # no br_netfilter: pods reach Services of other pods only
                pathlib.Path(f"/proc/sys/{setting}").write_text(value)
        for chain in ("OUTPUT", "FORWARD"):
            # A Service's address is already a pod's here, while the interface is still the one of the first routing.
            run("iptables", "-w", "-A", chain, "-o", "eth0", "!", "-d", "10.96.0.0/14",
                "-j", "REJECT", "--reject-with", "icmp-admin-prohibited")


def claimed(number: int):
    """Which claim of the number is in force, None if nobody's."""
    try:
        return f"{boot()}:" + pathlib.Path(f"/sys/class/net/{Plan(number).interface}/ifindex").read_text().strip()
    except OSError:
        return None


def remove(number: int, held) -> None:
    """The interface goes with its namespace; this is for a namespace something else still holds. Only while the claim
    that was `held` is in force."""
    if claimed(number) == held:
        with contextlib.suppress(ClusterError):
            run("ip", "link", "delete", Plan(number).interface)
