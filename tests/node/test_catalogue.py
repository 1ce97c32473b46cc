"""The catalogue on a real node: what is in a repository is listed, also what nobody here made; a thousand folders cost one Job, and
looking again changes nothing."""
import json
import os
import pathlib
import shutil

from node.shop import LAB, ShopTest

GROUP = "rollback.pa-ecosystem.io"


def entries(namespace):
    return {e["metadata"]["name"]: e for e in LAB.items("frameworkbackups", "-n", namespace)}


def scan_again(shop, value):
    """Asks for a scan and waits for its end."""
    LAB.kubectl("annotate", "backuprepository", "backups", f"{GROUP}/scan={value}", "--overwrite", "-n", shop.namespace)

    def ended():
        status = LAB.get("backuprepository", "backups", "-n", shop.namespace)["status"]
        steps = status.get("steps", [])
        return status.get("scan", {}).get("request") == value and steps and all(s.get("state") != "Running" for s in steps) and status["scan"]
    return LAB.wait_for(f"scan {value} of {shop.namespace}", ended, 300)


def folder_of(shop, path):
    """Where a backup's folder is on this machine. Two shops may have one of the same name: its instant is in seconds."""
    claim = LAB.get("backuprepository", "backups", "-n", shop.namespace)["spec"]["volume"]["persistentVolumeClaim"]["claimName"]
    volume = LAB.get("persistentvolumeclaim", claim, "-n", shop.namespace)["spec"]["volumeName"]
    return next((pathlib.Path(LAB.env["CLUSTER_STATE"]) / "volumes" / volume).rglob(path))


def changed(before, after):
    return {name for name in before | after if before.get(name, {}).get("metadata", {}).get("resourceVersion") != after.get(name, {}).get("metadata", {}).get("resourceVersion")}


class CatalogueTest(ShopTest):
    def test_folders_are_listed_and_a_listed_one_is_rolled_back_to(self):
        shop = self.shop()
        shop.upgraded()
        taken = entries(shop.namespace)["before"]
        folder = folder_of(shop, taken["status"]["path"])

        with self.subTest("a backup whose object is gone is listed, as in a new cluster"):
            LAB.kubectl("delete", "frameworkbackup", "before", "-n", shop.namespace, "--timeout=60s")
            scan = scan_again(shop, "one")
            self.assertEqual((scan["found"], scan["listed"], scan["restorable"]), (1, 1, 1), scan)
            entry = entries(shop.namespace)[folder.name]
            self.assertEqual(entry["status"]["phase"], "Listed", entry)
            self.assertEqual(entry["status"]["version"], "1.0.0")
            self.assertEqual(entry["status"]["digest"], taken["status"]["digest"])
            self.assertNotIn("verified", entry["status"])
            self.assertEqual(entry["status"]["restores"], ["database"])

        with self.subTest("a script's folder is listed as what it is, and no rollback believes it unasked"):
            script = folder.parent / "shop-backup-20250101-000000"
            script.mkdir()
            (script / "backup-manifest.json").write_text(json.dumps({"timestamp": "20250101-000000", "framework": "shop", "current_version": "1.0.0",
                                                                     "target_version": "2.0.0", "backup_type": "pre_upgrade", "files": ["shop_data.tar.gz"]}))
            (script / "shop_data.tar.gz").write_bytes(b"")
            scan_again(shop, "two")
            entry = entries(shop.namespace)[script.name]
            self.assertNotIn("restores", entry["status"])
            self.assertIn("it holds no database dump", entry["status"]["missing"])
            shop.rollback("unasked", to={"backupRef": {"name": script.name}})
            status = self.ended(shop, "Failed", "unasked")
            self.assertIn("unverifiedBackup: true", status["message"])
            shop.rollback("asked", to={"backupRef": {"name": script.name}}, accept={"unverifiedBackup": True}, scope=["Version", "Databases"])
            status = self.ended(shop, "Failed", "asked")
            self.assertIn("no data is restored from it", status["message"])
            self.assertTrue(shop.serves())

        with self.subTest("what is listed can be rolled back to: it is read in full first"):
            shop.rollback("listed", to={"backupRef": {"name": folder.name}})
            status = self.ended(shop, "Succeeded", "listed")
            self.assertEqual(status["plan"]["stores"][0]["action"], "Restore")
            self.assertEqual(shop.version(), "1.0.0")

        with self.subTest("its full read can be asked for"):
            LAB.kubectl("annotate", "frameworkbackup", folder.name, f"{GROUP}/verify=now", "-n", shop.namespace)
            LAB.wait_for("the full read", lambda: entries(shop.namespace)[folder.name]["status"].get("verified", {}).get("level") == "FullRead", 120)

        with self.subTest("a folder that is gone takes its entry with it, unless a rollback names it"):
            shutil.move(folder, folder.parent / ".away")
            shutil.rmtree(script)
            LAB.kubectl("delete", "frameworkrollback", "unasked", "asked", "-n", shop.namespace, "--timeout=60s")
            scan_again(shop, "three")
            left = entries(shop.namespace)
            self.assertNotIn(script.name, left)
            self.assertEqual(left[folder.name]["status"]["phase"], "Missing")

    def test_a_thousand_folders_cost_one_job_and_silence(self):
        shop = self.shop()
        LAB.framework_runs("1.0.0", shop.namespace)
        shop.backup()
        good = folder_of(shop, entries(shop.namespace)["before"]["status"]["path"])
        owner = good.stat()
        for n in range(1000):
            copy = good.parent / f"shop-backup-20240101-{n:06d}"
            shutil.copytree(good, copy, copy_function=os.link)
            for directory, _, _ in os.walk(copy):   # readable by the mover, as the files are
                os.chown(directory, owner.st_uid, owner.st_gid)
            if n % 100 == 0:                       # some are damaged
                (copy / "SHA256SUMS").unlink()
        jobs = set()

        def see():
            jobs.update(j["metadata"]["uid"] for j in LAB.items("jobs", "-n", shop.namespace, "-l", f"{GROUP}/step=scan"))
            return False
        see()
        before = set(jobs)
        LAB.kubectl("annotate", "backuprepository", "backups", f"{GROUP}/scan=many", "--overwrite", "-n", shop.namespace)

        def listed():
            see()
            scan = LAB.get("backuprepository", "backups", "-n", shop.namespace)["status"].get("scan", {})
            return scan.get("found") == 1001 and scan.get("listed") == 1001 and scan
        scan = LAB.wait_for("a thousand entries", listed, 400, 0.5)
        self.assertEqual(len(jobs - before), 1, "a scan is one Job")
        self.assertEqual(scan["restorable"], 991)
        first = entries(shop.namespace)
        self.assertEqual(len(first), 1001)
        self.assertEqual(first["shop-backup-20240101-000000"]["status"]["phase"], "Listed")
        scan_again(shop, "again")
        self.assertEqual(changed(first, entries(shop.namespace)), set(), "a scan that finds the same writes nothing")

