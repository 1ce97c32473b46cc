"""Whole rollbacks, seen from outside: the database server, the application's customers, kubectl."""
import json
import threading
import time

import yaml

from lab.lab import ROOT, Acknowledged, Poller, agree, fetch, seconds
from node.shop import LAB, ShopTest


# Of the largest file of data in the repository, in its middle.
FLIP_A_BIT = """my ($f) = sort { -s $b <=> -s $a } glob "/repository/*/*/postgres/database/*.dat.gz"; my $at = int((-s $f) / 2); chmod 0600, $f;
open(my $h, "+<", $f) or die "$f: $!"; seek $h, $at, 0; read $h, my $c, 1; seek $h, $at, 0; print $h chr(ord($c) ^ 1); close $h or die $!"""


# A Job of it is connected to the database for a while, as one of the application's would be.
REPORT = """import psycopg2, time; connection = psycopg2.connect(""); connection.cursor().execute("select 1"); time.sleep(25)"""


def with_report(document):
    if document["kind"] == "Framework":
        document["spec"]["components"].append({"name": "report", "workloadRef": {"kind": "CronJob", "name": "report"}})


def report(namespace):
    """A CronJob of the application's image, that runs the report in the night."""
    pod = LAB.get("deployment", "shop", "-n", namespace)["spec"]["template"]["spec"]
    container = {key: pod["containers"][0][key] for key in ("image", "env", "securityContext")}
    LAB.apply_text(json.dumps({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "report", "namespace": namespace}, "spec": {
        "schedule": "0 3 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False, "securityContext": pod["securityContext"],
            "containers": [{"name": "report", "command": ["python3", "-c", REPORT], **container}]}}}}}}))


