"""A handful of the faults of faults.py, at moments a seed chooses (SEED=n repeats them); all of them: make node-soak."""
from node.faults import FaultTest


class ServerFaultsTest(FaultTest):
    def test_database_server_dies_while_its_database_is_switched(self):
        self.server_killed("Switch", "crash")

    def test_pod_of_the_staging_job_is_deleted(self):
        self.job_pod_deleted("Stage", "stage")


class OperatorFaultsTest(FaultTest):
    alone = True

    def beforehand(self):
        self.upgraded = self.shop()
        self.upgraded.upgraded()

    def test_leader_stopped_beyond_its_lease_while_switching(self):
        self.leader_stopped(self.upgraded, "Switch")
