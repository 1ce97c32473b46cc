"""Where a cluster keeps its files, and who is running it.

One directory per cluster, `$FROLLBACK_STATE/<name>`. `cluster.json` is the record: it is replaced as a whole, so a reader
sees either the old or the new one. A process is identified by its pid and its start time, so a reused pid is never taken
for ours.
"""
import contextlib
import fcntl
import json
import os
import pathlib
import re

NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$")


class ClusterError(Exception):
    """A failure with a message for the user: what was attempted, what happened, what to do."""


def cache_root() -> pathlib.Path:
    explicit = os.environ.get("FROLLBACK_CACHE")
    if explicit:
        return pathlib.Path(explicit)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "framework-rollback"


def state_root() -> pathlib.Path:
    explicit = os.environ.get("FROLLBACK_STATE")
    return pathlib.Path(explicit).absolute() if explicit else cache_root() / "clusters"


def hand_over(*paths: pathlib.Path) -> None:
    """What was made as root for whoever called sudo is theirs."""
    uid = int(os.environ.get("SUDO_UID") or 0)
    for path in paths if uid and os.geteuid() == 0 else ():
        os.chown(path, uid, int(os.environ.get("SUDO_GID") or uid))


class Cluster:
    """The paths and the record of one cluster. Cheap to make; touches nothing until asked."""

    def __init__(self, name: str, root=None):
        if not NAME.match(name):
            raise ClusterError(f"cluster name {name!r}: use up to 20 lower-case letters, digits and dashes")
        self.name = name
        self.dir = (root or state_root()) / name
        self.log_dir = self.dir / "log"
        self.pki = self.dir / "pki"
        self.etc = self.dir / "etc"
        self.volumes = self.dir / "volumes"
        self.kubectl_cache = self.dir / "kubectl-cache"
        self.record_path = self.dir / "cluster.json"
        self.audit_log = self.dir / "audit.log"
        self.containerd_socket = self.dir / "containerd.sock"
        if len(str(self.containerd_socket)) > 100:
            raise ClusterError(f"{self.containerd_socket}: too long for a unix socket (100 characters at most); "
                               "set FROLLBACK_STATE to a shorter folder")

    @staticmethod
    def at(folder: pathlib.Path) -> "Cluster":
        return Cluster(folder.name, folder.parent)

    def exists(self) -> bool:
        return self.dir.is_dir()

    def log(self, component: str) -> pathlib.Path:
        return self.log_dir / f"{component}.log"

    def kubeconfig(self, user: str = "admin") -> pathlib.Path:
        return self.etc / f"{user}.kubeconfig"

    def record(self) -> dict:
        try:
            return json.loads(self.record_path.read_text())
        except FileNotFoundError:
            return {}

    def update(self, **fields) -> dict:
        """Only the supervisor's processes write, one after the other, so read-modify-write needs no lock."""
        merged = {**self.record(), **fields}
        scratch = self.record_path.with_suffix(".new")
        scratch.write_text(json.dumps(merged, indent=1) + "\n")
        os.replace(scratch, self.record_path)
        return merged

    def keeper(self):
        return Process.of(self.record().get("keeper"))

    def init(self):
        return Process.of(self.record().get("init"))

    def running(self) -> bool:
        init = self.init()
        return init is not None and init.alive()

    @contextlib.contextmanager
    def locked(self):
        """One `up` or `down` of a name at a time; the second waits."""
        root = state_root()
        root.mkdir(parents=True, exist_ok=True)
        with open(root / f".{self.name}.lock", "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def all_clusters() -> list:
    root = state_root()
    if not root.is_dir():
        return []
    return [Cluster(entry.name) for entry in sorted(root.iterdir()) if entry.is_dir() and NAME.match(entry.name)]


class Process:
    """A process by pid and start time, so that killing it can never hit a stranger with the same number."""

    def __init__(self, pid: int, started: str):
        self.pid = pid
        self.started = started

    @staticmethod
    def of(entry):
        return Process(entry["pid"], entry["started"]) if entry else None

    @staticmethod
    def find(pid: int):
        return Process(pid, _stat(pid)[1])

    def entry(self) -> dict:
        return {"pid": self.pid, "started": self.started}

    def alive(self) -> bool:
        try:
            status, started = _stat(self.pid)
        except FileNotFoundError:
            return False
        return started == self.started and status not in "ZX"    # a zombie waits for a careless parent and runs nothing

    def signal(self, number: int) -> None:
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _stat(pid: int):
    """(state letter, start time in ticks since boot with the boot's id)"""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        raise FileNotFoundError(pid) from None
    fields = text[text.rindex(")") + 2:].split()
    return fields[0], f"{boot()}:{fields[19]}"


def boot() -> str:
    """Which boot of the machine this is."""
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
