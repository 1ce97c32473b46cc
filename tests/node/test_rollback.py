"""Rollbacks on a real node: what must hold, seen from outside: the database server, the application's customers, kubectl.

One cluster for all; each test has a namespace with a shop of its own, so that what one leaves behind is not another's."""
import json
import os
import pathlib
import re
import subprocess
import threading
import time
import unittest

from lab.lab import IMAGES, ROOT, Acknowledged, Lab, LabError, Poller, agree, fetch

LAB = Lab("node-test")
MANIFESTS = ROOT / "tests/cluster/demo-app/manifests"


def setUpModule():
    LAB.down()
    LAB.up(*[IMAGES / f"{n}.tar" for n in ("rollback-operator", "rollback-mover", "postgres", "demo-app-1.0.0", "demo-app-1.0.1", "demo-app-2.0.0")])
    LAB.install_operator()
    # Less patience with a target that does not become healthy than a user would have.
    LAB.apply_text((ROOT / "manifests/samples/demo/class.yaml").read_text().replace("timeoutSeconds: 120", "timeoutSeconds: 40"))


def tearDownModule():
    if not os.environ.get("KEEP"):
        LAB.down(ROOT / "build/node-logs")


class Shop:
    """A shop in a namespace of its own, opted in, with a repository and a Framework."""

    def __init__(self, namespace, opted_in=True):
        self.namespace = namespace
        rendered = LAB.kubectl("kustomize", MANIFESTS)
        for name in ("repository", "framework") + (("opt-in",) if opted_in else ()):
            rendered += "---\n" + (ROOT / f"manifests/samples/demo/{name}.yaml").read_text()
        rendered = re.sub(r"namespace: demo\b", f"namespace: {namespace}", rendered)
        rendered = re.sub(r"name: demo\b", f"name: {namespace}", rendered)
        LAB.apply_text(rendered)
        for workload in ("statefulset/db", "deployment/shop"):
            LAB.kubectl("rollout", "status", workload, "-n", namespace, "--timeout=180s")
        self.url = LAB.service_url(namespace)

    def backup(self, name="before"):
        LAB.apply_text(json.dumps({"apiVersion": "rollback.pa-ecosystem.io/v1alpha1", "kind": "FrameworkBackup",
                                   "metadata": {"name": name, "namespace": self.namespace}, "spec": {"frameworkRef": {"name": "shop"}, "reason": "PreUpgrade"}}))
        backup = LAB.backup_done(name, self.namespace)
        if backup["status"]["phase"] != "Completed":
            raise LabError(backup["status"].get("message", "") + LAB.story(self.namespace))
        return backup

    def rollback(self, name="back", **spec):
        LAB.apply_text(json.dumps({"apiVersion": "rollback.pa-ecosystem.io/v1alpha1", "kind": "FrameworkRollback",
                                   "metadata": {"name": name, "namespace": self.namespace},
                                   "spec": {"frameworkRef": {"name": "shop"}, "to": {"version": "1.0.0"}, **spec}}))

    def upgraded(self):
        """1.0.0 backed up, 2.0.0 running on a migrated database."""
        LAB.framework_runs("1.0.0", self.namespace)
        self.backup()
        LAB.set_image("2.0.0", self.namespace)
        LAB.framework_runs("2.0.0", self.namespace)

    def image(self):
        return LAB.get("deployment", "shop", "-n", self.namespace)["spec"]["template"]["spec"]["containers"][0]["image"]

    def databases(self):
        """name → may be connected to"""
        rows = LAB.sql("select datname, datallowconn from pg_database where not datistemplate and datname <> 'postgres'", "postgres", self.namespace)
        return {name: allowed == "t" for name, allowed in (row.split("|") for row in rows.splitlines())}

    def sql(self, statement, database="shop"):
        return LAB.sql(statement, database, self.namespace)

    def orders(self, database="shop"):
        closed = not self.databases()[database]
        if closed:
            self.sql(f'alter database "{database}" allow_connections true', "postgres")
        try:
            return {int(i) for i in self.sql("select id from orders", database).split()}
        finally:
            if closed:
                self.sql(f'alter database "{database}" allow_connections false', "postgres")

    def version(self):
        return json.loads(fetch(self.url + "/version")[1]).get("version")

    def serves(self):
        return fetch(self.url + "/healthz")[0] == 200

    def jobs_unfinished(self):
        return [j["metadata"]["name"] for j in LAB.items("jobs", "-n", self.namespace)
                if not any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in j["status"].get("conditions", []))]

    def lock(self):
        return LAB.get("framework", "shop", "-n", self.namespace)["status"].get("activeRollback")

    def close(self):
        LAB.kubectl("delete", "namespace", self.namespace, "--wait=false")


