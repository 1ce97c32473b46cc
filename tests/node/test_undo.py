"""Going back again: undo after a success, undo of a rollback that was held, and a rollback that is lost."""
import json
import time

from lab.lab import Acknowledged, Poller, agree, fetch
from node.shop import LAB, ShopTest


def with_worker(document):
    if document["kind"] == "Framework":
        document["spec"]["components"].append({"name": "worker", "workloadRef": {"kind": "Deployment", "name": "worker"}})


class Worker:
    """A second Deployment of the application, which nobody asks anything."""
    def __init__(self, namespace):
        self.namespace = namespace
        spec = LAB.get("deployment", "shop", "-n", namespace)["spec"]
        spec.update(replicas=1, selector={"matchLabels": {"app": "worker"}})
        spec["template"]["metadata"]["labels"] = {"app": "worker"}
        LAB.apply_text(json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "worker", "namespace": namespace}, "spec": spec}))
        self.rolled_out()

    def rolled_out(self):
        LAB.kubectl("rollout", "status", "deployment/worker", "-n", self.namespace, "--timeout=300s")

    def upgraded(self):
        LAB.kubectl("set", "image", "deployment/worker", "shop=localhost/demo-app:2.0.0", "-n", self.namespace)
        self.rolled_out()

    def state(self):
        """Its image, and how many replicas of that are ready."""
        found = LAB.get("deployment", "worker", "-n", self.namespace)
        return found["spec"]["template"]["spec"]["containers"][0]["image"], found["status"].get("readyReplicas", 0)


