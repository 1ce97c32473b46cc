"""Refusals that only a real server, a real kubelet and a real client show; and what a dry run says of a real database."""
import json
import subprocess

from lab.lab import Poller
from node.eavesdropper import GUESS
from node.shop import LAB, ShopTest


class RefusalTest(ShopTest):
    long = True

    def refused(self, shop, name, code):
        status = self.ended(shop, "Failed", name)
        self.assertEqual(status["reason"], "NothingTouched", status["message"])
        self.assertIn(code, status["message"] + json.dumps(status["steps"]))
        self.assertIn("serves as before", status["message"])
        return status

    def framework(self, shop, field, value):
        LAB.kubectl("patch", "framework", "shop", "-n", shop.namespace, "--type", "json", "-p",
                    json.dumps([{"op": "add", "path": f"/spec/stores/0/postgres/{field}", "value": value}]))

    def stranger(self, shop):
        """Somebody else with a session on the database, who stays."""
        process = subprocess.Popen([LAB.env["KUBECTL"], "exec", "db-0", "-n", shop.namespace, "--", "psql", "-X", "-h", "/var/run/postgresql", "-U", "postgres",
                                    "-d", "shop", "-c", "select pg_sleep(300)"], env=LAB.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        LAB.wait_for("the stranger's session", lambda: shop.sql("select count(*) from pg_stat_activity where query like 'select pg_sleep%'", "postgres") != "0", 30)
        return process

    def test_plan_and_refusals_on_the_real_thing(self):
        shop = self.shop()
        shop.upgraded()
        with Poller(shop.url + "/healthz") as poller:
            with self.subTest("a dry run says what is known, the claim tells the capacity, and nothing is touched"):
                LAB.kubectl("patch", "framework", "shop", "-n", shop.namespace, "--type", "json", "-p", '[{"op": "remove", "path": "/spec/stores/0/postgres/capacity"}]')
                shop.rollback("plan", mode="Plan")
                plan = self.ended(shop, "Planned", "plan")["plan"]
                store = plan["stores"][0]
                self.assertEqual((store["action"], store["capacityFrom"]), ("Restore", "claim data-db-0 of StatefulSet/db"))
                self.assertGreater(store["availableBytes"], store["requiredBytes"])
                rows = {t["name"]: t for t in store["tables"]}
                self.assertGreaterEqual(rows["public.orders"]["rowsNow"], 0)
                self.assertGreater(plan["downtime"]["expectedMilliseconds"], 0)
                self.assertIn("the pods that run", plan["downtime"]["basis"])
                self.assertTrue(plan["writers"])
            with self.subTest("wrong password"):
                LAB.kubectl("create", "secret", "generic", "wrong", "-n", shop.namespace, "--from-literal=username=shop", f"--from-literal=password={GUESS}")
                self.framework(shop, "credentialsSecretRef", {"name": "wrong"})
                shop.rollback("locked-out")
                self.refused(shop, "locked-out", "WrongPassword")
                self.framework(shop, "credentialsSecretRef", {"name": "db"})
            with self.subTest("the session of somebody else"):
                stranger = self.stranger(shop)
                shop.rollback("shared", mode="Plan")
                self.refused(shop, "shared", "ForeignSession")
                self.framework(shop, "otherClients", "Terminate")
                shop.rollback("shared-knowingly", mode="Plan")
                plan = self.ended(shop, "Planned", "shared-knowingly")["plan"]
                self.assertIn("postgres", [c["user"] for c in plan["stores"][0]["clients"]])
                stranger.kill()
            with self.subTest("an image nobody can pull"):
                shop.rollback("no-image", mode="Plan", to={"version": "9.9.9"}, scope=["Version"])
                self.refused(shop, "no-image", "TargetImageUnusable")
        self.assertEqual(poller.gaps(), [])
        self.tidy(shop, [])
        self.assertEqual(shop.version(), "2.0.0")