class RollbackTest(ShopTest):
    def test_version_and_data_go_back_together_and_nothing_acknowledged_is_lost(self):
        shop = self.shop(edit=with_report)
        report(shop.namespace)
        with Acknowledged(LAB, shop.namespace) as acknowledged:
            shop.upgraded(also=lambda: LAB.kubectl("set", "image", "cronjob/report", "report=localhost/demo-app:2.0.0", "-n", shop.namespace))
            with Poller(shop.url + "/healthz") as poller:
                time.sleep(0.5)
                old = list(acknowledged.by_pod)
                shop.rollback()
                shop.reaches("Stage")
                LAB.kubectl("create", "job", "now", "--from=cronjob/report", "-n", shop.namespace)
                status = self.ended(shop, "Succeeded")
                new = acknowledged.by_others(old)
        with self.subTest("the CronJob's Job was waited for while the application served, and it goes on, with the target's image"):
            run = LAB.get("job", "now", "-n", shop.namespace)["status"]
            self.assertEqual(run.get("succeeded"), 1, run)
            self.assertLessEqual(seconds(run["completionTime"]), seconds(status["downtime"]["startedAt"]))
            cron = LAB.get("cronjob", "report", "-n", shop.namespace)["spec"]
            self.assertFalse(cron["suspend"])
            self.assertEqual(cron["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"], "localhost/demo-app:1.0.0")
            self.assertIn("CronJob/report (0 3 1 1 *) is suspended", status["plan"]["schedules"][0])
        kept = status["previous"][0]["name"]
        self.tidy(shop, [kept])
        self.assertEqual(shop.version(), "1.0.0")
        self.assertEqual(fetch(shop.url + "/checkout")[0], 200)
        self.assertEqual(shop.image(), "localhost/demo-app:1.0.0")
        self.assertLessEqual(set(acknowledged.ids(*old)), shop.orders(kept), "acknowledged before the switch, missing in the kept database")
        self.assertLessEqual(set(acknowledged.ids(*new)), shop.orders(), "acknowledged after Resume, missing in the live database")
        gaps = poller.gaps()
        self.assertEqual(len(gaps), 1, gaps)
        self.assertEqual(agree(gaps[0], status["downtime"]), "", gaps)
        self.assertEqual(status["plan"]["stores"][0]["action"], "Restore")

        with self.subTest("re-created under the same name and spec, it does not run again"):
            LAB.kubectl("delete", "frameworkrollback", "back", "-n", shop.namespace, "--timeout=60s")
            before = shop.databases()
            shop.rollback()
            self.assertEqual(self.ended(shop, "Skipped")["reason"], "AlreadyExecuted")
            self.assertEqual(shop.databases(), before)

    def test_target_that_fails_its_health_check_is_reverted(self):
        shop = self.shop()
        with Acknowledged(LAB, shop.namespace) as acknowledged:
            shop.upgraded()
            LAB.kubectl("set", "env", "deployment/shop", "UNHEALTHY_VERSION=1.0.0", "-n", shop.namespace)
            LAB.kubectl("rollout", "status", "deployment/shop", "-n", shop.namespace, "--timeout=300s")
            time.sleep(1)
            old = set(acknowledged.by_pod)
            shop.rollback(timeoutSeconds=600)
            status = self.ended(shop, "Reverted")
            acknowledged.by_others(old)
            reverted = status["previous"][0]["name"]
            self.assertIn("_reverted_", reverted)
            self.tidy(shop, [reverted])
            self.assertEqual(shop.version(), "2.0.0")
            self.assertLessEqual(set(acknowledged.ids(*old)), shop.orders(), "acknowledged before the rollback, missing after the revert")
            meanwhile = set(acknowledged.ids(*[p for p in acknowledged.by_pod if p not in old and acknowledged.by_pod[p]]))
            self.assertLessEqual(meanwhile, shop.orders() | shop.orders(reverted))

            # The target does not become healthy: it waits in Resume, and nobody is served in between.
            with self.subTest("aborted once the switch has begun: switched to its end and back again, although a failure would be held"):
                serving = {pod["metadata"]["name"] for pod in LAB.items("pods", "-n", shop.namespace, "-l", "app=shop")}
                with Poller(shop.url + "/healthz") as poller:
                    time.sleep(0.5)
                    shop.rollback("aborted", timeoutSeconds=600, onFailure="Hold")
                    shop.reaches("Go", "aborted")
                    shop.change("aborted", abort=True)
                    status = self.ended(shop, "Reverted", "aborted")
                    time.sleep(1.5)
                self.assertEqual(status["reason"], "Aborted")
                self.assertIn("spec.abort was set", status["message"])
                kept = status["previous"][0]["name"]
                self.assertIn("_reverted_", kept)
                self.tidy(shop, [reverted, kept])
                self.assertEqual((shop.version(), shop.image(), shop.schema()), ("2.0.0", "localhost/demo-app:2.0.0", "2.0.0"))
                before = set(acknowledged.ids(*[pod for pod in acknowledged.by_pod if pod in serving]))
                self.assertTrue(before, serving)
                self.assertLessEqual(before, shop.orders(), "acknowledged before the rollback, missing after it was aborted")
                gaps = poller.gaps()
                self.assertEqual(len(gaps), 1, gaps)
                self.assertEqual(agree(gaps[0], status["downtime"]), "", gaps)

    def test_rollback_that_needs_no_data_leaves_the_database_alone(self):
        shop = self.shop()
        LAB.framework_runs("1.0.0", shop.namespace)
        shop.runs("1.0.1")
        shop.rollback()
        with self.subTest("suspended on its way it does nothing at all, and the application serves"):
            shop.reaches("Plan")
            shop.change(suspend=True)
            LAB.wait_for("it to be suspended", lambda: shop.condition("Suspended").get("status") == "True", 60)
            before = LAB.rollback("back", shop.namespace)
            time.sleep(2)
            self.assertEqual(LAB.rollback("back", shop.namespace), before)
            self.assertIn("suspended before step", before["status"]["message"])
            self.assertIn(before["status"]["phase"], ("Planning", "Preparing"))
            self.assertEqual((shop.serves(), shop.version(), shop.image()), (True, "1.0.1", "localhost/demo-app:1.0.1"))
        shop.change(suspend=False)
        status = self.ended(shop, "Succeeded")
        self.assertEqual((shop.condition("Suspended")["status"], shop.condition("Suspended")["reason"]), ("False", "Resumed"))
        self.tidy(shop, [])
        self.assertEqual(shop.version(), "1.0.0")
        self.assertEqual(status["plan"]["stores"][0]["action"], "Keep")
        self.assertIn("left alone", status["message"])

    def test_damaged_backup_is_refused_and_nothing_is_touched(self):
        shop = self.shop()
        shop.upgraded()
        shop.in_repository("perl", "-e", FLIP_A_BIT)
        with Poller(shop.url + "/healthz") as poller:
            shop.rollback()
            status = self.ended(shop, "Failed")
        self.assertEqual(status["reason"], "NothingTouched")
        self.assertRegex(status["message"], "damaged|SHA-256|digest")
        self.assertEqual(poller.gaps(), [])
        self.tidy(shop, [])
        self.assertEqual(shop.version(), "2.0.0")

    def test_deleted_in_the_middle_the_application_is_returned_to_service_first(self):
        shop = self.shop()
        with Acknowledged(LAB, shop.namespace) as acknowledged:
            shop.upgraded()
            old = list(acknowledged.by_pod)
            shop.rollback(verification={"soakSeconds": 600})    # so that it has not ended when it is deleted
            shop.reaches("Switch")                              # it is stopped
            LAB.kubectl("delete", "frameworkrollback", "back", "-n", shop.namespace, "--timeout=180s")
            self.assertTrue(shop.serves(), "the rollback is gone, and the application does not serve")
            acknowledged.by_others(old)
        self.assertIsNone(LAB.rollback("back", shop.namespace))
        # Stopped for the rollback, it goes back whole: to the version before, on its own data. What 1.0.0 wrote, if it got so far, is kept.
        kept = [name for name in shop.databases() if name != "shop"]
        self.assertRegex(" ".join(kept), r"^(shop_reverted_\w+)?$")
        self.tidy(shop, kept)
        self.assertEqual((shop.version(), shop.image(), shop.schema()), ("2.0.0", "localhost/demo-app:2.0.0", "2.0.0"))
        self.assertLessEqual(set(acknowledged.ids(*old)), shop.orders(), "acknowledged before the rollback, missing after it was deleted")


