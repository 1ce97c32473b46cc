"""Waiting that ends: every wait of the harness goes through here."""
import time


class Deadline:
    def __init__(self, seconds: float):
        self.seconds = seconds
        self.end = time.monotonic() + seconds

    def left(self) -> float:
        return max(0.0, self.end - time.monotonic())

    def over(self) -> bool:
        return time.monotonic() >= self.end


def poll(check, seconds: float, each=lambda: None, interval: float = 0.05) -> bool:
    """Calls `check` until it is true or the deadline passes; `each` runs between tries (it may raise to give up early)."""
    deadline = Deadline(seconds)
    while True:
        if check():
            return True
        each()
        if deadline.over():
            return False
        time.sleep(min(interval, deadline.left()))
