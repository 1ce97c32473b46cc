"""A backup of several stores: a run each, all into one folder, which only the last makes a backup."""
import json
import subprocess
import time

import harness
from mover import Mover

STORES = ["database", "audit"]


class Stores(harness.Case):
    def setUp(self):
        self.world = harness.World()
        self.server = self.world.server
        self.addCleanup(self.server.close)
        self.movers = {"database": self.world.mover, "audit": Mover(self.world.mover.program, self.server, self.world.repository, "audit")}
        for name, mover in self.movers.items():
            self.server.sql(f"create database {mover.database} owner shop")
            self.world.app("create table migrations (name text); insert into migrations values ('0001'), ('0002'); create table orders (id serial primary key, item text);"
                           f"insert into orders (item) select '{name}' from generate_series(1, 50)", mover.database)
        self.path = "shop/shop-backup-20261124-030000"
        self.folder = self.world.repository / self.path
        self.part = self.folder.with_name(f".{self.folder.name}.part")

    def backup_task(self, store, stores=STORES, path=None):
        return self.movers[store].task("backup", repository={"path": path or self.path},
                                       backup={"framework": "shop", "class": "demo", "namespace": "demo", "version": "1.0.0", "store": store, "stores": stores})

    def backup(self, store, **more):
        return self.movers[store].start(self.backup_task(store, **more)).finish()

    def taken(self):
        self.succeeded(self.backup("database"))
        return self.succeeded(self.backup("audit"))

    def verify(self, store, digest):
        return self.movers[store].run("verify", repository={"path": self.path, "digest": digest}, backup={"store": store, "stores": STORES, "framework": "shop", "version": "1.0.0"})

    def visible(self):
        folder = self.world.repository / "shop"
        return [p.name for p in folder.iterdir() if not p.name.startswith(".")] if folder.exists() else []

    def test_only_the_last_makes_it_a_backup(self):
        first = self.succeeded(self.backup("database"))
        self.assertEqual(first["digest"], "")
        self.assertEqual(self.visible(), [])
        self.assertFalse((self.part / "SHA256SUMS").exists())
        begun = json.loads((self.part / "backup-manifest.json").read_text())
        last = self.succeeded(self.backup("audit"))
        self.assertTrue(last["digest"].startswith("sha256:"))
        self.assertEqual(self.visible(), [self.folder.name])
        self.assertFalse(self.part.exists())
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=self.folder, check=True)
        manifest = json.loads((self.folder / "backup-manifest.json").read_text())
        self.assertEqual([s["name"] for s in manifest["stores"]], STORES)
        self.assertEqual(manifest["stores"][0], begun["stores"][0], "what the first run recorded stays as it is")
        self.assertEqual([manifest[k] for k in ("id", "createdAt", "manifestVersion")], [begun[k] for k in ("id", "createdAt", "manifestVersion")])
        self.assertNotIn("backup-manifest.json", manifest["files"])
        self.assertEqual(last["sizeBytes"], sum(p.stat().st_size for p in self.folder.rglob("*") if p.is_file()))

    def test_each_store_is_proven_staged_and_switched_from_it(self):
        backup = self.taken()
        for store, mover in self.movers.items():
            proven = self.succeeded(self.verify(store, backup["digest"]))
            self.assertEqual((proven["digest"], proven["restores"]), (backup["digest"], STORES))
            self.world.app("insert into orders (item) values ('since'); insert into migrations values ('0003')", mover.database)
            report = self.succeeded(mover.run("inspect", repository={"path": self.path}, backup={"store": store, "framework": "shop"}))
            self.assertEqual((report["backup"]["missing"], report["blockers"]), (["0003"], []))
            self.assertGreater(report["space"]["required"], report["space"]["reserve"])
            system, live = self.server.value("select system_identifier from pg_control_system()"), self.server.databases()[mover.database][0]
            staged = self.succeeded(mover.run("stage", repository={"path": self.path, "digest": backup["digest"]}, backup={"store": store, "framework": "shop", "version": "1.0.0"},
                                              expect={"systemIdentifier": system, "liveOid": live}, names=mover.names()))
            self.succeeded(mover.run("switch", go="tok-switch", expect=self.world.expect(staged), names=mover.names()))
        for store, mover in self.movers.items():
            self.assertEqual(self.server.value("select string_agg(distinct item, ',') from orders", mover.database), store)

    def test_a_store_it_lacks_is_named(self):
        self.taken()
        report = self.succeeded(self.movers["audit"].run("inspect", repository={"path": self.path}, backup={"store": "events"}))
        self.assertEqual([b["code"] for b in report["blockers"]], ["StoreMissing"])
        self.refused(self.movers["audit"].run("verify", repository={"path": self.path, "digest": ""}, backup={"store": "events", "stores": STORES + ["events"]}), "StoreMissing")

    def test_damage_is_found_by_the_run_of_the_store_it_is_in(self):
        backup = self.taken()
        damaged = next(p for p in (self.folder / "postgres/audit").iterdir() if p.suffix == ".gz")
        content = bytearray(damaged.read_bytes())
        content[-1] ^= 1
        damaged.write_bytes(content)
        self.succeeded(self.verify("database", backup["digest"]))
        self.refused(self.verify("audit", backup["digest"]), "BackupDamaged")

    def test_a_store_that_fails_leaves_nothing(self):
        self.succeeded(self.backup("database"))
        self.server.sql("create table private (x int)", "audit")
        self.refused(self.backup("audit"), "MayNotRead")
        self.assertEqual(self.visible(), [])
        self.assertFalse(self.part.exists())
        self.refused(self.backup("audit"), "BackupIncomplete")
        self.assertEqual(self.visible(), [])

    def test_a_run_that_dies_leaves_no_marker(self):
        self.succeeded(self.backup("database"))
        self.world.app("create table big as select g, md5(g::text) from generate_series(1, 300000) g", "audit")
        run = self.movers["audit"].start(self.backup_task("audit"))
        while "dumping" not in run.said():
            time.sleep(0.005)
        run.process.kill()
        run.finish()
        self.assertEqual(self.visible(), [])
        self.assertFalse((self.part / "SHA256SUMS").exists())
        for store in STORES:  # another attempt has a folder of its own
            self.succeeded(self.backup(store, path="shop/shop-backup-20261124-030100"))
        self.assertEqual(self.visible(), ["shop-backup-20261124-030100"])

    def test_runs_out_of_order_are_refused(self):
        self.refused(self.backup("audit"), "BackupIncomplete")
        self.refused(self.backup("audit", stores=["database", "events"]), "BadTask")
        self.succeeded(self.backup("database"))
        self.refused(self.backup("audit", stores=["events", "audit"]), "BackupIncomplete")
        self.succeeded(self.backup("audit"))
        self.refused(self.backup("database"), "BackupExists")

    def test_a_change_seen_by_any_run_makes_it_unsettled(self):
        self.world.app("create table big as select g, md5(g::text) from generate_series(1, 300000) g")
        run = self.movers["database"].start(self.backup_task("database"))
        while "dumping" not in run.said() and run.process.poll() is None:
            time.sleep(0.005)
        self.world.app("insert into migrations values ('0003_while_dumping')")
        self.assertTrue(self.succeeded(run.finish())["unsettled"])
        self.assertFalse(self.succeeded(self.backup("audit"))["unsettled"])
        self.assertTrue(json.loads((self.folder / "backup-manifest.json").read_text())["unsettled"])


if __name__ == "__main__":
    harness.main()