class ShopTest(unittest.TestCase):
    maxDiff = None

    def shop(self, **options):
        shop = Shop(self.id().rsplit(".", 1)[1].replace("test_", "").replace("_", "-")[:40].strip("-"), **options)
        self.addCleanup(shop.close)
        return shop

    def tidy(self, shop, kept):
        """No lock, no unfinished Job, live open, kept copies closed and nothing else left, the application serving."""
        self.assertIsNone(shop.lock())
        LAB.wait_for("Jobs to end", lambda: not shop.jobs_unfinished(), 30)
        self.assertEqual(shop.databases(), {"shop": True, **{name: False for name in kept}})
        self.assertTrue(shop.serves())

    def phase(self, done, phase, namespace):
        self.assertEqual(done["status"]["phase"], phase, done["status"].get("message", "") + "\n" + LAB.story(namespace))
        return done["status"]


class RollbackTest(ShopTest):
    def test_version_and_data_go_back_together_and_nothing_acknowledged_is_lost(self):
        shop = self.shop()
        with Acknowledged(LAB, shop.namespace) as acknowledged, Poller(shop.url + "/healthz") as poller:
            shop.upgraded()
            time.sleep(0.5)
            old = list(acknowledged.by_pod)
            shop_gaps_before = len(poller.gaps())
            shop.rollback()
            status = self.phase(LAB.ended("back", shop.namespace), "Succeeded", shop.namespace)
            time.sleep(1.5)
        kept = status["previous"][0]["name"]
        self.tidy(shop, [kept])
        self.assertEqual(shop.version(), "1.0.0")
        self.assertEqual(fetch(shop.url + "/checkout")[0], 200)
        self.assertEqual(shop.image(), "localhost/demo-app:1.0.0")
        self.assertLessEqual(set(acknowledged.ids(*old)), shop.orders(kept), "acknowledged before the switch, missing in the kept database")
        new = set(acknowledged.ids(*[p for p in acknowledged.by_pod if p not in old]))
        self.assertTrue(new, "the application wrote nothing after the rollback")
        self.assertLessEqual(new, shop.orders())
        gaps = poller.gaps()[shop_gaps_before:]
        self.assertEqual(len(gaps), 1, gaps)
        self.assertTrue(agree(gaps[0][1] - gaps[0][0], status["downtime"]["milliseconds"] / 1000), (gaps, status["downtime"]))
        self.assertEqual(status["plan"]["stores"][0]["action"], "Restore")

        with self.subTest("re-created under the same name and spec, it does not run again"):
            LAB.kubectl("delete", "frameworkrollback", "back", "-n", shop.namespace, "--timeout=60s")
            before = shop.databases()
            shop.rollback()
            self.assertEqual(self.phase(LAB.ended("back", shop.namespace), "Skipped", shop.namespace)["reason"], "AlreadyExecuted")
            self.assertEqual(shop.databases(), before)
        with self.subTest("an operator that restarts does nothing to an ended rollback"):
            version = LAB.rollback("back", shop.namespace)["metadata"]["resourceVersion"]
            LAB.kubectl("rollout", "restart", "deployment/rollback-operator", "-n", "rollback-system")
            LAB.kubectl("rollout", "status", "deployment/rollback-operator", "-n", "rollback-system", "--timeout=120s")
            time.sleep(3)
            self.assertEqual(LAB.rollback("back", shop.namespace)["metadata"]["resourceVersion"], version)

    def test_target_that_fails_its_health_check_is_reverted(self):
        shop = self.shop()
        with Acknowledged(LAB, shop.namespace) as acknowledged:
            shop.upgraded()
            # The Framework's health must be known within the test's patience.
            LAB.kubectl("set", "env", "deployment/shop", "UNHEALTHY_VERSION=1.0.0", "-n", shop.namespace)
            LAB.kubectl("rollout", "status", "deployment/shop", "-n", shop.namespace, "--timeout=120s")
            time.sleep(1)
            old = set(acknowledged.by_pod)
            shop.rollback(timeoutSeconds=600)
            status = self.phase(LAB.ended("back", shop.namespace, timeout=400), "Reverted", shop.namespace)
            time.sleep(1)
        reverted = status["previous"][0]["name"]
        self.assertIn("_reverted_", reverted)
        self.tidy(shop, [reverted])
        self.assertEqual(shop.version(), "2.0.0")
        self.assertLessEqual(set(acknowledged.ids(*old)), shop.orders(), "acknowledged before the rollback, missing after the revert")
        meanwhile = set(acknowledged.ids(*[p for p in acknowledged.by_pod if p not in old and acknowledged.by_pod[p]]))
        self.assertLessEqual(meanwhile, shop.orders() | shop.orders(reverted))

    def test_rollback_that_needs_no_data_leaves_the_database_alone(self):
        shop = self.shop()
        LAB.framework_runs("1.0.0", shop.namespace)
        LAB.set_image("1.0.1", shop.namespace)
        LAB.framework_runs("1.0.1", shop.namespace)
        shop.rollback()
        status = self.phase(LAB.ended("back", shop.namespace), "Succeeded", shop.namespace)
        self.tidy(shop, [])
        self.assertEqual(shop.version(), "1.0.0")
        self.assertEqual(status["plan"]["stores"][0]["action"], "Keep")
        self.assertIn("left alone", status["message"])

    def test_damaged_backup_is_refused_and_nothing_is_touched(self):
        shop = self.shop()
        shop.upgraded()
        volumes = pathlib.Path(LAB.env["CLUSTER_STATE"]) / "volumes"
        data = [f for f in volumes.rglob("*/postgres/database/*.dat.gz") if f"{shop.namespace}" in str(f)] or \
            [f for f in volumes.rglob("postgres/database/*.dat.gz")]
        newest = max(data, key=lambda f: (f.stat().st_mtime, f.stat().st_size))
        content = bytearray(newest.read_bytes())
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)
        with Poller(shop.url + "/healthz") as poller:
            shop.rollback()
            status = self.phase(LAB.ended("back", shop.namespace), "Failed", shop.namespace)
        self.assertEqual(status["reason"], "NothingTouched")
        self.assertRegex(status["message"], "damaged|SHA-256|digest")
        self.assertEqual(poller.gaps(), [])
        self.tidy(shop, [])
        self.assertEqual(shop.version(), "2.0.0")

    def test_deleted_in_the_middle_the_application_is_returned_to_service_first(self):
        shop = self.shop()
        shop.upgraded()
        shop.rollback()
        LAB.wait_for("the application to be stopped", lambda: LAB.rollback("back", shop.namespace).get("status", {}).get("step") in ("Quiesce", "Switch", "Resume"), 180, 0.2)
        LAB.kubectl("delete", "frameworkrollback", "back", "-n", shop.namespace, "--timeout=180s")
        self.assertIsNone(LAB.rollback("back", shop.namespace))
        self.assertIsNone(shop.lock())
        self.assertTrue(shop.serves())
        self.assertTrue(shop.databases()["shop"])
        self.assertIn(shop.version(), ("1.0.0", "2.0.0"))

    def test_namespace_that_has_not_opted_in_is_left_alone(self):
        shop = self.shop(opted_in=False)
        shop.rollback()

        def refused():
            status = LAB.rollback("back", shop.namespace).get("status", {})
            return "has not opted in" in status.get("message", "") and "kubectl create rolebinding" in status["message"]
        LAB.wait_for("a condition that names the command", refused, 60)
        self.assertEqual(LAB.items("jobs", "-n", shop.namespace), [])
        self.assertTrue(shop.serves())

    def test_every_job_is_argv_only_without_token_and_with_limits(self):
        shop = self.shop()
        shop.upgraded()
        seen = {}
        stop = threading.Event()

        def collect():
            while not stop.is_set():
                for job in LAB.items("jobs", "-n", shop.namespace):
                    seen[job["metadata"]["name"]] = job
                time.sleep(0.5)
        collector = threading.Thread(target=collect)
        collector.start()
        shop.rollback()
        try:
            self.phase(LAB.ended("back", shop.namespace), "Succeeded", shop.namespace)
        finally:
            stop.set()
            collector.join()
        self.assertGreater(len(seen), 5)
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


