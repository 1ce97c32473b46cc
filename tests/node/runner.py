"""Runs the test_*.py beside this file on one cluster.

    runner.py [--list] [WORD...]        only tests whose file.Class.test contains a word
    runner.py --soak                    the soak_*.py instead: half an hour of faults
    WORKERS=3                           how many test cases run beside each other
    KEEP=1                              leaves the cluster standing
    REUSE=1                             uses the one that KEEP left, with operator, mover and definitions brought up to date
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from lab.lab import IMAGES, ROOT           # noqa: E402
from node.shop import HEARD, LAB, LABEL    # noqa: E402

ARCHIVES = [IMAGES / f"{n}.tar" for n in ("rollback-operator", "rollback-mover", "postgres", "demo-app-1.0.0", "demo-app-1.0.1", "demo-app-2.0.0")]
PRINTING = threading.Lock()


def cluster_up():
    if os.environ.get("REUSE"):
        LAB.up(*ARCHIVES[:2])
    else:
        LAB.down()
        LAB.up(*ARCHIVES)
    LAB.kubectl("delete", "namespaces", "-l", LABEL, "--timeout=300s")      # of a run that left them
    LAB.install_operator()
    # Less patience with a target that does not become healthy than a user would have.
    LAB.apply_text((ROOT / "manifests/samples/demo/class.yaml").read_text().replace("timeoutSeconds: 120", "timeoutSeconds: 40"))


def leave():
    """Somebody's own cluster: everything the tests put there goes."""
    LAB.wait_for("the tests' namespaces to go", lambda: not LAB.items("namespaces", "-l", LABEL), 180, 1)
    LAB.kubectl("delete", "frameworkclass", "shop", "--ignore-not-found")
    LAB.uninstall_operator()


def rules_kept():
    """Whether the rules of docs/safety.md were kept in all of it, from the API server's audit log; True where that is not ours to read."""
    if LAB.existing:
        print("rules     not judged: the audit log of a cluster of yours is not read")
        return True
    program = pathlib.Path(os.environ.get("FROLLBACK_BUILD", ROOT / "build/release")) / "bin/check-audit"
    result = subprocess.run([program, *[a for forms in HEARD.secrets.values() for form in forms for a in ("--secret", form)], LAB.env["AUDIT_LOG"]], capture_output=True, text=True, check=False)
    print(f"{'ok' if result.returncode == 0 else 'FAILED':<8} rules\n    " + (result.stdout + result.stderr).strip().replace("\n", "\n    "), flush=True)
    return result.returncode == 0


def secrets_kept(whole):
    """S14: none of the shop's passwords is in Events, the logs of operator and mover, or what the operator sent to the API server."""
    found, where = HEARD.verdict(whole)
    print("\n".join([f"FAILED   S14: {sentence}" for sentence in found] or [f"ok       S14: no secret in {where}"]), flush=True)
    return not found


def flat(suite):
    for test in suite:
        yield from flat(test) if isinstance(test, unittest.TestSuite) else (test,)


def name_of(test):
    return test.id().removeprefix("node.")


def run(test):
    """Runs one case by itself and tells how it went when it went; the result."""
    result = unittest.TestResult()
    began = time.monotonic()
    test(result)
    bad = [text for _, text in result.failures + result.errors] + [f"unexpected success of {t.id()}" for t in result.unexpectedSuccesses]
    with PRINTING:
        print(f"{'FAILED' if bad else 'skipped' if result.skipped else 'ok':<8} {name_of(test)}  [{time.monotonic() - began:.0f} s]", flush=True)
        for text in bad:
            print("    " + text.rstrip().replace("\n", "\n    "), flush=True)
        for _, why in result.skipped:
            print(f"    {why}", flush=True)
    return result


def beforehand(test):
    try:
        test.beforehand()
    except Exception as error:
        test.failed_beforehand = error


def main(words):
    options, words = [w for w in words if w.startswith("--")], [w for w in words if not w.startswith("--")]
    pattern = "soak_*.py" if "--soak" in options else "test_*.py"
    found = list(flat(unittest.defaultTestLoader.discover(str(HERE), pattern, str(HERE.parent))))
    broken = [t for t in found if isinstance(t, unittest.loader._FailedTest)]
    tests = broken + [t for t in found if t not in broken and (not words or any(w in name_of(t) for w in words))]
    if "--list" in options or not tests:
        print("\n".join(sorted(name_of(t) for t in tests or found)))
        return 0 if tests else 2
    alone = [t for t in tests if getattr(t, "alone", False)]
    beside = sorted((t for t in tests if t not in alone), key=lambda t: not getattr(t, "long", False))
    began = time.monotonic()
    if not broken:
        cluster_up()
    print(f"cluster and operator: {time.monotonic() - began:.0f} s", flush=True)
    try:
        with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("WORKERS", "3"))) as pool:
            running = [pool.submit(run, test) for test in beside]
            for test in alone:
                pool.submit(beforehand, test)
        results = [future.result() for future in running]
        HEARD.operator()                        # those that run alone put another pod in its place
        results += [run(test) for test in alone]
        kept = all([rules_kept(), secrets_kept(not words and pattern == "test_*.py")])
    finally:
        if not os.environ.get("KEEP"):
            if LAB.existing:
                leave()
            LAB.down(ROOT / "build/node-logs")
    bad = sum(1 for r in results if not r.wasSuccessful()) + (not kept)
    skipped = sum(1 for r in results if r.skipped)
    print(f"node: {len(results) + 1 - bad - skipped} passed, {bad} failed, {skipped} skipped in {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
