"""What the commands of `cluster` do: up, down, import, env, logs, status, restart, user."""
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time

from . import binaries, cgroups, network, pki
from .deadline import Deadline, poll
from .state import Cluster, ClusterError, cache_root, hand_over
from .supervisor import launch, tail

UP_SECONDS = 300                 # the whole start, imports included; each component has a shorter limit of its own
DOWN_SECONDS = 30
FORGET_SECONDS = 30
GIVE_BACK = pathlib.Path(__file__).resolve().parent.parent / "give-back"
IMAGES = pathlib.Path(__file__).resolve().parent.parent / "images"


def existing() -> bool:
    """Whether the user brings a cluster of their own, as in kubebuilder's test environment."""
    return os.environ.get("USE_EXISTING_CLUSTER", "").lower() in ("true", "1")


def need_root() -> None:
    if os.geteuid() != 0:
        raise ClusterError("needs root, for namespaces, mounts and cgroups; run it with sudo -E, "
                           "or set USE_EXISTING_CLUSTER=true and KUBECONFIG to use a cluster you have")


def up(cluster: Cluster, tier: str, images: list) -> int:
    if existing():
        if images:
            print("cluster: USE_EXISTING_CLUSTER is set; images are not imported, your cluster must have them", file=sys.stderr)
        environment(cluster)
        return 0
    need_root()
    for archive in images:
        if not pathlib.Path(archive).is_file():
            raise ClusterError(f"image archive {archive}: no such file")
    if images and tier != "node":
        raise ClusterError("--image needs --tier node: the api tier runs no pods")
    binaries.check_tools(tier)
    found = binaries.find(tier)
    images = _pause_archive() + images if tier == "node" else []
    began = time.monotonic()
    with cluster.locked():
        if cluster.running() and cluster.record().get("state") == "ready":
            has = cluster.record()["tier"]
            if has != tier and tier == "node":
                raise ClusterError(f"{cluster.name} is up as tier {has}; `cluster down {cluster.name}` first")
            print(f"cluster {cluster.name}: already up (tier {has})")
            return import_images(cluster, images[1:]) if images[1:] else 0
        _clean(cluster)
        cluster.dir.mkdir(parents=True)
        cluster.log_dir.mkdir()
        cluster.kubectl_cache.mkdir()
        hand_over(cluster.kubectl_cache)
        pipe = launch(cluster, tier, found)
        try:
            _follow(cluster, pipe, images)
        except BaseException:
            _kill(cluster)                       # the folder stays: its logs say why
            raise
        finally:
            os.close(pipe)
            subprocess.run([str(GIVE_BACK)], stdin=subprocess.DEVNULL, check=False)
    print(f"cluster {cluster.name}: ready after {time.monotonic() - began:.1f} s (tier {tier}, "
          f"{network.Plan(cluster.record()['number']).server}); eval \"$({sys.argv[0]} env {cluster.name})\"")
    return 0


