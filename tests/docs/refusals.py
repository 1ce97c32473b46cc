#!/usr/bin/env python3
"""The codes of refusals, in four places that must agree: the list in reconcilers/rollback/refusals.cpp, the code that refuses,
docs/troubleshooting.md, and the tests. A code in one place only is a reason nobody can look up, or one that never happens."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORD = r"[A-Z][A-Za-z]+"


def text(*patterns):
    return "\n".join(p.read_text() for pattern in patterns for p in sorted(ROOT.glob(pattern)))


def codes(pattern, where):
    return set(re.findall(pattern, where, re.MULTILINE))


def documented(page):
    table = page.split("## Refusals", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    found = [code for row in rows if row.strip() != "Code" for code in re.findall(WORD, re.sub(r"\(.*?\)", "", row))]
    assert len(found) == len(set(found)), f"twice: {sorted(c for c in found if found.count(c) > 1)}"
    return set(found)


def main():
    listed = codes(rf'^\s*\{{"({WORD})",', text("reconcilers/rollback/refusals.cpp"))
    assert len(listed) > 40, "the list was not found"
    # What the code says: Plan itself, what the mover finds at Plan, what a login that fails is called.
    plan = codes(rf'refuse\(\s*"({WORD})"', text("reconcilers/rollback/*.cpp"))
    found = codes(rf'block\(\s*"({WORD})"', text("operator/mover/core/src/inspect.cpp"))
    found |= codes(rf'out\.push_back\(\s*\{{"({WORD})"', text("operator/mover/core/src/server.cpp"))
    found |= codes(rf'as\(ErrorCode::\w+, "({WORD})"\)', text("operator/mover/main/edge/src/psql_database.cpp"))
    said = plan | found
    tests = text("tests/unit/reconcilers/*.cpp", "tests/unit/mover/*.cpp", "tests/mover/*.py",
                 "tests/node/*.py", "tests/api/*.py", "tests/api/*.cpp")
    mover = text("docs/mover.md")
    faults = {
        "refused, and not in refusals.cpp": said - listed,
        "in refusals.cpp, and not in docs/troubleshooting.md": listed - documented(text("docs/troubleshooting.md")),
        "in docs/troubleshooting.md, and not in refusals.cpp": documented(text("docs/troubleshooting.md")) - listed,
        "in no test": {code for code in listed if not re.search(rf"\b{code}\b", tests)},
        "a blocker docs/mover.md does not name": {code for code in codes(rf'block\(\s*"({WORD})"', text("operator/mover/core/src/inspect.cpp")) if f"`{code}`" not in mover},
    }
    for what, which in faults.items():
        for code in sorted(which):
            print(f"{code}: {what}")
    return 1 if any(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