class SeveralStoresTest(ShopTest):
    long = True

    LEDGER = """create table migrations (name text); insert into migrations values ('1'); create table entries (id int primary key, amount int);
                insert into entries select n, n * 10 from generate_series(1, 100) n"""

    def setUp(self):
        class_ = yaml.safe_load((ROOT / "manifests/samples/demo/class.yaml").read_text())
        class_["metadata"]["name"] = "shop-and-ledger"
        class_["spec"]["stores"].append({"name": "ledger", "driver": "postgres", "schema": {"query": "select name from migrations"},
                                         "checks": [{"name": "entries", "query": "select count(*) from entries", "min": 1}]})
        LAB.apply_text(json.dumps(class_))
        self.addCleanup(LAB.kubectl, "delete", "frameworkclass", "shop-and-ledger")

    @staticmethod
    def with_ledger(document):
        if document["kind"] == "Framework":
            document["spec"]["classRef"]["name"] = "shop-and-ledger"
            first = document["spec"]["stores"][0]
            document["spec"]["stores"].append({"name": "ledger", "postgres": {**first["postgres"], "database": "ledger"}})

    def test_two_databases_go_back_together_and_are_brought_back_together(self):
        shop = self.shop(edit=self.with_ledger)
        shop.sql("create database ledger owner shop", "postgres")
        shop.sql(f"set role shop; {self.LEDGER}", "ledger")
        LAB.wait_for("both schemas to be known", lambda: len(LAB.get("framework", "shop", "-n", shop.namespace)["status"].get("running", {}).get("schemas", [])) == 2, 180)
        shop.upgraded()
        shop.sql("insert into migrations values ('2'); delete from entries where id > 1", "ledger")
        shop.rollback(to={"lastKnownGood": True})
        first = self.ended(shop, "Succeeded")
        self.assertEqual((first["from"]["version"], first["to"]["version"], first["plan"]["backup"]["name"]), ("2.0.0", "1.0.0", "before"))
        self.assertEqual([(s["name"], s["action"]) for s in first["plan"]["stores"]], [("database", "Restore"), ("ledger", "Restore")])
        kept = sorted(copy["name"] for copy in first["previous"])
        self.assertRegex(" ".join(kept), r"^ledger_prev_\w+ shop_prev_\w+$")
        self.tidy(shop, kept, live=("shop", "ledger"))
        self.assertEqual((shop.version(), shop.schema()), ("1.0.0", "1.0.0"))
        self.assertEqual(shop.sql("select count(*), sum(amount) from entries", "ledger"), "100|50500")

        shop.rollback("undo", to={"undo": "back"}, accept={"dataLoss": True})
        status = self.ended(shop, "Succeeded", "undo")
        kept = sorted(copy["name"] for copy in status["previous"])
        self.assertRegex(" ".join(kept), r"^ledger_reverted_\w+ shop_reverted_\w+$")
        self.tidy(shop, kept, live=("shop", "ledger"))
        self.assertEqual(shop.version(), "2.0.0")
        self.assertEqual(shop.sql("select (select count(*) from entries), (select max(name) from migrations)", "ledger"), "1|2")


