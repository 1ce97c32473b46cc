"""The operator as processes of ours, with its ServiceAccount's token, so that tests can kill and stop them at will."""
import base64
import contextlib
import json
import os
import signal
import subprocess

from lab.lab import ROOT, seconds
from node.shop import LAB

DEPLOYMENT = ("deployment/rollback-operator", "-n", "rollback-system")


@contextlib.contextmanager
def no_operator_pod():
    """The operator's Deployment at zero replicas, and back."""
    LAB.kubectl("scale", *DEPLOYMENT, "--replicas=0")
    LAB.wait_for("the operator's pod to go", lambda: not LAB.items("pods", "-n", "rollback-system"), 120)
    try:
        yield
    finally:
        LAB.kubectl("scale", *DEPLOYMENT, "--replicas=1")
        LAB.kubectl("rollout", "status", *DEPLOYMENT, "--timeout=300s")


class Operator:
    """One process. Its log is build/operator-NAME.log, appended to."""

    def __init__(self, name, elect=False):
        self.name, self.elect = name, elect
        self.log = ROOT / f"build/operator-{name}.log"
        self.log.unlink(missing_ok=True)
        self.process = None
        self.credential = ""                   # as the audit log names the token this process sends

    def kubeconfig(self):
        token = LAB.kubectl("create", "token", "rollback-operator", "-n", "rollback-system", "--duration=4h").strip()
        claims = token.split(".")[1]
        self.credential = "JTI=" + json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"]
        config = json.loads(LAB.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        config["users"] = [{"name": "operator", "user": {"token": token}}]
        config["contexts"][0]["context"]["user"] = "operator"
        file = ROOT / f"build/operator-{self.name}.kubeconfig"
        file.write_text(json.dumps(config))
        return file

    def start(self):
        binary = ROOT / "build" / os.environ.get("PRESET", "release") / "bin/rollback-operator"
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [binary, "--kubeconfig", self.kubeconfig(), "--lease-namespace", "rollback-system", f"--leader-elect={'true' if self.elect else 'false'}",
                 "--metrics-addr=", "--probe-addr=", "--mover-image", "localhost/rollback-mover:dev"],
                stderr=log, stdout=log, env={**os.environ, "POD_NAME": self.name})
        return self

    def writes_since(self, moment):
        """What the API server executed for this process after a moment (seconds since the epoch), from its audit log; not Events."""
        out = []
        for line in open(LAB.env["AUDIT_LOG"], encoding="utf-8"):
            if self.credential not in line:
                continue
            event = json.loads(line)
            mine = self.credential in event["user"].get("extra", {}).get("authentication.kubernetes.io/credential-id", [])
            if mine and event["verb"] not in ("get", "list", "watch") and "/events" not in event["requestURI"] and event["responseStatus"]["code"] < 300 and seconds(event["stageTimestamp"]) > moment:
                out.append(f"{event['verb']} {event['requestURI']}")
        return out

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
