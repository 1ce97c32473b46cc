"""Runs rollback-mover as a Job would: a task file, credentials by environment, its outcome from the termination message."""
import base64
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile

from server import BIN, PASSWORD

APP, APP_PASSWORD = "shop", "open-sesame"


class Outcome(dict):
    @property
    def ok(self):
        return self["outcome"] == "Succeeded"

    @property
    def result(self):
        return self["result"]


class Run:
    """One started mover. `finish` waits for it; a mover that was killed has outcome None."""

    def __init__(self, mover, task, server, repository, environment=None, admin=True, go=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="frb-task-"))
        (self.folder / "task.json").write_text(json.dumps(task))
        if go is not None:
            self.go(go)
        self.task = task
        env = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(self.folder), "TMPDIR": str(self.folder), "FRB_TASK_DIR": str(self.folder),
               "FRB_REPOSITORY": str(repository), "FRB_TERMINATION_LOG": str(self.folder / "end"), "FRB_APP_USER": APP, "FRB_APP_PASSWORD": APP_PASSWORD}
        if admin:
            env.update(FRB_ADMIN_USER="postgres", FRB_ADMIN_PASSWORD=PASSWORD)
        env.update(environment or {})
        self.output = open(self.folder / "out", "w+")
        self.process = subprocess.Popen([str(mover), str(task.get("verb", "run"))], stdout=self.output, stderr=subprocess.STDOUT, env=env)

    def go(self, token):
        part = self.folder / "go.part"
        part.write_text(token)
        os.rename(part, self.folder / "go")

    def said(self):
        return (self.folder / "out").read_text()

    def finish(self, timeout=120):
        status = self.process.wait(timeout=timeout)
        self.output.close()
        if status < 0:
            return None
        if status != 0:
            raise AssertionError(f"{self.task['verb']} ended with {status}: {self.said()}")
        outcome = Outcome(json.loads((self.folder / "end").read_text()))
        assert len((self.folder / "end").read_bytes()) <= 3072, "the termination message is too long"
        assert outcome["token"] == self.task.get("token", ""), outcome
        last = [line for line in self.said().splitlines() if line.startswith("FRB-OUTCOME ")]
        if "result" in outcome or not outcome.get("resultSize"):
            assert last == ["FRB-OUTCOME " + (self.folder / "end").read_text()], last
        else:
            assert not last, last
        if "result" not in outcome and outcome.get("resultSize"):
            pieces = {}
            for line in self.said().splitlines():
                if line.startswith("FRB-RESULT "):
                    assert len(line) <= 8192
                    _, index, piece = line.split(" ")
                    pieces[int(index)] = base64.b64decode(piece)
            whole = b"".join(pieces[i] for i in sorted(pieces))
            assert len(whole) == outcome["resultSize"] and hashlib.sha256(whole).hexdigest() == outcome["resultSha256"]
            outcome["result"] = json.loads(whole)
        return outcome


class Mover:
    def __init__(self, program, server, repository, database="shop"):
        self.program, self.server, self.repository, self.database = program, server, repository, database

    def task(self, verb, **fields):
        task = {"version": 1, "verb": verb, "id": "ab12cd34", "attempt": 1, "token": "tok-" + verb, "deadlineSeconds": 300,
                "postgres": {"host": "127.0.0.1", "port": self.server.port, "directHost": "", "database": self.database, "maintenanceDatabase": "postgres",
                             "sslMode": "prefer", "capacityBytes": 20 << 30, "spaceCheck": "Require"},
                "schema": {"query": "select name from migrations"},
                "checks": [{"name": "orders", "query": "select count(*) from orders", "min": 1}], "parallel": 2}
        task.update(fields)
        return task

    def start(self, task, **more):
        return Run(self.program, task, self.server, self.repository, **more)

    def run(self, verb, *, admin=True, environment=None, go=None, **fields):
        return self.start(self.task(verb, **fields), admin=admin, environment=environment, go=go).finish()

    def names(self, attempt=1, id="ab12cd34"):
        def cut(suffix):
            name, room = self.database.encode(), 63 - len(suffix)
            if len(name) <= room:
                return self.database + suffix
            return f"{name[:room - 9].decode(errors='ignore')}_{hashlib.sha256(name).hexdigest()[:8]}{suffix}"
        return {"stage": cut(f"_stage_{id}_{attempt}"), "prev": cut(f"_prev_{id}"), "reverted": cut(f"_reverted_{id}")}
