#!/usr/bin/env python3
"""What a rollback costs: all rollbacks created at once, against the fast API server whose driver plays Job controller, kubelet and mover
without taking time of its own. So the time is the contender's: reading, deciding, writing.

Measured: from the creation of each FrameworkRollback to the first write to it (p50, p99 of all, and of one that comes alone), the CPU used
per completed rollback, requests per rollback, and the time until the last had ended. Each contender has a server of its own.

rollback-operator rolls back. The peers on controller-runtime and kube-rs (tests/bench/peers) make its requests without deciding
anything, so that what is compared is what client libraries and queues cost at about equal work. The same for all: watches and caches,
workers, no throttle, and a rollback that is seen, read live and written, in as many passes as the operator made writes in this very run. A
pass reads one by one what the operator's gatherer does (rollback, Framework, Deployment and its pods, Jobs and pods of the rollback; in the
first half repository and claim, too, in the first sixth class, backups and ledger), then writes a status, which grows evenly to the size
the operator's had. The table says how many requests each made.

Not the same, in favour of a peer: it decides nothing; every write of it is that one status, so there are no Jobs, it is sent no events of
them and their pods, and its lists of them are empty; it decodes few fields of our kinds, and its status is one long string; Frameworks
have no status; it reads no pod's log, asks for no autoscalers or rights, and reconciles no Framework beside. Not the same, either way:
kube-rs takes who waits in no order, the other two in the order of coming.

    bench.py [--rollbacks 1000] [--workers 4] [--rounds 1] [--only a,b]       without the operator: --passes 76 --status-bytes 9000
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from contenders import NAMES, Server, built, start  # noqa: E402

ENDINGS = ("Succeeded", "Reverted", "Failed", "Aborted", "Skipped")


def ended(seen):
    return sum(count for phase, count in seen["phases"].items() if phase in ENDINGS)


def wait(server, contender, what, condition, timeout, every=0.25):
    end = time.monotonic() + timeout
    while True:
        seen = server.seen()
        if condition(seen):
            return seen
        if time.monotonic() > end or contender.process.poll() is not None:
            sys.exit(f"bench: {contender.name}: {what}: not within {timeout} s: {seen['phases']}, {seen['ready']} frameworks ready\n{''.join(contender.lines[-20:])}")
        time.sleep(every)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure(name, options):
    count = options.rollbacks
    server = Server(frameworks=count + 1, deployments=count + 1, bytes=8000)
    contender = start(name, server, count + 1, options.workers, options.passes, options.status_bytes)
    try:
        contender.wait("reconciled", options.timeout)
        if name == "rollback-operator":
            wait(server, contender, "frameworks inspected", lambda seen: seen["ready"] == count + 1, options.timeout)
        time.sleep(2)

        server.get(f"/bench/rollbacks?from={count}&to={count + 1}")
        alone = wait(server, contender, "one rollback", lambda seen: ended(seen) == 1, options.timeout, 0.05)
        server.seen(reset=True)

        cpu, since = contender.cpu(), time.monotonic()
        server.get(f"/bench/rollbacks?from=0&to={count}")
        seen = wait(server, contender, "all rollbacks", lambda seen: ended(seen) == count + 1, options.timeout)
        took, used = time.monotonic() - since, contender.cpu() - cpu
        late = list(seen["firstWriteMilliseconds"])
        late.remove(alone["firstWriteMilliseconds"][0])
        one = server.get("/apis/rollback.pa-ecosystem.io/v1alpha1/frameworkrollbacks?limit=1")["items"][0]
        print(f"{name}: endings {seen['phases']}; requests of all: "
              + ", ".join(f"{kind} {n}" for kind, n in sorted(seen["kinds"].items(), key=lambda each: -each[1])[:14]), file=sys.stderr, flush=True)
        resident, peak = contender.memory()
        return {"alone": alone["firstWriteMilliseconds"][0], "p50": percentile(late, .5), "p99": percentile(late, .99), "took": took,
                "cpu": used / count * 1000, "reads": seen["reads"] / count, "writes": seen["writes"] / count, "resident": resident, "peak": peak,
                "status": len(json.dumps(one["status"], separators=(",", ":"), ensure_ascii=False).encode())}
    finally:
        contender.close()
        server.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollbacks", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--passes", type=int, default=0, help="of a peer for a rollback (default: as many as the operator made writes in this run)")
    parser.add_argument("--status-bytes", type=int, default=0, help="of a peer's rollback at its end (default: as the operator's in this run)")
    parser.add_argument("--timeout", type=int, default=3600)
    options = parser.parse_args()
    names = built(options.only.split(","))
    if "rollback-operator" in names:                # first: the others do as much as it did
        names.sort(key=lambda name: name != "rollback-operator")
    elif not options.passes or not options.status_bytes:
        parser.error("without the operator there is nothing to equal: --passes and --status-bytes")
    results = {name: [] for name in names}
    for number in range(options.rounds):
        for name in names[number % len(names):] + names[:number % len(names)]:
            results[name].append(measure(name, options))
            if name == "rollback-operator":
                options.passes = options.passes or round(results[name][-1]["writes"])
                options.status_bytes = options.status_bytes or results[name][-1]["status"]
    print(f"{options.rollbacks} rollbacks at once, {options.workers} workers, {os.cpu_count()} cores; a peer makes {options.passes} passes and "
          f"{options.status_bytes} bytes of status a rollback; {options.rounds} rounds: median (min)\n")
    print("| | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for what, unit, key in (("event to first write, a rollback alone", "ms", "alone"), ("· all at once: p50", "ms", "p50"), ("· all at once: p99", "ms", "p99"),
                            ("until the last had ended", "s", "took"), ("CPU per completed rollback", "ms", "cpu"), ("reads per rollback", "", "reads"),
                            ("writes per rollback", "", "writes"), ("resident afterwards", "MB", "resident"), ("· at its peak", "MB", "peak")):
        cells = []
        for name in names:
            values = [each[key] for each in results[name]]
            cells.append(f"{statistics.median(values):.1f} ({min(values):.1f}) {unit}".rstrip())
        print(f"| {what} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
