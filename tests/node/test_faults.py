"""A handful of the faults of faults.py, for CI; make node-soak runs all of them. SEED=n repeats a run's random moments."""
from node.faults import FaultTest


class OperatorFaultTest(FaultTest):
    alone = True

    def test_operator_killed_at_random_moments(self):
        self.operator_killed(rounds=1, kills=4)

    def test_leader_stopped_beyond_its_lease(self):
        self.leader_stopped("Stage")


class ServerFaultTest(FaultTest):
    def test_database_server_crashes_while_staging(self):
        self.server_killed("Stage", "crash")

    def test_database_pod_dies_while_switching(self):
        self.server_killed("Switch", "pod")
