#!/usr/bin/env python3
"""What the documentation says is so: every reason is explained and exists, every alert is explained, every metric named in rules and
dashboard is a documented one, every test that docs/safety.md names is there.

A word in CamelCase that the reconcilers or the mover write as a literal is a reason, unless it is listed below as something else. A new
reason therefore fails here until docs/troubleshooting.md has a row for it; a new word that is none goes into NO_REASON.
"""
import json
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NO_REASON = set("""
BackupRepository ConfigMap Framework FrameworkBackup FrameworkRollback Job Pod ScaledObject StatefulSet Terminate
ClassFound Ready Reconciling Stalled Staged StoresSupported Switched BackupVerified Verified
True False Unknown Normal Warning Running Refused Known Match Differ Different Equal Subset
ArmSwitch Cleanup Delete Go Inspect KeyRef Ledger RestoreImage Rollback Scan SetImage StartTarget Verifying
Databases DataCorruption Execute Hold Revert Undo FullRead IfNotPresent Keep Never PreUpgrade Require Restore Retain Skip OnRootMismatch RuntimeDefault
CrashLoopBackOff CreateContainerConfigError CreateContainerError ErrImageNeverPull ErrImagePull ImagePullBackOff InvalidImageName
RunContainerError
""".split())
WORD = re.compile(r"^[A-Z][A-Za-z0-9]+$")


def read(path):
    return (ROOT / path).read_text()


def rows(text, heads):
    """The first cells of the rows of every table whose first column is headed by one of `heads`."""
    head = None
    for line in text.splitlines():
        if not line.startswith("|"):
            head = None
            continue
        cell = line.split("|")[1].strip()
        if head is None:
            head = cell
        elif head in heads and not cell.startswith("---"):
            yield from (re.sub(r" \(.*\)", "", word.strip()).strip("`") for word in cell.split(","))


def reasons_in_code():
    literals = set()
    for folder in ("reconcilers", "operator/mover/core/src", "operator/mover/main/edge/src"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".cpp", ".h"):
                literals |= set(re.findall(r'"([A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*)"', re.sub(r"^#include.*$", "", path.read_text(), flags=re.M)))
    # What an error without a reason of its own is called.
    literals |= set(re.findall(r'return "([A-Za-z]+)";', read("operator/base/src/result.cpp")))
    return literals


class Documentation(unittest.TestCase):
    maxDiff = None

    def test_every_reason_has_a_row_and_every_row_a_reason(self):
        documented = list(rows(read("docs/troubleshooting.md"), {"Reason", "Code"}))
        code = reasons_in_code() - NO_REASON
        self.assertGreater(len(code), 100, "the search for reasons finds too little to be right")
        self.assertEqual(sorted(code - set(documented)), [], "reasons without a row in docs/troubleshooting.md (or words for NO_REASON)")
        self.assertEqual(sorted(w for w in set(documented) - code if WORD.match(w)), [], "rows about reasons nothing in the code gives")
        self.assertEqual([w for w in documented if not WORD.match(w)], [], "cells that are no reasons")

    def test_every_alert_has_a_row(self):
        alerts = re.findall(r"- alert: (\w+)", read("manifests/monitoring/rules.yaml"))
        self.assertEqual(sorted(alerts), sorted(rows(read("docs/troubleshooting.md"), {"Alert"})))

    def test_rules_and_dashboard_name_documented_metrics(self):
        documented = {}
        for line in read("docs/metrics.md").splitlines():
            if row := re.match(r"\| `(\w+)` \| (\w+) \| ([a-z, ]*)\|", line):
                documented[row[1]] = (row[2], set(re.findall(r"\w+", row[3])))
        self.assertGreater(len(documented), 40)
        dashboard = json.loads(read("manifests/monitoring/dashboard.json"))
        queries = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
        queries += [v["query"] for v in dashboard["templating"]["list"]]
        rules = re.findall(r"expr: (?:>-\n((?: {8}.*\n)+)|(.*)\n)", read("manifests/monitoring/rules.yaml"))
        queries += [folded or plain for folded, plain in rules]
        named = set()
        for query in queries:
            for name, labels in re.findall(r"\b((?:rollback|controller_runtime|workqueue|rest_client|leader_election|reflector|events)_\w+)(?:\{([^}]*)\})?", query):
                base = re.sub(r"_(bucket|sum|count)$", "", name)
                if base in documented and documented[base][0] == "histogram":
                    self.assertNotEqual(base, name, f"{query}: a histogram has no samples of its own name")
                    name = base
                self.assertIn(name, documented, f"{query}: no such metric in docs/metrics.md")
                for label in re.findall(r"(\w+) *[=!]", labels):
                    self.assertIn(label, documented[name][1], f"{query}: {name} has no label {label}")
                named.add(name)
        unseen = {n for n in documented if n.startswith("rollback_")} - named
        self.assertEqual(sorted(unseen), [], "metrics of ours that neither a rule nor the dashboard shows")

    def test_safety_names_tests_that_exist(self):
        safety = read("docs/safety.md")
        rules = set(re.findall(r"^\| ([SL]\d+) \|", safety, flags=re.M))
        self.assertEqual(rules, {f"S{n}" for n in range(1, 17)} | {f"L{n}" for n in range(1, 4)})
        cases = ""
        for path in sorted((ROOT / "tests").rglob("*")):
            if path.suffix in (".cpp", ".py"):
                # Catch2 names may be cut in two by the formatter.
                cases += re.sub(r'"\s*\n\s*"', "", path.read_text())
        for line in safety.splitlines():
            if not re.match(r"\| [SL]\d+ \|", line):
                continue
            shown = line.split("|")[4]
            names = re.findall(r"`([^`]+)`", shown)
            self.assertTrue(names or "not yet" in shown, f"no test is named: {line}")
            for name in names:
                path, _, case = name.partition(": ")
                self.assertTrue((ROOT / path).exists(), f"{path} of {line} does not exist")
                if case:
                    text = re.sub(r'"\s*\n\s*"', "", (ROOT / path).read_text())
                    self.assertIn(case, text, f"{path} has no such test")


if __name__ == "__main__":
    sys.argv += ["-v"] if len(sys.argv) == 1 else []
    unittest.main()