class AuthorityTest(ShopTest):
    def test_namespace_that_has_not_opted_in_is_left_alone(self):
        shop = self.shop(opted_in=False)
        shop.rollback()

        LAB.wait_for("the condition Ready to say NotOptedIn", lambda: shop.condition("Ready").get("reason") == "NotOptedIn", 120)
        ready = shop.condition("Ready")
        self.assertEqual(ready["status"], "Unknown")
        self.assertIn("has not opted in", ready["message"])
        self.assertIn("kubectl create rolebinding", ready["message"])
        self.assertEqual(shop.jobs(), [])
        self.assertTrue(shop.serves())

    def test_every_job_is_argv_only_without_token_and_with_limits(self):
        shop = self.shop()
        shop.upgraded()
        seen = {}
        stop = threading.Event()

        def collect():
            while not stop.is_set():
                seen.update({job["metadata"]["name"]: job for job in shop.jobs()})
                time.sleep(0.5)
        collector = threading.Thread(target=collect)
        collector.start()
        shop.rollback(keepPreviousFor="5s")
        try:
            previous = self.ended(shop, "Succeeded")["previous"][0]
            self.dropped(shop, previous)
        finally:
            stop.set()
            collector.join()
        self.assertGreater(len(seen), 5)
        self.assertTrue([name for name in seen if "-cleanup-" in name], list(seen))
        for name, job in seen.items():
            with self.subTest(name):
                pod = job["spec"]["template"]["spec"]
                self.assertFalse(pod["automountServiceAccountToken"])
                self.assertEqual(job["spec"]["backoffLimit"], 0)
                for container in pod["containers"] + pod["initContainers"]:
                    self.assertTrue(container["command"][0].endswith("rollback-mover"), container["command"])
                    self.assertNotIn("args", container)
                    self.assertTrue(container["resources"]["limits"])
                self.assertNotIn("open-sesame", json.dumps(job))

    def dropped(self, shop, previous):
        """What was kept for a few seconds goes when they are over and no earlier; its Framework and an Event say so."""
        self.assertRegex(previous["name"], r"^shop_prev_\w+$")

        def told():
            kept = [copy["name"] for copy in LAB.get("framework", "shop", "-n", shop.namespace)["status"].get("kept", [])]
            return previous["name"] not in kept and [e for e in LAB.items("events", "-n", shop.namespace) if e.get("reason") == "KeptCopiesDropped"]
        events = LAB.wait_for(f"{previous['name']} to be dropped", told, 120)
        self.assertGreaterEqual(time.time(), seconds(previous["until"]))
        self.assertIn(previous["name"], events[0]["message"])
        self.tidy(shop, [])
        self.assertEqual((shop.version(), shop.schema()), ("1.0.0", "1.0.0"))
