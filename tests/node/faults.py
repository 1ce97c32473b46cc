"""Rollbacks under faults. Each scenario is a method that takes what is random from a seed and says what it did; soak_faults.py (make node-soak)
runs them."""
import os
import random
import threading
import time

from lab.lab import CLUSTER, Acknowledged, LabError, run, seconds
from node.operator_process import Operator, no_operator_pod
from node.shop import LAB, READER, ShopTest

STEPS = ["Plan", "Lock", "VerifyBackup", "Stage", "ArmSwitch", "Quiesce", "Switch", "Resume", "Verify", "Close"]
SEED = int(os.environ.get("SEED", "0")) or int(time.time())


def say(text):
    print(f"         {time.strftime('%H:%M:%S')} {text}", flush=True)


class FaultTest(ShopTest):
    seconds = 600

    def setUp(self):
        super().setUp()
        self.random = random.Random(f"{SEED} {self.id()}")
        say(f"{self.id()}: SEED={SEED}")
        self.moments = []                       # (step, seconds since the rollback was applied) of every fault

    # --- moments

    def until(self, shop, name, moment):
        """Sleeps until a moment of a rollback: ("step", S, seconds into it) or ("time", seconds from now). False if it ended before."""
        begun = time.monotonic()
        end = None
        while True:
            status = shop.status(name)
            if any(c["type"] == "Completed" and c["status"] == "True" for c in status.get("conditions", [])):
                return False
            if moment[0] == "time":
                end = begun + moment[1]
            elif end is None and any(s["name"] == moment[1] for s in status.get("steps", [])):
                end = time.monotonic() + moment[2]
            if end is not None and time.monotonic() >= end:
                self.moments.append(status.get("step") or "before the first step")
                return True
            if time.monotonic() - begun > self.seconds:
                raise LabError(f"{moment} of {name} not reached\n" + LAB.story(shop.namespace))
            time.sleep(0.05 if end is None else max(0.0, min(0.2, end - time.monotonic())))

    def moment(self):
        """Half of them anywhere in time, half aimed at a step, so that the short ones are met too."""
        if self.random.random() < 0.5:
            return ("time", self.random.uniform(0, 12))
        return ("step", self.random.choice(STEPS), self.random.uniform(0, 0.8))

    # --- what must hold at the end of a round

    def nothing_lost(self, shop, acknowledged, old, status, kept):
        """Every order acknowledged by pods of before is in the database of before, every one since in live or what was reverted."""
        if status["phase"] in ("Succeeded", "Reverted"):
            acknowledged.by_others(old)
        before = set(acknowledged.ids(*old))    # first what was acknowledged, then what is there: the application goes on writing
        since = set(acknowledged.ids(*[p for p in acknowledged.by_pod if p not in old]))
        live = shop.orders()
        self.assertLessEqual(before, shop.orders(kept[-1]) if status["phase"] == "Succeeded" else live, "acknowledged before Quiesce, and lost")
        self.assertLessEqual(since, live.union(*[shop.orders(name) for name in kept]), "acknowledged after Resume, and lost")
        return len(before), len(since)

    def round(self, shop, name, acknowledged, kept, disturb, endings=("Succeeded",), **spec):
        """One rollback of a shop that runs 2.0.0, disturbed; checks its end and returns its status. `kept` grows."""
        old = [p for p in acknowledged.by_pod]
        fault = []

        def disturbing():
            try:
                disturb(name)
            except Exception as error:          # told below, in the test's own thread
                fault.append(error)
        thread = threading.Thread(target=disturbing)
        began = time.monotonic()
        shop.rollback(name, **spec)
        thread.start()
        try:
            done = LAB.ended(name, shop.namespace, self.seconds)
        finally:
            thread.join(self.seconds)
        if fault:
            raise fault[0]
        status = done["status"]
        self.assertIn(status["phase"], endings, status.get("message", "") + "\n" + LAB.story(shop.namespace))
        kept += [p["name"] for p in status.get("previous", [])]
        self.tidy(shop, kept)
        self.assertEqual(shop.version(), "1.0.0" if status["phase"] == "Succeeded" else "2.0.0")
        before, since = self.nothing_lost(shop, acknowledged, old, status, kept)
        say(f"{name}: {status['phase']} after {time.monotonic() - began:.0f} s, downtime {status.get('downtime', {}).get('milliseconds', 0)} ms, "
            f"{before} orders of before and {since} since all there; {status.get('message', '')[:120]}")
        return status

    def prepare(self, shop, version="2.0.0"):
        """To 2.0.0 (again), and the customers' orders counted from now on."""
        if shop.version() != version:
            shop.runs(version)
        time.sleep(0.5)

    # --- scenarios

    def operator_killed(self, rounds, kills):
        """SIGKILL of the operator at random moments: `kills` of them at least, over `rounds` rollbacks at least."""
        shop = self.shop()
        shop.upgraded()
        kept = []
        number = 0
        with no_operator_pod(), Operator("killed") as operator:
            while number < rounds or len(self.moments) < kills:
                number += 1
                self.prepare(shop)

                def disturb(name):
                    for _ in range(min(kills, 8)):      # then it is left to end
                        if not self.until(shop, name, self.moment()):
                            return
                        operator.kill()
                        time.sleep(self.random.choice([0, 0, 1, 3]))
                        operator.start()
                with Acknowledged(LAB, shop.namespace) as acknowledged:
                    time.sleep(1)
                    status = self.round(shop, f"round-{number}", acknowledged, kept, disturb)
                stages = [j for j in shop.jobs("-l", f"rollback.pa-ecosystem.io/step=stage,rollback.pa-ecosystem.io/owner-name=round-{number}")]
                self.assertEqual(len(stages), 1, "a second restore")
                self.assertEqual(status["plan"]["stores"][0]["action"], "Restore")
        say(f"killed {len(self.moments)} times over {number} rollbacks: {self.count()}")

    def count(self):
        return ", ".join(f"{step} {self.moments.count(step)}" for step in sorted(set(self.moments)))

    def leader_stopped(self, shop, step):
        """SIGSTOP of the leader in a step, beyond its lease; a second replica takes over; the first goes on and has to see it."""
        with no_operator_pod(), Operator("leader-a", elect=True) as one:
            LAB.wait_for("a leader", lambda: self.holder().startswith("leader-a"), 60)
            with Operator("leader-b", elect=True):
                def disturb(name):
                    self.assertTrue(self.until(shop, name, ("step", step, 0.1)))
                    one.pause()
                    LAB.wait_for("the second replica to lead", lambda: self.holder().startswith("leader-b"), 60)
                    time.sleep(self.random.uniform(0, 2))
                    one.go_on()
                with Acknowledged(LAB, shop.namespace) as acknowledged:
                    time.sleep(1)
                    self.round(shop, "back", acknowledged, [], disturb)
                self.assertTrue(self.holder().startswith("leader-b"), "the deposed leader took the lease back")
                if not LAB.existing:
                    since = seconds(LAB.get("lease", "framework-rollback-operator", "-n", "rollback-system")["spec"]["acquireTime"])
                    self.assertEqual(one.writes_since(since), [], "the deposed leader wrote")

    @staticmethod
    def holder():
        lease = LAB.get("lease", "framework-rollback-operator", "-n", "rollback-system")
        return (lease or {}).get("spec", {}).get("holderIdentity", "")

    def disturbed(self, what, disturb, endings, suffix="", **options):
        """One rollback, disturbed once by `disturb(shop, name)`."""
        shop = self.shop(suffix, **options)
        shop.upgraded()
        with Acknowledged(LAB, shop.namespace) as acknowledged:
            time.sleep(1)
            status = self.round(shop, "back", acknowledged, [], lambda name: disturb(shop, name), endings)
        say(f"{what} in {self.moments}: {status['phase']}")
        return shop, status

    def server_killed(self, step, how):
        """The database server dies: `crash`, one of its processes by SIGKILL; `pod`, the whole pod."""
        def disturb(shop, name):
            self.assertTrue(self.until(shop, name, ("step", step, self.random.uniform(0, 0.5))))
            if how == "pod":
                LAB.kubectl("delete", "pod", "db-0", "-n", shop.namespace, "--grace-period=0", "--force")
            else:
                LAB.kubectl("exec", "db-0", "-n", shop.namespace, "--", "bash", "-c",
                            "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' <$p/cmdline 2>/dev/null) in 'postgres: walwriter'*) kill -9 ${p#/proc/};; esac; done")
        # Either it waits for the server and goes on, or it ends with the application as it was.
        endings = ("Succeeded", "Failed", "Aborted") if step == "Stage" else ("Succeeded", "Reverted")
        return self.disturbed(f"server killed ({how})", disturb, endings, f"-{step.lower()}-{how}")

    def job_pod_deleted(self, step, label):
        """The pod of a Job is deleted while it works."""
        def disturb(shop, name):
            selector = f"rollback.pa-ecosystem.io/step={label},rollback.pa-ecosystem.io/owner-name={name}"
            self.assertTrue(self.until(shop, name, ("step", step, 0)))
            pods = LAB.wait_for(f"a pod of {label}", lambda: LAB.items("pods", "-n", shop.namespace, "-l", selector), 60, 0.1)
            time.sleep(self.random.uniform(0, 1))
            for pod in pods:
                LAB.kubectl("delete", "pod", pod["metadata"]["name"], "-n", shop.namespace, "--grace-period=0", "--force", "--ignore-not-found")
        return self.disturbed(f"pod of {label} deleted", disturb, ("Succeeded",), f"-{label}")

    def component_killed(self, component, times):
        """The API server or etcd dies `times` times at random moments of one rollback; the supervisor starts it again."""
        if LAB.existing:
            self.skipTest("only a cluster of our own may lose its " + component)
        def disturb(shop, name):
            for _ in range(times):
                if not self.until_through(shop, name, self.random.uniform(0, 8)):
                    return
                run(CLUSTER, "restart", LAB.name, component)
        return self.disturbed(f"{component} killed", disturb, ("Succeeded",), f"-{component[:6].strip('-')}")

    def until_through(self, shop, name, seconds):
        """until() for when the API server may be away: False only if it says that the rollback ended."""
        time.sleep(seconds)
        for _ in range(120):
            try:
                status = shop.status(name)
            except LabError:
                time.sleep(0.5)
                continue
            if any(c["type"] == "Completed" and c["status"] == "True" for c in status.get("conditions", [])):
                return False
            self.moments.append(status.get("step", ""))
            return True
        raise LabError("the API server did not come back")

    # --- disks

    def volume_full_while_staging(self):
        """The database server's volume runs full while the copy is staged, stays so for a while, and is given room again."""
        def small(document):
            if document["kind"] == "StatefulSet":
                document["spec"]["volumeClaimTemplates"][0]["spec"].update(storageClassName="limited", resources={"requests": {"storage": "400Mi"}})
        shop = self.shop(edit=small)
        LAB.framework_runs("1.0.0", shop.namespace)
        shop.sql(BULK.format(rows=6000))
        shop.backup()
        shop.runs("2.0.0")
        LAB.apply_text(READER.format(name="filler", namespace=shop.namespace, claim="data-db-0", path="/data"))
        LAB.kubectl("wait", "--for=condition=Ready", "pod/filler", "-n", shop.namespace, "--timeout=60s")

        def disturb(name):
            self.assertTrue(self.until(shop, name, ("step", "Stage", self.random.uniform(0, 1))))
            said = LAB.kubectl("exec", "filler", "-n", shop.namespace, "--", "bash", "-c", "dd if=/dev/zero of=/data/filler bs=64k 2>&1 || true")
            self.assertIn("No space left", said)
            time.sleep(5)
            LAB.kubectl("exec", "filler", "-n", shop.namespace, "--", "rm", "/data/filler")
        with Acknowledged(LAB, shop.namespace) as acknowledged:
            time.sleep(1)
            kept = []
            status = self.round(shop, "back", acknowledged, kept, disturb, ("Succeeded", "Failed"))
        if status["phase"] == "Failed":
            self.assertEqual(status["reason"], "NothingTouched")

    def repository_full(self):
        """A backup that does not fit its repository fails, says so, and is no target; one from before still is."""
        def small(document):
            if document["kind"] == "PersistentVolumeClaim":
                document["spec"].update(storageClassName="limited", resources={"requests": {"storage": "16Mi"}})
        shop = self.shop(edit=small)
        LAB.framework_runs("1.0.0", shop.namespace)
        shop.backup("fits")
        shop.sql(BULK.format(rows=6000))
        shop.apply("FrameworkBackup", "does-not-fit", {"frameworkRef": {"name": "shop"}, "reason": "PreUpgrade"})
        status = LAB.backup_done("does-not-fit", shop.namespace, 300)["status"]
        self.assertEqual(status["phase"], "Failed")
        self.assertRegex(status["message"], "[Nn]o space left|full|not enough")
        shop.runs("2.0.0")
        with Acknowledged(LAB, shop.namespace) as acknowledged:
            time.sleep(1)
            done = self.round(shop, "back", acknowledged, [], lambda _: None)
        self.assertEqual(done["plan"]["backup"]["name"], "fits")


# Text that does not compress: about 5 KB a row.
BULK = """insert into orders (item, note) select 'bulk', (select string_agg(md5(random()::text || s || g), '') from generate_series(1, 160) s)
 from generate_series(1, {rows}) g"""