def _pause_archive() -> list:
    """The image every pod's sandbox runs."""
    folder = cache_root() / "images"
    done = subprocess.run([str(IMAGES / "build"), "pause", str(folder)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ClusterError(f"{IMAGES}/build pause {folder} failed; its output above says why")
    return [str(folder / "pause.tar")]


def _follow(cluster: Cluster, pipe: int, images: list) -> None:
    """Reads the supervisor's reports until the cluster is ready; imports the images once containerd answers."""
    deadline = Deadline(UP_SECONDS)
    buffered = b""
    supervisor_log = cluster.log("supervisor")
    while True:
        if not select.select([pipe], [], [], deadline.left())[0]:
            raise ClusterError(f"{cluster.name} was not ready after {UP_SECONDS} s; read {supervisor_log}" + tail(supervisor_log))
        chunk = os.read(pipe, 65536)
        if not chunk:
            raise ClusterError(f"{cluster.name}: the supervisor ended while starting; read {supervisor_log}" + tail(supervisor_log))
        buffered += chunk
        *lines, buffered = buffered.split(b"\n")
        for line in lines:
            report = json.loads(line)
            if "failed" in report:
                raise ClusterError(f"{cluster.name}: {report['failed']}")
            if "up" in report:
                print(f"cluster {cluster.name}: {report['up']} ready after {report['seconds']} s", flush=True)
            if report.get("up") == "containerd":
                for archive in images:
                    load(cluster, archive)
            if "ready" in report:
                return


def down(cluster: Cluster, keep_logs) -> int:
    if existing():
        return 0
    need_root()
    with cluster.locked():
        if not cluster.exists():
            print(f"cluster {cluster.name}: is not up")
            return 0
        if keep_logs:
            target = pathlib.Path(keep_logs) / cluster.name
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            for extra in (*cluster.log_dir.glob("*.log"), cluster.audit_log, cluster.record_path):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy(extra, target)
        _clean(cluster)
    print(f"cluster {cluster.name}: down")
    return 0


def _kill(cluster: Cluster) -> None:
    """Ends all processes. Only init is signalled: the kernel then ends the rest of its pid namespace."""
    processes = [p for p in (cluster.init(), cluster.keeper()) if p is not None]
    for process in processes[:1]:
        process.signal(signal.SIGKILL)
    if poll(lambda: not any(p.alive() for p in processes), DOWN_SECONDS):
        return
    for process in processes:
        process.signal(signal.SIGKILL)
    if not poll(lambda: not any(p.alive() for p in processes), DOWN_SECONDS):
        pids = ", ".join(str(p.pid) for p in processes if p.alive())
        raise ClusterError(f"{cluster.name}: process {pids} is still there {2 * DOWN_SECONDS} s after SIGKILL; "
                           f"look at /proc/PID/stack, then run `cluster down {cluster.name}` again")


def _clean(cluster: Cluster) -> None:
    """Ends the cluster if it runs, and removes whatever it, or one that was killed, left behind."""
    if not cluster.exists():
        return
    _kill(cluster)
    number, claim = cluster.record().get("number"), cluster.record().get("claim")
    if number is not None and network.claimed(number) in (None, claim):        # else it is another cluster's by now, of whichever folder
        cgroups.remove(number)
        network.remove(number, claim)
        left = cgroups.leftovers(number)
        if left:
            raise ClusterError(f"{cluster.name}: cannot remove the cgroup {left[0]}; cat its cgroup.procs to see who is in it")
    gone = cluster.dir.with_name(f".gone-{cluster.name}-{os.getpid()}-{time.time_ns()}")
    os.rename(cluster.dir, gone)
    _forget(gone)


def _forget(gone: pathlib.Path) -> None:
    """Removes the files of clusters that are gone, also of those whose removal was cut off. A node that unpacked n8n has 200,000 of
    them, which took a disk that discards what is freed 5 minutes: longer than a person waits, it goes on by itself."""
    remover = subprocess.Popen(["rm", "-rf", "--", *gone.parent.glob(".gone-*")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True, cwd="/")
    try:
        remover.wait(FORGET_SECONDS)
        if gone.exists():
            raise ClusterError(f"{gone}: what the cluster left cannot be removed; rm -rf says why")
    except subprocess.TimeoutExpired:
        print(f"the cluster's files, now {gone}, are still being removed; that goes on by itself", flush=True)


def import_images(cluster: Cluster, archives: list) -> int:
    if existing():
        return 0
    record = _running_record(cluster)
    if record["tier"] != "node":
        raise ClusterError(f"{cluster.name} is of tier {record['tier']} and runs no pods; start it with --tier node")
    for archive in archives:
        load(cluster, archive)
        print(f"cluster {cluster.name}: imported {archive}")
    return 0


def load(cluster: Cluster, archive: str) -> None:
    if not pathlib.Path(archive).is_file():
        raise ClusterError(f"image archive {archive}: no such file")
    done = subprocess.run(["ctr", "--address", str(cluster.containerd_socket), "--namespace", "k8s.io", "images", "import",
                           "--all-platforms", str(archive)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ClusterError(f"importing {archive}: {done.stderr.strip()}; read {cluster.log('containerd')}")


def _running_record(cluster: Cluster) -> dict:
    if not cluster.running():
        if cluster.exists():
            raise ClusterError(f"{cluster.name} is not running (its logs are in {cluster.log_dir}); `cluster up {cluster.name}`")
        raise ClusterError(f"{cluster.name} is not up; `cluster up {cluster.name}`")
    return cluster.record()


def environment(cluster: Cluster) -> dict:
    if existing():
        if not os.environ.get("KUBECONFIG"):
            raise ClusterError("USE_EXISTING_CLUSTER is set but KUBECONFIG is not; say which cluster")
        return {"KUBECONFIG": os.environ["KUBECONFIG"], "KUBECTL": str(binaries.find("kubectl") / "kubectl")}
    record = _running_record(cluster)
    plan = network.Plan(record["number"])
    return {
        "KUBECONFIG": str(cluster.kubeconfig()),
        "KUBECTL": str(pathlib.Path(record["binaries"]) / "kubectl"),
        "KUBECACHEDIR": str(cluster.kubectl_cache),   # of another cluster that had this address it would be wrong
        "AUDIT_LOG": str(cluster.audit_log),
        "CLUSTER_NAME": cluster.name,
        "CLUSTER_TIER": record["tier"],
        "CLUSTER_STATE": str(cluster.dir),
        "CLUSTER_SERVER": plan.server,
        "CLUSTER_CA": str(cluster.pki / "ca.crt"),
        "CLUSTER_HOST_IP": plan.host_ip,           # where a process on the host is reachable from pods
        "CLUSTER_NODE_IP": plan.node_ip,
        "CLUSTER_SUPERVISOR_PID": str(record["keeper"]["pid"]),
        "CLUSTER_INIT_PID": str(record["init"]["pid"]),
    }


def logs(cluster: Cluster, component) -> int:
    if not cluster.log_dir.is_dir():
        raise ClusterError(f"{cluster.name} has no logs; it is not up")
    if component is None:
        for path in sorted(cluster.log_dir.iterdir()):
            print(path)
        return 0
    path = cluster.log(component)
    if not path.is_file():
        names = " ".join(sorted(p.stem for p in cluster.log_dir.iterdir()))
        raise ClusterError(f"{cluster.name} has no component {component}; it has: {names}")
    with open(path, "rb") as source:
        shutil.copyfileobj(source, sys.stdout.buffer)
    return 0


def status(clusters: list) -> int:
    print(f"{'NAME':<20} {'TIER':<5} {'STATE':<9} {'SERVER':<26} PID")
    for cluster in clusters:
        record = cluster.record()
        state = record.get("state", "unknown") if cluster.running() else "stopped"
        server = network.Plan(record["number"]).server if "number" in record else "-"
        pid = record.get("init", {}).get("pid", "-")
        print(f"{cluster.name:<20} {record.get('tier', '-'):<5} {state:<9} {server:<26} {pid}")
    return 0


def restart(cluster: Cluster, component: str) -> int:
    """Kills every process of the cluster's namespace that runs the component's command, found by its session's log file."""
    record = _running_record(cluster)
    log = os.path.realpath(cluster.log(component))
    if not os.path.exists(log):
        raise ClusterError(f"{cluster.name} has no component {component}; `cluster logs {cluster.name}` lists them")
    parent = record["init"]["pid"]
    children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    for pid in children:
        with contextlib.suppress(FileNotFoundError):
            if os.path.realpath(f"/proc/{pid}/fd/2") == log:
                os.kill(int(pid), signal.SIGKILL)
                print(f"cluster {cluster.name}: killed {component}")
                return 0
    raise ClusterError(f"{cluster.name}: {component} is not running now; read {cluster.log('supervisor')}")


def user(cluster: Cluster, name: str, groups: list) -> int:
    record = _running_record(cluster)
    pki.issue(cluster, f"user-{name}", "".join(f"/O={g}" for g in groups) + f"/CN={name}")
    pki.write_kubeconfig(cluster, f"user-{name}", network.Plan(record["number"]).server)
    print(cluster.kubeconfig(f"user-{name}"))
    return 0
