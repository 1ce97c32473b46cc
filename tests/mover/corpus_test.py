"""One good backup, damaged in more than a hundred ways: none is accepted, by verify, by inspect's half that looks at backups, or by stage;
each is refused with a code of docs/mover.md, in bounded time and memory. The good one is accepted before and after.

A damage is known by how much somebody knew who made it:
  blind    the files were damaged and nothing else
  signed   SHA256SUMS was made anew, so the folder agrees with itself: what is read must tell, or the digest of the plan
  forged   manifest and SHA256SUMS were made to agree with a change of content that no reading can tell: only the digest of the plan does
"""
import hashlib
import json
import os
import pathlib
import random
import shutil
import socket
import time
import unittest

import harness

CODES = {"BackupNotFound", "BackupIncomplete", "BackupDamaged", "BackupUnverified", "ManifestUnsupported", "HostilePath", "StoreMissing", "TooLarge",
         "BackupOfAnotherFramework", "BackupOfAnotherVersion"}
SECONDS = 120       # a run takes a fraction of one; a loaded machine takes longer, an endless read for ever
MEGABYTES = 600     # of a run and its children; a Job has 1 GiB


def sign(folder):
    lines = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink() and p.name != "SHA256SUMS"):
        lines.append(hashlib.sha256(path.read_bytes()).hexdigest().encode() + b"  " + os.fsencode(path.relative_to(folder)) + b"\n")
    (folder / "SHA256SUMS").write_bytes(b"".join(lines))


def manifest(folder, change):
    file = folder / "backup-manifest.json"
    document = json.loads(file.read_text())
    changed = change(document)
    document = changed if isinstance(changed, dict) else document
    file.write_text(json.dumps(document))


def resize(folder):
    """The manifest's sizes follow the files."""
    manifest(folder, lambda m: m.update(sizes={name: (folder / name).stat().st_size for name in m["files"] if (folder / name).is_file()}))


