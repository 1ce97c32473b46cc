#!/usr/bin/env python3
"""What a rollback costs the operator: all rollbacks created at once, against the fast API server whose driver plays Job controller, kubelet
and mover without taking time of its own. So the time is the operator's: reading, deciding, writing.

Measured: from the creation of each FrameworkRollback to the first write to it (p50, p99 of all, and of one that comes alone), the CPU the
operator used per completed rollback, requests per rollback, and the time until the last had ended.

    bench.py [--rollbacks 1000] [--workers 4]
"""
import argparse
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from contenders import Operator, Server  # noqa: E402

ENDINGS = ("Succeeded", "Reverted", "Failed", "Aborted", "Skipped")


def ended(seen):
    return sum(count for phase, count in seen["phases"].items() if phase in ENDINGS)


def wait(server, what, condition, timeout, every=0.25):
    end = time.monotonic() + timeout
    while True:
        seen = server.seen()
        if condition(seen):
            return seen
        if time.monotonic() > end:
            sys.exit(f"bench: {what}: not within {timeout} s: {seen['phases']}, {seen['ready']} frameworks ready")
        time.sleep(every)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollbacks", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--timeout", type=int, default=3600)
    options = parser.parse_args()
    count = options.rollbacks
    server = Server(frameworks=count + 1, deployments=count + 1, bytes=8000)
    operator = Operator(server, count + 1, options.workers)
    try:
        operator.wait("reconciled", options.timeout)
        wait(server, "frameworks inspected", lambda seen: seen["ready"] == count + 1, options.timeout)
        time.sleep(2)

        server.seen(reset=True)
        server.get(f"/bench/rollbacks?from={count}&to={count + 1}")
        alone = wait(server, "one rollback", lambda seen: ended(seen) == 1, options.timeout, 0.05)
        server.seen(reset=True)

        cpu, since = operator.cpu(), time.monotonic()
        server.get(f"/bench/rollbacks?from=0&to={count}")
        seen = wait(server, "all rollbacks", lambda seen: ended(seen) == count + 1, options.timeout)
        took, used = time.monotonic() - since, operator.cpu() - cpu
        late = list(seen["firstWriteMilliseconds"])
        late.remove(alone["firstWriteMilliseconds"][0])
        print(f"{count} rollbacks at once, {options.workers} workers, {os.cpu_count()} cores; endings {seen['phases']}\n")
        print("| | |\n|---|---|")
        print(f"| event to first write, a rollback alone | {alone['firstWriteMilliseconds'][0]:.1f} ms |")
        print(f"| event to first write, all at once: p50 / p99 | {percentile(late, .5):.0f} / {percentile(late, .99):.0f} ms |")
        print(f"| until the last had ended | {took:.1f} s |")
        print(f"| CPU per completed rollback | {used / count * 1000:.1f} ms |")
        print(f"| requests per rollback: reads, writes | {seen['reads'] / count:.0f}, {seen['writes'] / count:.0f} |")
        print(f"| resident afterwards, peak | {operator.memory()[0]:.0f} MB, {operator.memory()[1]:.0f} MB |")
        print("\nrequests of all: " + ", ".join(f"{kind} {n}" for kind, n in sorted(seen["kinds"].items(), key=lambda each: -each[1])[:14]), file=sys.stderr)
    finally:
        operator.close()
        server.close()


if __name__ == "__main__":
    main()
