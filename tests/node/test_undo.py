"""Going back again: undo of a rollback that was held, and a rollback that is lost. (Undo after a success: soak_undo.py.)"""
from lab.lab import fetch
from node.shop import LAB, ShopTest


class UndoTest(ShopTest):
    def unhealthy(self, shop, version):
        LAB.kubectl("set", "env", "deployment/shop", f"UNHEALTHY_VERSION={version}", "-n", shop.namespace)
        LAB.kubectl("rollout", "status", "deployment/shop", "-n", shop.namespace, "--timeout=120s")

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

    def test_rollback_whose_finalizer_was_torn_off_is_taken_back(self):
        shop = self.shop()
        shop.upgraded()
        before = shop.orders()
        shop.rollback(verification={"soakSeconds": 300})
        shop.reaches("Verify")
        LAB.kubectl("delete", "frameworkrollback", "back", "-n", shop.namespace, "--wait=false")
        LAB.kubectl("patch", "frameworkrollback", "back", "-n", shop.namespace, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
        LAB.wait_for("the lock to be given up", lambda: not shop.lock(), 240)
        kept = [name for name in shop.databases() if name != "shop"]
        self.assertEqual(len(kept), 1, kept)
        self.assertIn("_reverted_", kept[0])
        self.tidy(shop, kept)
        self.assertEqual(shop.version(), "2.0.0")
        self.assertLessEqual(before, shop.orders())
