"""The operator dies in the middle of a rollback: it ends in the same place, without a second restore."""
import time

from node.operator_process import DEPLOYMENT, Operator, no_operator_pod
from node.shop import LAB, ShopTest


class CrashTest(ShopTest):
    alone = True

    def succeeds_once(self, shop):
        status = self.ended(shop, "Succeeded")
        self.tidy(shop, [status["previous"][0]["name"]])
        self.assertEqual(shop.version(), "1.0.0")
        self.assertEqual(len(shop.jobs("-l", "rollback.pa-ecosystem.io/step=stage")), 1, "a second restore")
        self.assertEqual(shop.step("Stage").get("attempt", 1), 1)

    def killed_at(self, step):
        shop = self.shop()
        shop.upgraded()
        with no_operator_pod(), Operator(step.lower()) as operator:
            shop.rollback()
            shop.reaches(step)
            operator.kill()
            time.sleep(1)
            operator.start()
            self.succeeds_once(shop)

    def test_killed_in_the_middle_of_stage(self):
        self.killed_at("Stage")

    def test_killed_in_the_middle_of_switch(self):
        self.killed_at("Switch")

    def test_killed_in_the_middle_of_resume(self):
        self.killed_at("Resume")

    def test_pod_of_the_operator_restarted_in_the_middle(self):
        shop = self.shop()
        shop.upgraded()
        shop.rollback()
        shop.reaches("Stage")
        LAB.kubectl("delete", "pods", "--all", "-n", "rollback-system", "--grace-period=0", "--force")
        shop.reaches("Resume")
        LAB.kubectl("rollout", "restart", *DEPLOYMENT)
        self.succeeds_once(shop)
        LAB.kubectl("rollout", "status", *DEPLOYMENT, "--timeout=300s")

        with self.subTest("an operator that restarts does nothing to an ended rollback, nor does applying it again"):
            before = LAB.rollback("back", shop.namespace)["metadata"]["resourceVersion"]
            jobs = {j["metadata"]["uid"] for j in shop.jobs()}
            LAB.kubectl("rollout", "restart", *DEPLOYMENT)
            LAB.kubectl("rollout", "status", *DEPLOYMENT, "--timeout=300s")
            shop.rollback()
            time.sleep(3)
            self.assertEqual(LAB.rollback("back", shop.namespace)["metadata"]["resourceVersion"], before)
            self.assertLessEqual({j["metadata"]["uid"] for j in shop.jobs()}, jobs)
