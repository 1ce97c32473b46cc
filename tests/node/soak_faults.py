"""make node-soak: every fault of faults.py, the operator killed at 30 random moments and more. SEED=n repeats a run."""
from node.faults import FaultTest


class OperatorSoak(FaultTest):
    alone = True
    seconds = 1200

    def test_operator_killed_at_thirty_random_moments(self):
        self.operator_killed(rounds=8, kills=30)

    def test_leader_stopped_beyond_its_lease(self):
        for step in ("Stage", "Quiesce", "Switch", "Resume"):
            with self.subTest(step):
                shop = self.shop(f"-{step.lower()}")
                shop.upgraded()
                self.leader_stopped(shop, step)


class ControlPlaneSoak(FaultTest):
    alone = True

    def test_api_server_killed(self):
        self.component_killed("kube-apiserver", 3)

    def test_etcd_killed(self):
        self.component_killed("etcd", 3)


class ServerSoak(FaultTest):
    def test_database_server_dies(self):
        for step in ("Stage", "Switch"):
            for how in ("crash", "pod"):
                with self.subTest(step=step, how=how):
                    self.server_killed(step, how)

    def test_job_pods_deleted(self):
        for step, label in (("VerifyBackup", "verify"), ("Stage", "stage"), ("ArmSwitch", "switch"), ("Verify", "check")):
            with self.subTest(step):
                self.job_pod_deleted(step, label)

    def test_volume_full_while_staging(self):
        self.volume_full_while_staging()

    def test_repository_full(self):
        self.repository_full()
