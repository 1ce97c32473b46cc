"""What the poller calls one gap in service, and how it asks."""
import http.server
import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from lab.lab import Gap, Poller, agree, fetch               # noqa: E402


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

    def test_of_two_in_a_server_that_is_ended_the_later_may_be_answered(self):
        self.assertEqual(self.gaps((1.0, 1.2, False), (1.05, 1.1, True), (1.15, 1.2, False), (3.2, 3.3, True)), [(1.05, 3.3)])

    def test_one_that_is_refused_late_was_asked_before_it(self):
        self.assertEqual(self.gaps((1.0, 2.1, False), (1.1, 1.2, True), (1.9, 1.95, True), (2.2, 2.2, False), (1.5, 16.5, False), (11.0, 11.2, True)),
                         [(1.9, 11.2)])

    def test_nor_do_several_of_those_make_several(self):
        self.assertEqual(self.gaps((1.0, 5.1, False), (1.1, 1.7, True), (3.0, 5.1, False), (3.1, 4.1, True), (5.2, 5.2, False), (9.0, 9.2, True)),
                         [(3.1, 9.2)])

    def test_a_good_answer_that_comes_late_neither_lengthens_it_nor_hides_the_next(self):
        self.assertEqual(self.gaps((1.2, 1.3, False), (1.25, 8.3, True), (1.3, 1.3, False), (3.2, 3.3, True), (5.0, 5.0, False), (6.0, 6.1, True)),
                         [(1.2, 3.3), (5.0, 6.1)])

    def test_two_with_service_between_them_are_two(self):
        self.assertEqual(self.gaps((1.0, 1.1, False), (1.2, 1.3, True), (1.5, 1.6, True), (1.8, 1.9, False), (2.0, 2.1, True)),
                         [(1.0, 1.3), (1.8, 2.1)])


class AgreeTest(unittest.TestCase):
    """A downtime told from `began` to `ended`, beside a gap; in seconds of one minute."""

    def agree(self, began, ended, since, until):
        base, told = 1795696080, [f"2026-11-26T12:28:{at:09.6f}Z" for at in (began, ended)]
        return agree(Gap(base + since, base + until, ["refused"]), {"startedAt": told[0], "endedAt": told[1]})

    def test_as_a_quiet_and_a_busy_node_are(self):
        for measured in ((10, 11.9, 10.3, 12.0), (10, 13.2, 11.0, 13.3), (10, 15.9, 11.3, 16.1), (10, 14.7, 10.5, 14.6)):
            with self.subTest(measured):
                self.assertEqual(self.agree(*measured), "")

    def test_service_that_ended_before_it_was_told(self):
        self.assertIn("before", self.agree(10, 12, 7, 12))

    def test_a_clock_that_stops_before_the_application_serves(self):
        self.assertIn("came back 2.50 s after", self.agree(10, 12, 10.3, 14.5))

    def test_a_clock_that_runs_while_the_application_serves(self):
        for told in ((10, 14.8), (7, 12.0)):
            with self.subTest(told):
                self.assertIn("between them", self.agree(*told, 10.1, 12.0))


class Server(http.server.BaseHTTPRequestHandler):
    ports = []

    def do_GET(self):
        self.ports.append(self.client_address[1])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


class FetchTest(unittest.TestCase):
    def test_no_port_is_taken_twice(self):
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            statuses = [fetch(f"http://127.0.0.1:{server.server_port}/")[0] for _ in range(50)]
            server.shutdown()
        self.assertEqual(statuses, [200] * 50)
        self.assertEqual(len(set(Server.ports)), 50)
        self.assertLess(max(Server.ports), 32768, "the kernel gives those from 32768 on to others")

    def test_nobody_there(self):
        self.assertEqual(fetch("http://127.0.0.1:1/")[0], 0)


if __name__ == "__main__":
    unittest.main()
