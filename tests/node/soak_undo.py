"""Undo after a success. The demo's 2.0.0 has a broken checkout, so an undo to it is verified, found unhealthy and taken back: seen so on a
node. Whether an undo may end with what was broken before is open; until then this belongs to `make node-soak`, and fails there."""
import time

from lab.lab import Acknowledged, Poller, agree
from node.shop import LAB, ShopTest


class UndoAfterSuccessTest(ShopTest):
    def test_undo_after_a_success_brings_everything_back(self):
        shop = self.shop()
        with Acknowledged(LAB, shop.namespace) as acknowledged:
            shop.upgraded()
            shop.rollback()
            first = self.ended(shop, "Succeeded")
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
