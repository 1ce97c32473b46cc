"""What the tests of this folder share: one server per process, one backup folder, a small runner."""
import atexit
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

from mover import APP, APP_PASSWORD, Mover
from server import BIN, Server

SKIP = 77
QUICK = os.environ.get("FRB_QUICK") == "1"


def program(name="FRB_MOVER"):
    path = os.environ.get(name)
    if not path:
        sys.exit(f"{name} must name the program under test")
    return path


class World:
    def __init__(self, binary=None, database="shop", fsync=False):
        self.server = Server(fsync)
        atexit.register(self.server.close)
        self.repository = pathlib.Path(tempfile.mkdtemp(prefix="frb-repo-"))
        atexit.register(shutil.rmtree, self.repository, True)
        self.mover = Mover(binary or program(), self.server, self.repository, database)
        self.counter = 0
        self.server.sql(f"create role {APP} login createdb password '{APP_PASSWORD}'")

    def app(self, statement, database=None):
        return self.server.sql(statement, database or self.mover.database, APP, APP_PASSWORD)

    def backup(self, **more):
        self.counter += 1
        path = f"shop/shop-backup-20261124-{self.counter:06d}"
        return self.mover.run("backup", repository={"path": path},
                              backup={"framework": "shop", "class": "demo", "namespace": "demo", "version": "1.0.0", "store": "database"}, **more)

    def identity(self):
        """systemIdentifier, OID of live"""
        return (self.server.value("select system_identifier from pg_control_system()"), self.server.databases()[self.mover.database][0])

    def stage(self, backup, id="ab12cd34", attempt=1, expect=None, **more):
        system, live = self.identity()
        fields = dict(id=id, attempt=attempt, repository={"path": backup["path"], "digest": backup["digest"]}, backup={"store": "database"},
                      expect=expect or {"systemIdentifier": system, "liveOid": live}, names=self.mover.names(attempt, id))
        fields.update(more)
        return self.mover.run("stage", **fields)

    def expect(self, staged):
        return {"systemIdentifier": staged["systemIdentifier"], "liveOid": staged["liveOid"], "stageOid": staged["stageOid"]}

    def switch(self, staged, id="ab12cd34", attempt=1, **more):
        return self.mover.run("switch", id=id, attempt=attempt, go=more.pop("go", "tok-switch"), expect=self.expect(staged), names=self.mover.names(attempt, id), **more)

    def switchback(self, staged, id="ab12cd34", attempt=1, **more):
        return self.mover.run("switchback", id=id, attempt=attempt, expect=self.expect(staged), names=self.mover.names(attempt, id), **more)


class Case(unittest.TestCase):
    maxDiff = None

    def succeeded(self, outcome):
        self.assertEqual(outcome and outcome["outcome"], "Succeeded", outcome)
        return outcome.result

    def refused(self, outcome, code):
        self.assertEqual((outcome["outcome"], outcome["code"]), ("Refused", code), outcome)

    def failed(self, outcome, code):
        self.assertEqual((outcome["outcome"], outcome["code"]), ("Failed", code), outcome)


def main():
    if BIN is None:
        print("no PostgreSQL below /usr/lib/postgresql: skipped")
        sys.exit(SKIP)
    unittest.main(verbosity=2)
