"""Folders that are damaged or made to harm: every one refused, with the code of docs/mover.md, by verify, inspect and stage alike."""
import hashlib
import json
import os
import random
import shutil
import unittest

import harness


class Hostile(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.world = harness.World()
        cls.world.server.sql("create database shop owner shop")
        cls.world.app("create table migrations (name text); insert into migrations values ('1'); create table orders (id serial, item text); "
                      "insert into orders (item) select md5(g::text) from generate_series(1, 3000) g")
        cls.good = cls.world.backup().result

    def setUp(self):
        self.path = "shop/victim"
        self.folder = self.world.repository / self.path
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.world.repository / self.good["path"], self.folder)

    def sign(self):
        """SHA256SUMS as a stranger with write access would make it: the digest then is another than the plan's."""
        lines = []
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file() and p.name != "SHA256SUMS"):
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(self.folder)}\n")
        (self.folder / "SHA256SUMS").write_text("".join(lines))

    def manifest(self, change):
        file = self.folder / "backup-manifest.json"
        document = json.loads(file.read_text())
        change(document)
        file.write_text(json.dumps(document))

    def expect(self, code, path=None, digest=None):
        path = path or self.path
        digest = self.good["digest"] if digest is None else digest
        repository = {"path": path, "digest": digest}
        self.refused(self.world.mover.run("verify", repository=repository, backup={"store": "database"}), code)
        report = self.succeeded(self.world.mover.run("inspect", repository=repository, backup={"store": "database"}))
        # inspect reads no data: what only a full read finds it cannot know.
        if code != "BackupDamaged":
            self.assertIn(code, [b["code"] for b in report["blockers"]])
        before = self.world.server.databases()
        self.refused(self.world.stage({"path": path, "digest": digest}), code)
        self.assertEqual(self.world.server.databases(), before, "something was made for a backup that was refused")

    def data_files(self):
        return sorted((self.folder / "postgres" / "database").glob("*.dat.gz"))

    def test_good(self):
        self.succeeded(self.world.mover.run("verify", repository={"path": self.path, "digest": self.good["digest"]}))

    # ---- where ----
    def test_paths_that_leave(self):
        for path in ("../outside", "shop/../../etc", "/etc", "shop//victim", "shop/./victim", "shop/victim\nx", "shop/vic\\tim", "", "x" * 2000):
            if path:
                self.expect("HostilePath", path)

    def test_absent(self):
        self.expect("BackupNotFound", "shop/nobody")

    def test_folder_that_is_a_link(self):
        os.symlink(self.world.repository / self.good["path"], self.world.repository / "shop" / "link")
        self.addCleanup(os.unlink, self.world.repository / "shop" / "link")
        self.expect("HostilePath", "shop/link")

    def test_link_inside(self):
        victim = self.data_files()[0]
        victim.unlink()
        os.symlink("/etc/passwd", victim)
        self.expect("HostilePath")

    def test_folder_inside_that_is_a_link(self):
        shutil.rmtree(self.folder / "postgres")
        os.symlink(self.world.repository / self.good["path"] / "postgres", self.folder / "postgres")
        self.expect("HostilePath")

    def test_pipe_and_socket(self):
        os.mkfifo(self.folder / "pipe")
        self.expect("HostilePath")

    def test_names_in_sums(self):
        sums = self.folder / "SHA256SUMS"
        for name in ("../../../etc/passwd", "/etc/passwd", "postgres/../../x", "a\\nb"):
            sums.write_text(sums.read_text().splitlines()[0] + "\n" + "0" * 64 + "  " + name + "\n")
            self.expect("HostilePath")

    def test_path_in_manifest(self):
        self.manifest(lambda m: m["stores"][0].update(path="../../" + self.good["path"] + "/postgres/database"))
        self.sign()
        self.expect("HostilePath")

    # ---- what ----
    def test_incomplete(self):
        (self.folder / "SHA256SUMS").unlink()
        self.expect("BackupIncomplete")

    def test_no_manifest(self):
        (self.folder / "backup-manifest.json").unlink()
        self.expect("BackupIncomplete")

    def test_missing_file(self):
        self.data_files()[0].unlink()
        self.expect("BackupIncomplete")

    def test_file_nobody_vouched_for(self):
        (self.folder / "postgres" / "database" / "9999.dat").write_text("1\n")
        self.expect("BackupDamaged")

    def test_cut_file(self):
        victim = max(self.data_files(), key=lambda p: p.stat().st_size)
        os.truncate(victim, victim.stat().st_size * 9 // 10)
        self.expect("BackupDamaged")

    def test_cut_file_signed_again(self):
        """The sums fit, so only reading every entry finds it; another digest than the plan's finds it sooner."""
        victim = max(self.data_files(), key=lambda p: p.stat().st_size)
        os.truncate(victim, victim.stat().st_size * 9 // 10)
        self.sign()
        self.refused(self.world.mover.run("verify", repository={"path": self.path}), "BackupDamaged")
        self.expect("BackupDamaged")

    def test_bit_flips(self):
        source = random.Random(7)
        files = [p for p in self.folder.rglob("*") if p.is_file()]
        for _ in range(12):
            victim = source.choice(files)
            kept = victim.read_bytes()
            bit = source.randrange(len(kept) * 8)
            flipped = bytearray(kept)
            flipped[bit // 8] ^= 1 << (bit % 8)
            victim.write_bytes(flipped)
            outcome = self.world.mover.run("verify", repository={"path": self.path, "digest": self.good["digest"]})
            self.assertEqual(outcome["outcome"], "Refused", f"bit {bit} of {victim.name}")
            self.assertIn(outcome["code"], ("BackupDamaged", "BackupIncomplete", "HostilePath", "ManifestUnsupported"), f"bit {bit} of {victim.name}: {outcome}")
            victim.write_bytes(kept)

    def test_cut_sums_and_cut_manifest(self):
        for name in ("SHA256SUMS", "backup-manifest.json"):
            file = self.folder / name
            kept = file.read_bytes()
            for part in (0, len(kept) // 2, len(kept) - 1):
                file.write_bytes(kept[:part])
                self.expect("BackupDamaged")
            file.write_bytes(kept)

    def test_another_backup_in_its_place(self):
        self.manifest(lambda m: m.update(current_version="6.6.6"))
        self.sign()
        self.expect("BackupDamaged")

    def test_newer_manifest(self):
        self.manifest(lambda m: m.update(manifestVersion=3, stores="of another type now"))
        self.sign()
        self.expect("ManifestUnsupported")

    def test_manifest_of_a_script(self):
        for path in list(self.folder.rglob("*")):
            if path.is_file() and path.name != "backup-manifest.json":
                path.unlink()
        (self.folder / "backup-manifest.json").write_text(json.dumps({"timestamp": "20261124-030000", "framework": "shop", "current_version": "1.0.0",
                                                                      "target_version": "2.0.0", "backup_type": "pre_upgrade", "files": ["n8n_data.tar.gz"]}))
        self.expect("BackupUnverified")

    def test_manifests_that_are_none(self):
        for text in ("[]", "null", '"x"', "{}", '{"framework": 1}', '{"framework": "shop", "stores": [1]}', '{"framework": "shop", "manifestVersion": 2, "stores": [{"tables": [{"rows": -1}]}]}',
                     "[" * 100000, '{"framework": "shop", "manifestVersion": 2, "stores": [{"name": "a\\u0000b"}]}'):
            (self.folder / "backup-manifest.json").write_text(text)
            self.sign()
            self.refused(self.world.mover.run("verify", repository={"path": self.path}), "BackupDamaged")

    def test_rows_that_are_not_the_manifests(self):
        """Signed and frozen, but the dump is another one: the comparison is the last to know."""
        self.manifest(lambda m: [t.update(rows=t["rows"] - 1) for t in m["stores"][0]["tables"] if t["name"] == "public.orders"])
        self.sign()
        digest = "sha256:" + hashlib.sha256((self.folder / "SHA256SUMS").read_bytes()).hexdigest()
        outcome = self.world.stage({"path": self.path, "digest": digest}, id="deadbeef")
        self.failed(outcome, "NotEqual")
        self.assertIn("public.orders has 3000 rows, the backup 2999", outcome["message"])
        names = self.world.mover.names(1, "deadbeef")
        system, live = self.world.identity()
        self.succeeded(self.world.mover.run("discard", id="deadbeef", expect={"systemIdentifier": system, "liveOid": live}, names=names))

    def test_names_that_would_be_sql(self):
        """A stranger's manifest names its owner; it is quoted wherever it goes."""
        self.manifest(lambda m: m["stores"][0]["database"].update(owner='x"; drop database shop; --', settings=[{"role": "", "config": ["work_mem=1MB'; drop database shop; --"]}],
                                                                  comment="'; drop database shop; --\\"))
        self.sign()
        digest = "sha256:" + hashlib.sha256((self.folder / "SHA256SUMS").read_bytes()).hexdigest()
        self.refused(self.world.stage({"path": self.path, "digest": digest}, id="deadbee0"), "RoleMissing")
        self.manifest(lambda m: m["stores"][0]["database"].update(owner="shop"))
        self.sign()
        digest = "sha256:" + hashlib.sha256((self.folder / "SHA256SUMS").read_bytes()).hexdigest()
        self.failed(self.world.stage({"path": self.path, "digest": digest}, id="deadbee1"), "SqlError")
        self.assertTrue(self.world.server.databases()["shop"][1])

    # ---- the task ----
    def test_tasks_that_cannot_be_meant(self):
        mover = self.world.mover
        for change in ({"version": 2}, {"deadlineSeconds": 0}, {"parallel": 1000}, {"postgres": {"port": 99999}}, {"names": {"stage": "x" * 64}}, {"expect": {"liveOid": -1}},
                       {"checks": [{"min": "one"}]}, {"verb": 7}):
            self.refused(mover.start(dict(mover.task("inspect"), **change)).finish(), "BadTask")
        self.refused(mover.run("explode"), "UnknownVerb")

    def test_stage_name_must_be_a_shadow(self):
        system, live = self.world.identity()
        for name in ("shop", "postgres", "shop_stage_other_1", "shop_stage_ab12cd34_", "shop_stage_ab12cd34_x"):
            for verb in ("stage", "discard"):
                self.refused(self.world.mover.run(verb, repository={"path": self.path, "digest": self.good["digest"]}, expect={"systemIdentifier": system, "liveOid": live},
                                                  names={"stage": name}), "BadTask")


if __name__ == "__main__":
    harness.main()