class UndoTest(ShopTest):
    long = True

    def unhealthy(self, shop, version):
        LAB.kubectl("set", "env", "deployment/shop", f"UNHEALTHY_VERSION={version}", "-n", shop.namespace)
        LAB.kubectl("rollout", "status", "deployment/shop", "-n", shop.namespace, "--timeout=120s")

    def test_undo_after_a_success_brings_everything_back(self):
        shop = self.shop()
        with Acknowledged(LAB, shop.namespace) as acknowledged:
            shop.upgraded()
            path = LAB.get("frameworkbackup", "before", "-n", shop.namespace)["status"]["path"]
            LAB.kubectl("delete", "frameworkbackup", "before", "-n", shop.namespace, "--timeout=60s")
            shop.rollback(to={"backupPath": path})              # of a folder that no object speaks of, which alone tells the version
            first = self.ended(shop, "Succeeded")
            self.assertEqual((first["to"]["version"], first["plan"]["backup"]["path"], first["plan"]["stores"][0]["action"]), ("1.0.0", path, "Restore"))
            self.assertNotIn("name", first["plan"]["backup"])
            self.assertEqual((shop.version(), shop.image(), shop.schema()), ("1.0.0", "localhost/demo-app:1.0.0", "1.0.0"))
            self.assertEqual(fetch(shop.url + "/orders")[0], 200, "it reads the column that 2.0.0 dropped")
            self.assertIn('"to":{"undo":"back"}', first["message"])
            before = shop.orders(first["previous"][0]["name"])
            time.sleep(2)
            with self.subTest("not without the loss accepted"):
                shop.rollback("unasked", to={"undo": "back"})
                status = self.ended(shop, "Failed", "unasked")
                self.assertEqual(status["reason"], "NothingTouched")
                self.assertIn("DataLossNotAccepted", status["message"])
            since = list(acknowledged.by_pod)
            with Poller(shop.url + "/healthz") as poller:
                shop.rollback("undo", to={"undo": "back"}, accept={"dataLoss": True})
                status = self.ended(shop, "Succeeded", "undo")
                time.sleep(1.5)
        kept = status["previous"][0]["name"]
        self.assertIn("_reverted_", kept)
        self.tidy(shop, [kept])
        self.assertEqual(shop.version(), "2.0.0")
        self.assertIn("as before, it is not healthy", status["message"], "2.0.0 cannot check out")
        self.assertLessEqual(before, shop.orders(), "of what was there before the rollback, something is missing")
        self.assertLessEqual(set(acknowledged.ids(*since)), shop.orders() | shop.orders(kept), "acknowledged before the undo, and in neither database")
        store = status["plan"]["stores"][0]
        self.assertEqual((store["action"], store["writtenFrom"]), ("Undo", first["downtime"]["endedAt"]))
        gaps = poller.gaps()
        self.assertEqual(len(gaps), 1, gaps)
        self.assertEqual(agree(gaps[0], status["downtime"]), "", gaps)
        self.assertEqual(shop.jobs("-l", "rollback.pa-ecosystem.io/owner-name=undo,rollback.pa-ecosystem.io/step=stage"), [])
        with self.subTest("the first cannot be undone twice"):
            shop.rollback("again", to={"undo": "back"}, accept={"dataLoss": True})
            self.assertIn("NotLatest", self.ended(shop, "Failed", "again")["message"])

    def test_held_rollback_is_left_as_it_is_until_it_is_undone(self):
        shop = self.shop()
        shop.upgraded()
        self.unhealthy(shop, "1.0.0")
        before = shop.orders()
        shop.rollback(timeoutSeconds=600, onFailure="Hold")
        status = self.ended(shop, "Failed")
        self.assertEqual(status["reason"], "Held")
        self.assertEqual(shop.image(), "localhost/demo-app:1.0.0")
        self.assertEqual(shop.lock()["name"], "back")
        databases = shop.databases()
        self.assertEqual(sorted(databases.values()), [False, True], databases)
        self.assertTrue(databases["shop"])
        self.assertIn('"to":{"undo":"back"}', status["message"])

        shop.rollback("undo", to={"undo": "back"})
        status = self.ended(shop, "Succeeded", "undo")
        self.tidy(shop, [status["previous"][0]["name"]])
        self.assertEqual(shop.version(), "2.0.0")
        self.assertEqual(fetch(shop.url + "/healthz")[0], 200)
        self.assertLessEqual(before, shop.orders())
        LAB.wait_for("the held one to let go", lambda: not LAB.rollback("back", shop.namespace)["metadata"].get("finalizers"), 30)

    def test_deployment_deleted_on_the_way_holds_up_no_other(self):
        shop = self.shop(edit=with_worker)
        worker = Worker(shop.namespace)
        shop.upgraded(also=worker.upgraded)
        before = shop.orders()
        shop.rollback()
        shop.reaches("Go")
        LAB.kubectl("delete", "deployment", "worker", "-n", shop.namespace, "--wait=false")
        status = self.ended(shop, "Reverted")
        self.assertEqual(status["reason"], "WorkloadMissing")
        self.assertIn("Deployment/worker is gone: re-create it with image localhost/demo-app:2.0.0", status["message"])
        self.tidy(shop, [status["previous"][0]["name"]])
        self.assertEqual(shop.version(), "2.0.0")
        self.assertLessEqual(before, shop.orders())
        Worker(shop.namespace)
        LAB.framework_runs("2.0.0", shop.namespace)

    def test_rollback_of_two_deployments_whose_finalizer_was_torn_off_is_taken_back(self):
        shop = self.shop(edit=with_worker)
        worker = Worker(shop.namespace)
        shop.upgraded(also=worker.upgraded)
        before = shop.orders()
        shop.rollback(verification={"soakSeconds": 300})
        shop.reaches("Verify")
        self.assertEqual((shop.image(), worker.state()), ("localhost/demo-app:1.0.0", ("localhost/demo-app:1.0.0", 1)))
        LAB.kubectl("delete", "frameworkrollback", "back", "-n", shop.namespace, "--wait=false")
        LAB.kubectl("patch", "frameworkrollback", "back", "-n", shop.namespace, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        LAB.wait_for("the lock to be given up", lambda: not shop.lock(), 240)
        kept = [name for name in shop.databases() if name != "shop"]
        self.assertEqual(len(kept), 1, kept)
        self.assertIn("_reverted_", kept[0])
        self.tidy(shop, kept)
        self.assertEqual((shop.version(), worker.state()), ("2.0.0", ("localhost/demo-app:2.0.0", 1)))
        self.assertLessEqual(before, shop.orders())
