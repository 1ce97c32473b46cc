"""The operator as processes of ours, with its ServiceAccount's token, so that tests can kill and stop them at will."""
import contextlib
import json
import os
import signal
import subprocess

from lab.lab import ROOT
from node.shop import LAB

DEPLOYMENT = ("deployment/rollback-operator", "-n", "rollback-system")


@contextlib.contextmanager
def no_operator_pod():
    """The operator's Deployment at zero replicas, and back."""
    LAB.kubectl("scale", *DEPLOYMENT, "--replicas=0")
    LAB.wait_for("the operator's pod to go", lambda: not LAB.items("pods", "-n", "rollback-system"), 60)
    try:
        yield
    finally:
        LAB.kubectl("scale", *DEPLOYMENT, "--replicas=1")
        LAB.kubectl("rollout", "status", *DEPLOYMENT, "--timeout=120s")


class Operator:
    """One process. Its log is build/operator-NAME.log, appended to."""

    def __init__(self, name, elect=False, server=None):
        self.name, self.elect, self.server = name, elect, server
        self.log = ROOT / f"build/operator-{name}.log"
        self.log.unlink(missing_ok=True)
        self.process = None

    def kubeconfig(self):
        token = LAB.kubectl("create", "token", "rollback-operator", "-n", "rollback-system", "--duration=4h").strip()
        config = ROOT / f"build/operator-{self.name}.kubeconfig"
        config.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{"name": "c", "cluster": {"server": LAB.env["CLUSTER_SERVER"], "certificate-authority": LAB.env["CLUSTER_CA"]}}],
            "users": [{"name": "u", "user": {"token": token}}], "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}))
        return config

    def start(self):
        binary = ROOT / "build" / os.environ.get("PRESET", "release") / "bin/rollback-operator"
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [binary, "--kubeconfig", self.kubeconfig(), "--lease-namespace", "rollback-system", f"--leader-elect={'true' if self.elect else 'false'}",
                 "--metrics-addr=", "--probe-addr=", "--mover-image", "localhost/rollback-mover:dev"],
                stderr=log, stdout=log, env={**os.environ, "POD_NAME": self.name})
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.go_on()
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
