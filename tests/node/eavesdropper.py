"""Rule S14, seen from outside: whoever may read logs, Events and the audit log learns no password from them."""
import base64
import contextlib
import json
import pathlib
import re
import threading
import time

import yaml

from lab.lab import ROOT

CONTROLLER = "rollback.pa-ecosystem.io/operator"
LABEL = "app.kubernetes.io/name=rollback-operator"
JOBS = re.compile(r"_f(rb|wk|bk|br)-")           # in the name of a folder of logs: a pod of a Job of ours
GUESS = "guessed-sesame"                         # a wrong password that a test has tried


def secrets():
    """What it is → the forms it could have. User names are no secrets, and words that are everywhere."""
    manifest = ROOT / "tests/cluster/demo-app/manifests/database.yaml"
    found = {f"{key} of Secret {document['metadata']['name']}": value for document in yaml.safe_load_all(manifest.read_text()) if document["kind"] == "Secret"
             for key, value in document["stringData"].items() if not key.endswith("username")}
    return {what: (value, base64.b64encode(value.encode()).decode()) for what, value in {**found, "the wrong password": GUESS}.items()}


class Eavesdropper:
    """Reads, and remembers how much of what it has read and which secret was in it. Events and logs go with their namespace and their pod, so
    it reads whenever some are about to go, and the rest in the end. Thread-safe."""
    # The first three are there whichever tests ran; those of a cluster of the user's are read only as far as its API server shows them.
    ALWAYS = ("Events", "the operator's log", "the audit log")
    AS_A_RULE = ("Events of the operator", "logs of the mover")

    def __init__(self, lab):
        self.lab = lab
        self.secrets = secrets()
        self.began = time.time()
        self.read = {}                          # source → characters
        self.found = set()                      # sentences
        self._lock = threading.Lock()

    def search(self, source, text, where):
        held = {f"{where} holds {what}" for what, forms in self.secrets.items() if any(form in text for form in forms)}
        with self._lock:
            self.read[source] = self.read.get(source, 0) + len(text)
            self.found |= held

    def namespace(self, namespace):
        """The Events of a namespace and the logs of the Jobs' pods in it."""
        self._events(self.lab.items("events", "-n", namespace))
        if not self.lab.existing:
            for folder in (pathlib.Path(self.lab.env["CLUSTER_STATE"]) / "var-log/pods").glob(f"{namespace}_*"):
                for log in folder.glob("*/*.log") if JOBS.search(folder.name) else ():
                    with contextlib.suppress(FileNotFoundError):
                        self.search("logs of the mover", log.read_text(errors="replace"), f"log {folder.name}/{log.parent.name}")

    def operator(self):
        """The log of the operator's pod that runs now."""
        self.search("the operator's log", self.lab.kubectl("logs", "-l", LABEL, "-n", "rollback-system", "--tail=-1"), "the log of the operator's pod")

    def verdict(self, whole):
        """Reads what there is now. What was found, one sentence each, and what was looked through in words; `whole`: all tests have run."""
        self._events(json.loads(self.lab.kubectl("get", "events", "-A", "-o", "json"))["items"])
        self.operator()
        for log in (ROOT / "build").glob("operator-*.log"):
            if log.stat().st_mtime >= self.began:
                self.search("the operator's log", log.read_text(errors="replace"), f"build/{log.name}")
        if not self.lab.existing:
            with open(self.lab.env["AUDIT_LOG"], encoding="utf-8", errors="replace") as log:
                for line in log:
                    if "rollback-operator" in line:             # what others sent is theirs to keep
                        self.search("the audit log", line, f"the audit log, {line[:300]} …,")
        wanted = [*self.ALWAYS, *(self.AS_A_RULE if whole else ())]
        if self.lab.existing:
            wanted = [source for source in wanted if source not in ("the audit log", "logs of the mover")]
        unread = [f"there is nothing to read in {source}, so nothing is proved" for source in wanted if not self.read.get(source)]
        return [*unread, *sorted(self.found)], ", ".join(f"{count // 1000} KB of {source}" for source, count in self.read.items())

    def _events(self, events):
        for event in events:
            text, where = json.dumps(event), f"Event {event.get('reason', '')} of {event['metadata'].get('namespace')}/{event['involvedObject'].get('name', '')}"
            self.search("Events", text, where)
            if event.get("reportingComponent") == CONTROLLER:
                self.search("Events of the operator", text, where)
