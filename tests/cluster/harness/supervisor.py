"""The two processes that hold a cluster.

`keeper` is an ordinary daemon on the host. It makes a pid namespace and in it `init` (pid 1), which moves into mount and
network namespaces of its own, starts the components, restarts what ends, and reaps. Killing init ends every process of the
cluster, containers too, and with them all mounts and network namespaces; init dies with the keeper, however the keeper
dies. What can outlive both are files, and empty cgroups, which the keeper, `down` and the next `up` remove.

While starting, init reports to whoever started it over a pipe, one JSON object per line: {"up": component, "seconds": s},
then {"ready": s} or {"failed": message}.
"""
import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
import traceback

from . import cgroups, namespaces, network, pki
from .components import Component, ControlPlane
from .deadline import poll
from .node import Node
from .state import Cluster, ClusterError, Process

RESTART_PAUSE = (0.2, 5.0)       # seconds, doubled from the first to the second while a component keeps ending
STARTS_ALLOWED = 3               # of one component before the cluster counts as failed to start


class Reporter:
    """The writing end of the pipe to `cluster up`; silent once nobody reads."""

    def __init__(self, fd: int):
        self.fd = fd

    def tell(self, **message) -> None:
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.write(self.fd, json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def launch(cluster: Cluster, tier: str, binaries: pathlib.Path) -> int:
    """Starts the keeper as a daemon; returns the pipe to read its reports from (it ends when nothing more will come)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        os.waitpid(child, 0)
        return reading
    os.setsid()                                     # no terminal, no job control of the caller
    if os.fork():
        os._exit(0)
    code = 1
    try:
        _detach(cluster, writing)
        code = _keep(cluster, tier, binaries, Reporter(writing))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _detach(cluster: Cluster, keep: int) -> None:
    os.chdir("/")
    os.umask(0o022)
    log = os.open(cluster.log("supervisor"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for entry in os.listdir("/proc/self/fd"):       # a pipe of `make` held open here would keep `make` waiting
        fd = int(entry)
        if fd > 2 and fd != keep:
            with contextlib.suppress(OSError):
                os.close(fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def _keep(cluster: Cluster, tier: str, binaries: pathlib.Path, reporter: Reporter) -> int:
    """The keeper: gives init its network, waits for its end, removes what outlives it."""
    to_init_r, to_init_w = os.pipe()
    from_init_r, from_init_w = os.pipe()
    child = namespaces.fork_in_new_pid_namespace()
    if child == 0:
        os.close(to_init_w)
        os.close(from_init_r)
        code = 1
        try:
            namespaces.die_with_parent()
            code = _init(cluster, tier, binaries, reporter, to_init_r, from_init_w)
        except BaseException as error:
            traceback.print_exc()
            message = str(error) if isinstance(error, ClusterError) else f"{error!r}; read {cluster.log('supervisor')}"
            reporter.tell(failed=message)
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(to_init_r)
    os.close(from_init_w)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    cluster.update(state="starting", tier=tier, binaries=str(binaries), keeper=Process.find(os.getpid()).entry(),
                   init=Process.find(child).entry())
    number = claim = None
    try:
        if os.read(from_init_r, 1):                 # init is in its network namespace
            plan = network.claim(child)
            number, claim = plan.number, network.claimed(plan.number)
            cgroups.remove(number)                  # of a dead cluster that had this number
            if tier == "node":
                cgroups.create(number)
            cluster.update(number=number, claim=claim)
            pki.make(cluster, plan)
            os.write(to_init_w, bytes([number]))
    except (ClusterError, OSError) as error:
        say(f"keeper: {error}")
        reporter.tell(failed=str(error))
        os.kill(child, signal.SIGKILL)
    reporter.close()
    _, status = os.waitpid(child, 0)                # returns when every process of the pid namespace is gone
    say(f"keeper: init ended with wait status {status}")
    if number is not None:
        if network.claimed(number) in (None, claim):
            cgroups.remove(number)
        network.remove(number, claim)
    cluster.update(state="stopped")
    return 0


def _init(cluster, tier, binaries, reporter, orders: int, answers: int) -> int:
    namespaces.unshare(namespaces.CLONE_NEWNET)
    os.write(answers, b"n")
    os.close(answers)
    number = os.read(orders, 1)                     # empty: the keeper gave up or died
    if not number:
        return 1
    plan = network.Plan(number[0])
    namespaces.enter_mounts(cluster.dir)
    network.configure_inside(plan, tier == "node")
    started = time.monotonic()
    supervisor = Supervisor(cluster, reporter, orders)
    plane = ControlPlane(cluster, plan, binaries, tier)
    if tier == "node":
        Node(cluster, plan, binaries).start_with(plane, supervisor)
    else:
        supervisor.start(plane.etcd())
        supervisor.start(plane.apiserver())
        supervisor.await_ready("etcd", "kube-apiserver")
        supervisor.start(plane.controller_manager())
        supervisor.await_ready("kube-controller-manager")
    took = round(time.monotonic() - started, 1)
    cluster.update(state="ready", started_seconds=took)
    reporter.tell(ready=took)
    reporter.close()
    say(f"init: ready after {took} s")
    supervisor.run_forever()
    return 0


class Supervisor:
    """Starts components, restarts the ones that end, reaps everything: it is pid 1 of the cluster."""

    def __init__(self, cluster: Cluster, reporter: Reporter, keeper_pipe: int):
        self.cluster = cluster
        self.reporter = reporter
        self.keeper_pipe = keeper_pipe              # end of file here means the keeper is gone
        self.components = {}                        # name → Component
        self.pids = {}                              # pid → name
        self.starts = {}                            # name → how often
        self.due = {}                               # name → monotonic time of its next start
        self.began = {}                             # name → monotonic time of its last start
        self.wake_r, wake_w = os.pipe()
        for fd in (self.wake_r, wake_w):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def start(self, component: Component) -> None:
        self.components[component.name] = component
        self._spawn(component)

    def _spawn(self, component: Component) -> None:
        self.starts[component.name] = self.starts.get(component.name, 0) + 1
        self.began[component.name] = time.monotonic()
        path = f"{component.environment.get('PATH', os.environ.get('PATH', ''))}:/usr/sbin:/sbin:/usr/bin:/bin"
        with open(self.cluster.log(component.name), "ab") as log:
            process = subprocess.Popen([str(a) for a in component.argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       cwd="/", env={"HOME": "/root", **component.environment, "PATH": path},
                                       start_new_session=True)
        self.pids[process.pid] = component.name
        process.returncode = 0                      # reaped by _reap, never by Popen
        say(f"init: {component.name} started, pid {process.pid} in the cluster's namespace")

    def await_ready(self, *names: str) -> None:
        for name in names:
            component = self.components[name]
            began = self.began[name]

            def watch(name=name):
                self._tick()
                for each, count in self.starts.items():
                    if each in self.due and count >= STARTS_ALLOWED:
                        raise ClusterError(f"{each} ended {count} times while starting; read {self.cluster.log(each)}"
                                           + tail(self.cluster.log(each)))
            if not poll(component.ready, component.seconds, watch):
                log = self.cluster.log(name)
                raise ClusterError(f"{name} was not ready after {component.seconds:g} s; read {log}" + tail(log))
            seconds = round(time.monotonic() - began, 1)
            self.reporter.tell(up=name, seconds=seconds)
            say(f"init: {name} ready after {seconds} s")

    def run_forever(self) -> None:
        while True:
            pause = min([t - time.monotonic() for t in self.due.values()] or [3600.0])
            readable, _, _ = select.select([self.wake_r, self.keeper_pipe], [], [], max(0.0, pause))
            if self.keeper_pipe in readable:
                say("init: the keeper is gone")
                return
            if self.wake_r in readable:
                os.read(self.wake_r, 4096)
            self._tick()

    def _tick(self) -> None:
        self._reap()
        now = time.monotonic()
        for name in [n for n, t in self.due.items() if t <= now]:
            del self.due[name]
            self._spawn(self.components[name])

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self.pids.pop(pid, None)
            if name is None:                        # an orphan of a container or a shim
                continue
            lived = time.monotonic() - self.began[name]
            pause = RESTART_PAUSE[0] if lived > 10 else min(RESTART_PAUSE[0] * 2 ** (self.starts[name] - 1), RESTART_PAUSE[1])
            self.due[name] = time.monotonic() + pause
            how = f"exit code {os.WEXITSTATUS(status)}" if os.WIFEXITED(status) else f"signal {os.WTERMSIG(status)}"
            say(f"init: {name} ended with {how} after {lived:.1f} s; starting it again in {pause:g} s")


def tail(path: pathlib.Path, lines: int = 5) -> str:
    try:
        last = path.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return ""
    return "".join(f"\n    {line[:300]}" for line in last)
