#!/usr/bin/env python3
"""What the documentation says is so: every reason is explained and exists, every alert is explained, every metric named in rules and
dashboard is a documented one, every test, seeded bug and rule of the checker that docs/safety.md names is there, every tier that is said to show a
refusal names it.

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
BackupRepository ConfigMap CronJob Framework FrameworkBackup FrameworkRollback Job Pod ScaledObject StatefulSet Terminate
ClassFound Ready Reconciling Stalled Staged StoresSupported Switched BackupVerified Verified
True False Unknown Normal Warning Running Refused Known Match Differ Different Equal Subset
ArmSwitch Cleanup Delete Go Inspect KeyRef Ledger RestoreImage ResumeCronJobs Rollback Scan SetImage SuspendCronJobs Verifying
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

    def test_safety_names_what_exists(self):
        """Of each rule: tests that are there (a name may be cut short), the seeded bugs that break it and no other, the checker's rule."""
        rules, shown = {}, {}
        for line in read("docs/safety.md").splitlines():
            if re.match(r"\| [SL]\d+ \|", line):
                cells = [cell.strip() for cell in line.strip("|").split("|")]
                (rules if len(cells) == 3 else shown)[cells[0]] = cells[1:]
        self.assertEqual(set(rules), {f"S{n}" for n in range(1, 17)} | {f"L{n}" for n in range(1, 4)})
        self.assertEqual(set(rules), set(shown))
        mutants = re.findall(r'\{Mutant::\w+, "(\w+)", "(\w+)"', read("tests/sim/mutants.cpp"))
        judged = set(re.findall(r'\{"(\w+)", \w+\}', read("tests/rules/rules.cpp")))
        self.assertGreater(len(mutants), 20)
        self.assertGreater(len(judged), 10)
        for rule, (unit, bugs, checker, real) in shown.items():
            with self.subTest(rule):
                self.assertEqual(set(re.findall(r"[A-Z]\w+", re.sub(r"\(.*\)", "", bugs))), {name for name, of in mutants if of == rule})
                self.assertEqual(not checker.startswith("nothing"), rule in judged)
                for cell, folder in ((unit, "tests/unit"), (real, "tests")):
                    names = re.findall(r"`([^`]+)`", cell)
                    self.assertTrue(names or cell.startswith("none"), f"no test is named: {cell}")
                    for name in names:
                        path, _, case = name.partition(": ")
                        self.assertTrue((ROOT / folder / path).exists(), f"{folder}/{path} does not exist")
                        # Catch2 names may be cut in two by the formatter.
                        self.assertIn(case, re.sub(r'"\s*\n\s*"', "", read(f"{folder}/{path}")), f"{path} has no such test")

    def test_refusals_are_shown_by_the_tiers_that_are_named(self):
        """The last column: every code of the row, or those in brackets, stands in a test of that tier."""
        folders = {"unit": ("tests/unit",), "mover": ("tests/mover",), "api": ("tests/api",), "node": ("tests/node",)}
        tests = {tier: "\n".join(p.read_text() for f in under for p in sorted((ROOT / f).rglob("*")) if p.suffix in (".cpp", ".py"))
                 for tier, under in folders.items()}
        # One unit test goes through all that the list has.
        self.assertIn("from_range(rollback::reconcilers::refusals())", tests["unit"])
        tests["unit"] += read("reconcilers/rollback/refusals.cpp")
        table = read("docs/troubleshooting.md").split("| Code | meaning, and what helps | shown by |")[1].split("\n\n")[0]
        seen = 0
        for line in table.splitlines():
            if not line.startswith("| ") or line.startswith("|--"):
                continue
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            row = re.findall(r"\w+", re.sub(r"\(.*?\)", "", cells[0]))
            for tier, some in re.findall(r"(\w+)(?: \(([^)]*)\))?", cells[-1]):
                for code in re.findall(r"\w+", some) or row:
                    seen += 1
                    self.assertRegex(tests[tier], rf"\b{code}\b", f"no test of tier {tier} names {code}")
        self.assertGreater(seen, 80)


if __name__ == "__main__":
    sys.argv += ["-v"] if len(sys.argv) == 1 else []
    unittest.main()
