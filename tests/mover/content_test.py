"""A database with one of everything, dumped while it is written, comes back as it was: by the mover's own comparison and by pg_dump's."""
import re
import subprocess
import unittest

import fixture
import harness
from server import BIN


def schema_text(world, name):
    """Every statement that pg_dump would need to make the database again, sorted: their order follows OIDs."""
    dumped = subprocess.run([BIN / "pg_dump", "--schema-only", "--create"], env=world.server.environment(name), capture_output=True, text=True, check=True).stdout
    # What a dump and restore are known to write differently without meaning anything else.
    dumped = re.sub(r"::(character varying|text)(\[\])?|[()]", "", dumped.replace(name, "shop"))
    return sorted(line for line in dumped.splitlines() if line and not line.startswith("--") and "\\restrict" not in line and "\\unrestrict" not in line)


class Content(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.world = harness.World()
        fixture.build(cls.world)
        writer = fixture.Writer(cls.world)
        writer.start()
        try:
            cls.backup = cls.world.backup()
            before = len(writer.acked)
            cls.staged = cls.world.stage(cls.backup.result) if cls.backup.ok else None
        finally:
            writer.stop()
        cls.written_before, cls.acked = before, writer.acked
        if cls.staged and cls.staged.ok:
            cls.switched = cls.world.switch(cls.staged.result)
            cls.prev = cls.world.mover.names()["prev"]
            if cls.switched.ok:
                cls.world.server.sql(f'alter database "{cls.prev}" with allow_connections true')

    def test_full_read_counts_every_kind_of_table(self):
        result = self.succeeded(self.world.mover.run("verify", repository={"path": self.backup.result["path"], "digest": self.backup.result["digest"]},
                                                     backup={"store": "database", "framework": "shop", "version": "1.0.0"}))
        self.assertEqual(result["restores"], ["database"])
        folders = self.succeeded(self.world.mover.run("scan"))["folders"]
        self.assertEqual([(f["path"], f["digest"], f.get("code")) for f in folders], [(self.backup.result["path"], self.backup.result["digest"], None)])

    def test_backup_while_written_is_settled(self):
        self.assertFalse(self.succeeded(self.backup)["unsettled"])
        self.assertGreater(self.written_before, 0, "the writer wrote nothing while the dump ran; the test shows nothing")

    def test_sums_are_what_sha256sum_checks(self):
        folder = self.world.repository / self.backup.result["path"]
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)

    def test_stage_equals_the_manifest(self):
        self.succeeded(self.staged)

    def test_switch_opens_the_copy(self):
        self.succeeded(self.switched)
        databases = self.world.server.databases()
        self.assertEqual(databases["shop"], (self.staged.result["stageOid"], True))

    def test_pg_dump_sees_the_same_schema(self):
        self.assertEqual(schema_text(self.world, self.prev), schema_text(self.world, "shop"))

    def test_rows_are_those_of_the_snapshot(self):
        rows = int(self.world.server.value("select count(*) from app.orders", "shop"))
        ids = {int(row[0]) for row in self.world.server.sql("select id from app.orders where item = 'written'", "shop")}
        self.assertGreaterEqual(rows, 2000)
        # A snapshot: what is there is an unbroken beginning of what was acknowledged.
        self.assertEqual(sorted(ids), self.acked[:len(ids)])
        lost = [i for i in self.acked if i not in ids]
        kept = {int(row[0]) for row in self.world.server.sql("select id from app.orders where item = 'written'", self.prev)}
        self.assertTrue(set(lost) <= kept, "what was written after the backup is kept in the previous database")
        self.assertEqual(self.world.server.value("select count(*) from app.orders o join app.lines l on l.order_id = o.id and l.position = 2", "shop"), str(len(ids)))

    def test_next_id_is_free(self):
        self.world.app("insert into app.orders (item) values ('after')")

    def test_row_security_and_rights(self):
        reader = dict(user="reader", password="r")
        self.assertEqual(self.world.server.sql("select secret from app.secrets", "shop", **reader), [["mine"]])
        self.assertEqual(self.world.server.value("select app.privileged()", "shop", **reader), "42")
        self.assertEqual(self.world.server.value("show search_path", "shop", **reader), 'app, "Odd Schema", public')
        self.assertEqual(self.world.server.value("show datestyle", "shop", **reader), self.world.server.value("show datestyle", self.prev, **reader))
        self.assertEqual(self.world.server.value("select has_function_privilege('public', 'app.privileged()', 'execute')", "shop"), "f")

    def test_large_objects(self):
        of = "select string_agg(md5(lo_get(oid)), ',' order by oid) from pg_largeobject_metadata"
        self.assertEqual(self.world.server.value(of, "shop"), self.world.server.value(of, self.prev))

    def test_stale_view_is_not_compared(self):
        # pg_restore refreshes it: 3 stale groups become what the rows say. The comparison leaves it out.
        self.assertTrue(self.staged.ok)
        stale = self.world.server.sql("select state, count from app.totals order by 1", self.prev)
        fresh = self.world.server.sql("select state, count from app.totals order by 1", "shop")
        self.assertNotEqual(stale, fresh)

    def test_zz_again_from_the_restored(self):
        """Once more from the copy: expressions that a restore rewrites must not look like another schema."""
        report = self.succeeded(self.world.mover.run("inspect", repository={"path": self.backup.result["path"], "digest": self.backup.result["digest"]}, backup={"store": "database"}))
        self.assertEqual(report["backup"]["schemaRelation"], "Equal")
        self.assertEqual(report["blockers"], [])
        again = self.succeeded(self.world.backup())
        self.assertEqual(again["schema"], self.backup.result["schema"])
        system, live = self.world.identity()
        self.succeeded(self.world.stage(again, id="cd34ef56"))


if __name__ == "__main__":
    harness.main()