class CrashTest(ShopTest):
    """The operator as a process of ours, with its ServiceAccount's token, killed in the middle."""

    def operator(self, log):
        token = LAB.kubectl("create", "token", "rollback-operator", "-n", "rollback-system", "--duration=1h").strip()
        config = ROOT / "build/operator.kubeconfig"
        config.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x",
                                      "clusters": [{"name": "c", "cluster": {"server": LAB.env["CLUSTER_SERVER"], "certificate-authority": LAB.env["CLUSTER_CA"]}}],
                                      "users": [{"name": "u", "user": {"token": token}}],
                                      "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}))
        binary = ROOT / "build" / os.environ.get("PRESET", "release") / "bin/rollback-operator"
        return subprocess.Popen([binary, "--kubeconfig", config, "--lease-namespace", "rollback-system", "--leader-elect=false", "--metrics-addr=", "--probe-addr=",
                                 "--mover-image", "localhost/rollback-mover:dev"], stderr=log, stdout=log)

    def killed_at(self, step):
        shop = self.shop()
        shop.upgraded()
        LAB.kubectl("scale", "deployment/rollback-operator", "--replicas=0", "-n", "rollback-system")
        self.addCleanup(LAB.kubectl, "scale", "deployment/rollback-operator", "--replicas=1", "-n", "rollback-system")
        LAB.wait_for("the operator's pod to go", lambda: not LAB.items("pods", "-n", "rollback-system"), 60)
        with open(ROOT / f"build/operator-{step}.log", "w", encoding="utf-8") as log:
            process = self.operator(log)
            try:
                shop.rollback()

                def reached():
                    record = [s for s in LAB.rollback("back", shop.namespace).get("status", {}).get("steps", []) if s["name"] == step]
                    return record and record[0].get("state") == "Running"
                LAB.wait_for(f"step {step}", reached, 180, 0.2)
                process.kill()
                process.wait()
                time.sleep(1)
                process = self.operator(log)
                status = self.phase(LAB.ended("back", shop.namespace), "Succeeded", shop.namespace)
            finally:
                process.terminate()
                process.wait(30)
        self.tidy(shop, [status["previous"][0]["name"]])
        self.assertEqual(shop.version(), "1.0.0")
        stages = LAB.items("jobs", "-n", shop.namespace, "-l", "rollback.pa-ecosystem.io/step=stage")
        self.assertEqual(len(stages), 1, "a second restore")

    def test_killed_in_the_middle_of_stage(self):
        self.killed_at("Stage")

    def test_killed_in_the_middle_of_switch(self):
        self.killed_at("Switch")

    def test_killed_in_the_middle_of_resume(self):
        self.killed_at("Resume")


class Telling(unittest.TextTestResult):
    """Tells a failure when it happens, not minutes later."""

    def addError(self, test, err):
        super().addError(test, err)
        self.stream.writeln(self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.stream.writeln(self.failures[-1][1])

    def printErrors(self):
        for test, _ in self.errors + self.failures:
            self.stream.writeln(f"failed: {test.id()}")


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore", testRunner=unittest.TextTestRunner(resultclass=Telling, verbosity=2))
