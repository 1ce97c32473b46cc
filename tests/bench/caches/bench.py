#!/usr/bin/env python3
"""What watching and caching costs: 10,000 Deployments of 8 KB and 1,000 Frameworks, each with a backup, held by rollback-operator as it
is shipped, and by programs with the same watches and caches on controller-runtime and kube-rs (tests/bench/peers); one that is not built
is named and left out.

All talk to the same fast API server (tests/bench/apiserver) over loopback, in turn, several rounds. Measured of each: from exec to all
caches filled, and to everything reconciled; the CPU that took (moves less with the machine's load than time does) and the reads the server
saw for it; resident memory then and at its peak; in an idle minute after that: wake-ups per second (voluntary context switches of all
threads), CPU, reads and writes the server saw.

A reconcile of a peer makes the operator's live reads, one by one and in its order, and decides nothing from them. Of a Framework, six: itself,
class, its Jobs and their pods, Deployment and its pods. Of a backup, four: itself, Framework, its Jobs and their pods. Of a repository, four.
And once for each namespace, what it may do there; workers that come at once may ask twice in ours. All have four workers for each kind, who
begin when all caches are filled. Everything is reconciled with the last request before two quiet seconds, by the server's clock: a contender
is not asked meanwhile, for that takes its time. (A scrape of ours has 1.7 MB.)

What is kept is not the same. Of a Deployment, StatefulSet, Job and pod a peer keeps the whole typed object without its managed fields, as
one does who takes the libraries as they come; ours keeps its name, version and two labels. Of our own kinds a peer keeps the few fields it
names, ours all of them. CronJobs, of which there are none here, ours watches and a peer does not. Both libraries can watch metadata alone,
which would cost a peer less; the server here has no such answers, and none in protobuf, which controller-runtime would ask a real one for.

    bench.py [--deployments 10000] [--frameworks 1000] [--rounds 3] [--idle 60] [--only a,b]
"""
import argparse
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from contenders import NAMES, Server, built, start  # noqa: E402


def settled(server, contender, seconds=2):
    """From exec to the last request before so many quiet seconds; and what was seen until then. All caches are filled already."""
    while contender.process.poll() is None:
        time.sleep(seconds)
        seen = server.seen()
        if seen["quietSeconds"] >= seconds:
            return time.monotonic() - seen["quietSeconds"] - contender.started, seen
        if time.monotonic() > contender.started + 900:
            break
    sys.exit(f"{contender.name}: not reconciled\n{''.join(contender.lines[-20:])}")


def measure(name, server, options, idle):
    server.seen(reset=True)
    contender = start(name, server, options.frameworks)
    try:
        out = {"synced": contender.wait("synced", 600)}
        out["cpu synced"] = contender.cpu()
        out["reconciled"], seen = settled(server, contender)
        out["cpu"], out["reads"] = contender.cpu(), seen["reads"] / options.frameworks
        contender.wait("reconciled", 30)    # as it says itself
        time.sleep(5)                       # what it still tidies up
        out["memory"], out["peak"] = contender.memory()
        server.seen(reset=True)
        wakeups, cpu, since = contender.wakeups(), contender.cpu(), time.monotonic()
        time.sleep(idle)
        took = time.monotonic() - since
        seen = server.seen()
        out.update({"wakeups": (contender.wakeups() - wakeups) / took, "idle cpu": (contender.cpu() - cpu) / took * 1000, "idle reads": seen["reads"], "idle writes": seen["writes"]})
        out["memory after"] = contender.memory()[0]
        return out
    finally:
        contender.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deployments", type=int, default=10000)
    parser.add_argument("--frameworks", type=int, default=1000)
    parser.add_argument("--bytes", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle", type=int, default=60)
    parser.add_argument("--only", default=",".join(NAMES))
    options = parser.parse_args()
    names = built(options.only.split(","))
    server = Server(deployments=options.deployments, frameworks=options.frameworks, bytes=options.bytes)
    print(f"{server.said}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    try:
        if "rollback-operator" in names:    # a first run: it inspects every framework and writes what it found, once
            first = measure("rollback-operator", server, options, 1)
            print(f"first run of rollback-operator: reconciled {first['reconciled']:.1f} s", file=sys.stderr, flush=True)
        results = {name: [] for name in names}
        for number in range(options.rounds):
            for name in names[number % len(names):] + names[:number % len(names)]:
                results[name].append(measure(name, server, options, options.idle))
                print(f"round {number + 1} {name}: " + ", ".join(f"{k} {v:.2f}" for k, v in results[name][-1].items()), file=sys.stderr, flush=True)
    finally:
        server.close()
    print(f"{options.deployments} Deployments of {server.said.rsplit(' ', 2)[1]} bytes, {options.frameworks} Frameworks and as many backups; "
          f"{options.rounds} rounds: median (min)\n")
    print("| | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for what, unit, key in (("start to caches filled", "s", "synced"), ("· CPU until then", "s", "cpu synced"), ("start to all reconciled", "s", "reconciled"),
                            ("· CPU until then", "s", "cpu"), ("· reads for a Framework and its backup", "", "reads"), ("resident", "MB", "memory"),
                            ("· at its peak", "MB", "peak"), ("idle: wake-ups per second", "", "wakeups"), ("idle: CPU per second", "ms", "idle cpu"),
                            ("idle: reads", "", "idle reads"), ("idle: writes", "", "idle writes")):
        cells = []
        for name in names:
            values = [each[key] for each in results[name]]
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f}) {unit}".rstrip())
        print(f"| {what} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
