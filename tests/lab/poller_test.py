"""What the poller calls one gap in service."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from lab.lab import Poller                                  # noqa: E402


class GapsTest(unittest.TestCase):
    def gaps(self, *answers):
        poller = Poller("http://nobody")
        poller.answers = [(asked, answered, 200 if good else "refused") for asked, answered, good in answers]
        return [(gap.since, gap.until) for gap in poller.gaps()]

    def test_nobody_failed(self):
        self.assertEqual(self.gaps((1.0, 1.1, True), (1.2, 1.3, True)), [])

    def test_from_the_first_that_failed_to_the_first_good_answer(self):
        self.assertEqual(self.gaps((1.0, 1.1, True), (1.2, 1.3, False), (1.4, 3.0, False), (3.2, 3.3, True)), [(1.2, 3.3)])

    def test_one_asked_earlier_and_answered_late_does_not_end_it(self):
        self.assertEqual(self.gaps((1.0, 2.9, True), (1.2, 1.3, False), (3.2, 3.3, True)), [(1.2, 3.3)])

    def test_a_good_answer_from_a_server_that_is_being_ended_does_not_end_it(self):
        self.assertEqual(self.gaps((1.0, 1.2, False), (1.05, 1.1, True), (1.15, 1.2, False), (3.2, 3.3, True)), [(1.0, 3.3)])

    def test_two_with_service_between_them_are_two(self):
        self.assertEqual(self.gaps((1.0, 1.1, False), (1.2, 1.3, True), (1.5, 1.6, True), (1.8, 1.9, False), (2.0, 2.1, True)),
                         [(1.0, 1.3), (1.8, 2.1)])


if __name__ == "__main__":
    unittest.main()