class Corpus:
    """Yields (name, kind, damage); `damage` takes a fresh copy of the good folder and may return another path to ask for."""

    def __init__(self, good):
        self.good = good
        self.random = random.Random(20261124)
        self.data = sorted((good / "postgres" / "database").glob("*.dat.gz"), key=lambda p: -p.stat().st_size)
        self.blobs = sorted((good / "postgres" / "database").glob("blob*"))
        self.all = []
        for part in (self.cuts, self.flips, self.files, self.sums, self.manifests, self.signed, self.forged, self.kinds, self.paths, self.others):
            part()

    def add(self, name, kind, damage):
        self.all.append((name, kind, damage))

    def relative(self, path):
        return path.relative_to(self.good)

    def subjects(self):
        """One of every kind of file."""
        database = pathlib.Path("postgres/database")
        return {"manifest": pathlib.Path("backup-manifest.json"), "sums": pathlib.Path("SHA256SUMS"), "toc": database / "toc.dat",
                "data": self.relative(self.data[0]), "small data": self.relative(self.data[-1]),
                "blob": self.relative(max(self.blobs, key=lambda p: p.stat().st_size)), "catalog": pathlib.Path("postgres/database-catalog.txt")}

    def cuts(self):
        for what, path in self.subjects().items():
            size = (self.good / path).stat().st_size
            for keep in sorted({0, 1, size // 2, size - 1}):
                if keep < size:
                    self.add(f"{what} cut to {keep} of {size} bytes", "blind", lambda folder, path=path, keep=keep: os.truncate(folder / path, keep))

    def flips(self):
        for what, path in self.subjects().items():
            size = (self.good / path).stat().st_size
            for _ in range(4):
                bit = self.random.randrange(size * 8)

                def flip(folder, path=path, bit=bit):
                    content = bytearray((folder / path).read_bytes())
                    content[bit // 8] ^= 1 << (bit % 8)
                    (folder / path).write_bytes(content)
                self.add(f"bit {bit} of {what} flipped", "blind", flip)

    def files(self):
        data, toc = self.relative(self.data[0]), pathlib.Path("postgres/database/toc.dat")
        for what, path in self.subjects().items():
            self.add(f"{what} missing", "blind", lambda folder, path=path: (folder / path).unlink())
            self.add(f"{what} renamed", "blind", lambda folder, path=path: (folder / path).rename(folder / (str(path) + ".old")))
            self.add(f"{what} with a byte more", "blind", lambda folder, path=path: os.truncate(folder / path, (folder / path).stat().st_size + 1))
        self.add("a name in capitals", "blind", lambda folder: (folder / data).rename((folder / data).with_name(data.name.upper())))
        self.add("a file nobody vouched for", "blind", lambda folder: (folder / "postgres/database/9999.dat").write_text("1\n"))
        self.add("an uncompressed twin of a data file", "blind", lambda folder: (folder / data).with_suffix("").write_text("1\t2\n\\.\n"))
        self.add("two data files exchanged", "blind", lambda folder: self.exchange(folder / data, folder / self.relative(self.data[1])))
        self.add("the dump's folder missing", "blind", lambda folder: shutil.rmtree(folder / "postgres"))
        self.add("everything missing", "blind", lambda folder: [shutil.rmtree(folder), folder.mkdir()][1])
        self.add("a huge file of nothing beside the data", "blind", lambda folder: self.sparse(folder / "postgres/database/1.dat"))
        self.add("a data file that became huge and empty", "blind", lambda folder: self.sparse(folder / data))
        self.add("a hard link to another file of the folder", "blind", lambda folder: [(folder / data).unlink(), os.link(folder / toc, folder / data)])
        self.add("all zeros", "blind", lambda folder: (folder / data).write_bytes(b"\0" * (folder / data).stat().st_size))
        self.add("text turned by a transfer in text mode", "blind",
                 lambda folder: (folder / "backup-manifest.json").write_bytes((folder / "backup-manifest.json").read_bytes().replace(b"\n", b"\r\n")))

    def exchange(self, a, b):
        kept = a.read_bytes()
        a.write_bytes(b.read_bytes())
        b.write_bytes(kept)

    def sparse(self, path):
        with path.open("ab") as file:
            file.truncate(1 << 40)

    def sums(self):
        def lines(change):
            def damage(folder):
                file = folder / "SHA256SUMS"
                file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))
            return damage
        self.add("sums: a line less", "blind", lines(lambda all: all[1:]))
        self.add("sums: a line twice", "blind", lines(lambda all: all + all[:1]))
        self.add("sums: a line twice, with another hash", "blind", lines(lambda all: all + [b"0" * 64 + all[0][64:]]))
        self.add("sums: a wrong hash", "blind", lines(lambda all: [b"0" * 64 + all[0][64:]] + all[1:]))
        self.add("sums: hashes in capitals", "blind", lines(lambda all: [line[:64].upper() + line[64:] for line in all]))
        self.add("sums: another order", "forged", lines(lambda all: all[::-1]))
        self.add("sums: names in capitals", "blind", lines(lambda all: [line[:66] + line[66:].upper() for line in all]))
        self.add("sums: with carriage returns", "blind", lines(lambda all: [line[:-1] + b"\r\n" for line in all]))
        self.add("sums: of another algorithm", "blind", lines(lambda all: [line[:40] + line[64:] for line in all]))
        self.add("sums: a comment", "blind", lines(lambda all: [b"# made by hand\n"] + all))
        self.add("sums: the last newline missing", "blind", lines(lambda all: all[:-1] + [all[-1][:-1]]))
        self.add("sums: a file that is not there", "blind", lines(lambda all: all + [b"0" * 64 + b"  postgres/database/1.dat\n"]))
        for name in (b"../../../etc/passwd", b"/etc/passwd", b"postgres/../../x", b"postgres//x", b"a\\nb", b"./../x", b"\xff\xfe", b"x" * 2000, b"a\x01b"):
            self.add(f"sums: a line for {name[:40]}", "blind", lines(lambda all, name=name: all + [b"0" * 64 + b"  " + name + b"\n"]))

    def manifests(self):
        def is_(name, text):
            def damage(folder):
                (folder / "backup-manifest.json").write_bytes(text)
                sign(folder)
            self.add("manifest: " + name, "signed", damage)
        is_("empty", b"")
        is_("an array", b"[]")
        is_("null", b"null")
        is_("no framework", b"{}")
        is_("numbers for names", b'{"framework": 1}')
        is_("garbage", bytes(self.random.randrange(256) for _ in range(4096)))
        is_("nested without end", b'{"framework": "shop", "manifestVersion": 2, "x": ' + b"[" * 200_000)
        is_("nested and closed", b'{"framework": "shop", "manifestVersion": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
        is_("ten million values", b'{"framework": "shop", "manifestVersion": 2, "x": [' + b"[]," * 10_000_000 + b"0]}")
        is_("forty megabytes of a name", b'{"framework": "' + b"x" * (40 << 20) + b'", "manifestVersion": 2}')
        is_("names that are no UTF-8", b'{"framework": "\xff\xfe", "manifestVersion": 2, "stores": []}')
        is_("a NUL in a name", b'{"framework": "shop", "manifestVersion": 2, "stores": [{"name": "a\\u0000b"}]}')
        is_("two documents", b'{"framework": "shop", "manifestVersion": 2}{"framework": "shop"}')
        is_("a number beyond all", b'{"framework": "shop", "manifestVersion": 2, "stores": [{"database": {"sizeBytes": 1e400}}]}')

        def changed(name, change):
            def damage(folder):
                manifest(folder, change)
                sign(folder)
            self.add("manifest: " + name, "signed", damage)
        changed("of a newer version", lambda m: m.update(manifestVersion=3, stores="of another type now"))
        changed("of version 1 all at once", lambda m: m.update(manifestVersion=1))
        changed("without its version", lambda m: {k: v for k, v in m.items() if k != "manifestVersion"})
        changed("no stores", lambda m: m.update(stores=[]))
        changed("a store of another format", lambda m: m["stores"][0].update(format="plain"))
        changed("a store of another driver", lambda m: m["stores"][0].update(driver="volume"))
        changed("a store of another name", lambda m: m["stores"][0].update(name="elsewhere"))
        changed("a store without a path", lambda m: m["stores"][0].update(path=""))
        changed("a path that leaves", lambda m: m["stores"][0].update(path="../../good/postgres/database"))
        changed("an absolute path", lambda m: m["stores"][0].update(path="/etc"))
        changed("a catalog that leaves", lambda m: m["stores"][0].update(catalogPath="../../../etc/passwd"))
        changed("a path to nothing", lambda m: m["stores"][0].update(path="postgres/other"))
        changed("another framework", lambda m: m.update(framework="letta"))
        changed("another version", lambda m: m.update(current_version="6.6.6"))
        changed("files that are none", lambda m: m["files"].append("postgres/database/none.dat"))
        changed("a file it does not list", lambda m: m["files"].pop())
        changed("other sizes", lambda m: m["sizes"].update({"postgres/database/toc.dat": 1}))
        changed("fewer rows", lambda m: [t.update(rows=t["rows"] - 1) for t in m["stores"][0]["tables"] if t["rows"]])
        changed("negative rows", lambda m: [t.update(rows=-1) for t in m["stores"][0]["tables"]])
        changed("another number of large objects", lambda m: m["stores"][0]["largeObjects"].update(count=99))

    def signed(self):
        data, toc = self.relative(self.data[0]), pathlib.Path("postgres/database/toc.dat")

        def resigned(name, change):
            def damage(folder):
                change(folder)
                resize(folder)
                sign(folder)
            self.add("signed again: " + name, "signed", damage)
        for what, path in (("toc", toc), ("data", data)):
            size = (self.good / path).stat().st_size
            for keep in (0, size // 3, size * 9 // 10):
                resigned(f"{what} cut to {keep}", lambda folder, path=path, keep=keep: os.truncate(folder / path, keep))
        resigned("data that is a text", lambda folder: (folder / data).write_text("no gzip at all\n"))
        resigned("data of another table", lambda folder: shutil.copy(folder / self.relative(self.data[1]), folder / data))
        resigned("a table of contents of another program", lambda folder: (folder / toc).write_bytes(b"PGDMP" + b"\xff" * 500))
        resigned("a table of contents that is empty", lambda folder: (folder / toc).write_bytes(b""))
        resigned("a data file less", lambda folder: [(folder / data).unlink(), manifest(folder, lambda m: m["files"].remove(str(data)))])
        self.add("signed again: a file more", "signed", lambda folder: [(folder / "postgres/database/7.dat").write_text("x"), sign(folder)])

    def forged(self):
        """A folder that agrees with itself in everything that can be read: another backup. The plan's digest is what tells."""
        def change(name, damage):
            self.add("forged: " + name, "forged", lambda folder: [damage(folder), resize(folder), sign(folder)])
        change("a comment in the manifest", lambda folder: manifest(folder, lambda m: m.update(id="another")))
        change("another moment", lambda folder: manifest(folder, lambda m: m.update(createdAt="2030-01-01T00:00:00Z")))
        change("another owner", lambda folder: manifest(folder, lambda m: m["stores"][0]["database"].update(owner="postgres")))
        change("another schema", lambda folder: manifest(folder, lambda m: m["stores"][0]["schema"].update(digest="sha256:0", names=["0"])))
        change("a large object emptied", lambda folder: (folder / self.subjects()["blob"]).write_bytes(b""))

    def kinds(self):
        data = self.relative(self.data[0])
        self.add("a link to a file outside", "blind", lambda folder: [(folder / data).unlink(), os.symlink("/etc/passwd", folder / data)])
        self.add("a link to the same content", "blind",
                 lambda folder: [(folder / data).rename(folder.parent / "kept"), os.symlink(folder.parent / "kept", folder / data)])
        self.add("a link to itself", "blind", lambda folder: [(folder / data).unlink(), os.symlink(data.name, folder / data)])
        self.add("a folder that is a link to itself", "blind", lambda folder: os.symlink(".", folder / "postgres" / "loop"))
        self.add("the dump's folder is a link", "blind",
                 lambda folder: [shutil.rmtree(folder / "postgres"), os.symlink(self.good / "postgres", folder / "postgres")])
        self.add("the manifest is a link", "blind", lambda folder: [(folder / "backup-manifest.json").unlink(),
                                                                    os.symlink(self.good / "backup-manifest.json", folder / "backup-manifest.json")])
        self.add("SHA256SUMS is a link", "blind", lambda folder: [(folder / "SHA256SUMS").unlink(), os.symlink(self.good / "SHA256SUMS", folder / "SHA256SUMS")])
        self.add("SHA256SUMS is a folder", "blind", lambda folder: [(folder / "SHA256SUMS").unlink(), (folder / "SHA256SUMS").mkdir()])
        self.add("the manifest is a pipe", "blind", lambda folder: [(folder / "backup-manifest.json").unlink(), os.mkfifo(folder / "backup-manifest.json")])
        self.add("a pipe", "blind", lambda folder: os.mkfifo(folder / "pipe"))
        self.add("data that is a pipe", "blind", lambda folder: [(folder / data).unlink(), os.mkfifo(folder / data)])
        self.add("a socket", "blind", lambda folder: self.socket(folder / "socket"))
        self.add("a device", "blind", lambda folder: self.device(folder / "device"))
        self.add("data that is a folder", "blind", lambda folder: [(folder / data).unlink(), (folder / data).mkdir()])
        self.add("a file for the dump's folder", "blind", lambda folder: [shutil.rmtree(folder / "postgres"), (folder / "postgres").write_text("")])

    def socket(self, path):
        with socket.socket(socket.AF_UNIX) as end:
            here = os.getcwd()
            os.chdir(path.parent)                  # a socket's path has 107 bytes
            end.bind(path.name)
            os.chdir(here)

    def device(self, path):
        try:
            os.mknod(path, 0o020666, os.makedev(1, 5))
        except PermissionError:
            os.mkfifo(path)                        # nobody but root makes devices; a pipe is refused by the same rule

    def paths(self):
        for name in (b"new\nline", b"\xff\xfe", b"back\\slash", b"x" * 255, b"bell\x07", b".hidden"):
            self.add(f"a file named {name[:20]}", "blind", lambda folder, name=name: open(os.fsencode(folder) + b"/" + name, "wb").close())
        self.add("folders in folders", "blind", lambda folder: (folder / "/".join("d" * 20)).mkdir(parents=True))
        self.add("a path of 2,000 bytes", "blind", lambda folder: (folder / "/".join(["d" * 200] * 10)).mkdir(parents=True))
        for path in ("../outside", "shop/../../etc", "/etc", "shop//victim", "shop/./victim", "shop/victim\nx", "shop/vic\\tim", "x" * 2000, "shop/victim/", "shop/\x7f"):
            self.add(f"asked for as {path[:30]!r}", "blind", lambda folder, path=path: path)
        self.add("asked for by a name in capitals", "blind", lambda folder: "shop/VICTIM")
        self.add("asked for as a file", "blind", lambda folder: "shop/victim/SHA256SUMS")
        self.add("nothing of that name", "blind", lambda folder: [shutil.rmtree(folder), "shop/victim"][1])
        self.add("the folder is a link", "blind", lambda folder: [folder.rename(folder.parent / "kept"), os.symlink(folder.parent / "kept", folder)][0] and None)

    def others(self):
        def script(folder):
            for path in list(folder.iterdir()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            (folder / "backup-manifest.json").write_text(json.dumps({"timestamp": "20261124-030000", "framework": "shop", "current_version": "1.0.0",
                                                                     "target_version": "2.0.0", "backup_type": "pre_upgrade", "files": ["n8n_data.tar.gz"]}))
            (folder / "n8n_data.tar.gz").write_bytes(b"")
        self.add("a script's folder", "blind", script)
        self.add("a script's folder with sums", "signed", lambda folder: [script(folder), sign(folder)])
        self.add("not finished", "blind", lambda folder: (folder / "SHA256SUMS").unlink())


class DamagedBackups(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.world = harness.World()
        cls.world.server.sql("create database shop owner shop")
        cls.world.app("create table migrations (name text); insert into migrations values ('1'); create table orders (id serial, item text); "
                      "insert into orders (item) select md5(g::text) from generate_series(1, 3000) g; create table notes (n text); insert into notes values ('x'); "
                      "select lo_from_bytea(0, decode(repeat('ab', 5000), 'hex'))")
        cls.backup = cls.world.backup().result
        cls.good = cls.world.repository / cls.backup["path"]

    def accepted(self):
        repository = {"path": self.backup["path"], "digest": self.backup["digest"]}
        self.succeeded(self.world.mover.run("verify", repository=repository, backup={"store": "database", "framework": "shop", "version": "1.0.0"}))
        report = self.succeeded(self.world.mover.run("inspect", repository=repository, backup={"store": "database"}))
        self.assertEqual(report["blockers"], [])

    def ask(self, name, verb, **fields):
        began = time.monotonic()
        run = self.world.mover.start(self.world.mover.task(verb, **fields))
        _, status, usage = os.wait4(run.process.pid, 0)
        run.process.returncode = os.waitstatus_to_exitcode(status)
        outcome = run.finish()
        self.assertIsNotNone(outcome, f"{name}: {verb} was killed")
        self.assertLess(time.monotonic() - began, SECONDS, f"{name}: {verb}")
        self.assertLess(usage.ru_maxrss // 1024, MEGABYTES, f"{name}: {verb}")
        self.assertTrue(outcome.get("message") or outcome["outcome"] == "Succeeded", f"{name}: {outcome}")
        return outcome

    def refusedBy(self, name, verb, outcome):
        self.assertEqual(outcome["outcome"], "Refused", f"ACCEPTED by {verb}: {name}: {outcome}")
        self.assertIn(outcome["code"], CODES, f"{name}: {verb}: {outcome}")
        self.assertGreater(len(outcome["message"]), 20, f"{name}: {verb}: {outcome}")

    def test_none_is_accepted(self):
        self.accepted()
        corpus = Corpus(self.good).all
        self.assertEqual(len({name for name, _, _ in corpus}), len(corpus), "two damages of one name")
        system, live = self.world.identity()
        before = self.world.server.databases()
        seen, codes = {"blind": 0, "signed": 0, "forged": 0}, {}
        for name, kind, damage in corpus:
            home = self.world.repository / "shop"
            for rest in (home / "victim", home / "kept"):
                rest.unlink() if rest.is_symlink() or rest.is_file() else shutil.rmtree(rest, ignore_errors=True)
            folder = home / "victim"
            shutil.copytree(self.good, folder)
            path = damage(folder)
            path = path if isinstance(path, str) else "shop/victim"
            frozen = {"path": path, "digest": self.backup["digest"]}
            wanted = {"store": "database", "framework": "shop", "version": "1.0.0"}
            with self.subTest(name):
                outcome = self.ask(name, "verify", repository=frozen, backup=wanted)
                self.refusedBy(name, "verify", outcome)
                codes[outcome["code"]] = codes.get(outcome["code"], 0) + 1
                if kind != "forged":               # nothing known of it but what can be read
                    self.refusedBy(name, "verify without a digest", self.ask(name, "verify", repository={"path": path}, backup=wanted))
                self.refusedBy(name, "stage", self.ask(name, "stage", repository=frozen, backup=wanted, expect={"systemIdentifier": system, "liveOid": live},
                                                       names=self.world.mover.names()))
                report = self.ask(name, "inspect", repository=frozen, backup=wanted)
                self.assertEqual(report["outcome"], "Succeeded", f"{name}: {report}")
                blockers = [b["code"] for b in report.result["blockers"]]
                # It reads no data: content that kept its size is found by verify and stage only.
                if blockers:
                    self.assertIn(blockers[0], CODES, name)
                else:
                    self.assertEqual(outcome["code"], "BackupDamaged", f"ACCEPTED by inspect: {name}")
                    self.assertIn("is not what SHA256SUMS says", outcome["message"], f"ACCEPTED by inspect: {name}")
            seen[kind] += 1
        self.assertEqual(self.world.server.databases(), before, "something was made for a backup that was refused")
        self.assertGreaterEqual(len(corpus), 100)
        self.accepted()
        print(f"\n{len(corpus)} damaged backups ({', '.join(f'{n} {kind}' for kind, n in seen.items())}), 0 accepted: "
              + ", ".join(f"{n} {code}" for code, n in sorted(codes.items(), key=lambda item: -item[1])))

    def test_what_is_no_damage(self):
        """Names, order and links that mean nothing: deduplicated repositories hold hard links."""
        home = self.world.repository / "shop"
        folder = home / "linked"
        shutil.copytree(self.good, folder, copy_function=os.link)
        self.addCleanup(shutil.rmtree, folder)
        self.succeeded(self.world.mover.run("verify", repository={"path": "shop/linked", "digest": self.backup["digest"]}))


if __name__ == "__main__":
    harness.main()
