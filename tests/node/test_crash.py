"""The operator dies in the middle of a rollback: it ends in the same place, without a second restore. At other moments of its steps in every
run; SEED=n repeats them."""
import time

from node.faults import FaultTest, say
from node.operator_process import DEPLOYMENT, Operator, no_operator_pod
from node.shop import LAB


class CrashTest(FaultTest):
    alone = True

    def somewhere_in(self, shop, step):
        """Waits until a rollback is at a step, and then for a moment that the seed chooses."""
        into = self.random.uniform(0, 1.5)
        self.assertTrue(self.until(shop, "back", ("step", step, into)), f"it ended before it was {into:.2f} s into {step}")
        say(f"{into:.2f} s after {step} began, at {self.moments[-1]}")

    def succeeds_once(self, shop):
        status = self.ended(shop, "Succeeded")
        self.tidy(shop, [status["previous"][0]["name"]])
        self.assertEqual(shop.version(), "1.0.0")
        self.assertEqual(len(shop.jobs("-l", "rollback.pa-ecosystem.io/step=stage")), 1, "a second restore")
        self.assertEqual(shop.step("Stage").get("attempt", 1), 1)


class OperatorKilledTest(CrashTest):
    STEPS = ("Stage", "Switch", "Resume")

    def beforehand(self):
        self.shops = {step: self.shop("-" + step.lower()) for step in self.STEPS}
        for shop in self.shops.values():
            shop.upgraded()

    def test_killed_in_the_middle_of_a_step(self):
        with no_operator_pod(), Operator("killed-in-a-step") as operator:
            for step, shop in self.shops.items():       # the rollbacks before it are still under way, some of them
                shop.rollback()
                self.somewhere_in(shop, step)
                operator.kill()
                time.sleep(1)
                operator.start()
            for step, shop in self.shops.items():
                with self.subTest(step):
                    self.succeeds_once(shop)


class OperatorRestartedTest(CrashTest):
    def beforehand(self):
        self.upgraded = self.shop()
        self.upgraded.upgraded()

    def test_pod_of_the_operator_restarted_in_the_middle(self):
        shop = self.upgraded
        shop.rollback()
        self.somewhere_in(shop, "Stage")
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
