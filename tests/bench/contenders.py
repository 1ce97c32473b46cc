"""What the benches caches and events share: the fast API server, and how each contender is started and watched."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "build/bench"
OPERATOR = ROOT / "build" / os.environ.get("PRESET", "release") / "bin/rollback-operator"
TICKS = os.sysconf("SC_CLK_TCK")
NAMES = ("rollback-operator", "controller-runtime", "kube-rs")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """The fast API server with what was asked for already in it."""

    def __init__(self, **flags):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen([OUT / "apiserver", "-listen", f"127.0.0.1:{self.port}", *[f"-{k.replace('_', '-')}={v}" for k, v in flags.items()]],
                                        stdout=subprocess.PIPE, text=True)
        self.said = self.process.stdout.readline().strip()

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=120) as answer:
            return json.loads(answer.read())

    def seen(self, reset=False):
        return self.get("/bench/seen" + ("?reset=1" if reset else ""))

    def close(self):
        self.process.terminate()
        self.process.wait()


class Contender:
    """One running program. `marks` holds the seconds after its start at which it said something."""

    def __init__(self, name, argv):
        self.name, self.marks, self.lines = name, {}, []
        self.started = time.monotonic()
        self.process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.pid = self.process.pid
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            del self.lines[:-200]
            self.heard(line, time.monotonic() - self.started)

    def heard(self, line, at):
        match = re.match(r"(synced|reconciled) (\d+)$", line)
        if match:
            self.marks[match[1]] = int(match[2]) / 1000

    def wait(self, mark, timeout):
        end = time.monotonic() + timeout
        while mark not in self.marks:
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{self.name}: not {mark}\n{''.join(self.lines[-20:])}")
            self.poll()
            time.sleep(0.02)
        return self.marks[mark]

    def poll(self):
        pass

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self):
        """(resident now, its peak) in MB"""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return tuple(int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1024 for name in ("VmRSS", "VmHWM"))

    def wakeups(self):
        """Times a thread of it went to sleep and was woken again, so far."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M)[1])
            except FileNotFoundError:
                pass
        return total

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Operator(Contender):
    """rollback-operator itself, as it is shipped. It has synced when its ten caches said so, and reconciled when as many Frameworks as
    there are went through and its queues are empty."""

    def __init__(self, server, expect, workers=4):
        self.metrics, self.expect, self.synced = free_port(), expect, set()
        self.config = pathlib.Path(tempfile.mkdtemp(prefix="frb-bench-")) / "kubeconfig"
        self.config.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [{"name": "c", "cluster": {"server": server.url}}],
                                           "users": [{"name": "u", "user": {}}], "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}))
        super().__init__("rollback-operator", [OPERATOR, "--kubeconfig", self.config, "--leader-elect=false", f"--metrics-addr=127.0.0.1:{self.metrics}", "--probe-addr=",
                                               "--mover-image", "localhost/rollback-mover:dev", "--workers", workers, "--log-format", "json", "--lease-namespace", "default"])

    def heard(self, line, at):
        if "cache synced" in line:
            self.synced.add(json.loads(line).get("resource"))
            if len(self.synced) == 10:
                self.marks["synced"] = at

    def metric(self, pattern):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=30) as answer:
                return sum(float(value) for value in re.findall(pattern + r"\S* (\S+)$", answer.read().decode(), re.M))
        except OSError:
            return 0.0

    def poll(self):
        if "synced" in self.marks and "reconciled" not in self.marks:
            if self.metric(r'^controller_runtime_reconcile_total\{controller="framework",result="(?:success|requeue_after)"\}') >= self.expect:
                if self.metric(r'^workqueue_depth\{') == 0:
                    self.marks["reconciled"] = time.monotonic() - self.started

    def close(self):
        super().close()
        self.config.unlink()
        self.config.parent.rmdir()


def built(names):
    """Those of `names` that can be run; the others are named."""
    out = []
    for name in names:
        if name == "rollback-operator" or (OUT / f"{name}-peer").exists():
            out.append(name)
        else:
            print(f"{name} is not built (tests/bench/peers/build.sh): left out", file=sys.stderr)
    return out


def start(name, server, expect, workers=4, passes=0, status_bytes=0):
    """With `passes` a peer makes that many for each rollback; else its reconciles of one do nothing. The operator does what it does."""
    if name == "rollback-operator":
        return Operator(server, expect, workers)
    if name == "controller-runtime":
        return Contender(name, [OUT / "controller-runtime-peer", "-server", server.url, f"-expect={expect}", f"-workers={workers}", f"-passes={passes}",
                                f"-status-bytes={status_bytes}"])
    return Contender(name, [OUT / "kube-rs-peer", server.url, expect, workers, passes, status_bytes])
