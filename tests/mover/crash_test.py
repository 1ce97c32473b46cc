"""Every crash point of a verb: before each of its statements and programs, and after the last, the mover is killed, or the server is
crashed and started again under it; where a statement changes something its answer is lost as well; a swap is also asked to end. Then
whoever comes next finishes. Whatever was hit, the end is the same. ("After" one statement is "before" the next: nothing is between them.)

    crash_test.py [stage] [switch] [switchback] [undo] [discard] [cleanup]      FRB_QUICK=1: every fifth point
    crash_test.py stage:1/2      the first half of its points, so that two may run beside each other, each with a server of its own
"""
import os
import pathlib
import signal
import sys
import tempfile
import time

import harness

STAGED, ORIGINAL = 5, 6   # orders in the backup, and in live since


class Failure(AssertionError):
    pass


def check(condition, story):
    if not condition:
        raise Failure(story)


class Crash:
    """One way to be hit."""

    def __init__(self, number, position, victim):
        self.number, self.position, self.victim = number, position, victim

    def __str__(self):
        return f"{self.victim} {self.position} statement {self.number}"

    def environment(self):
        return {"FRB_FAILPOINT": f"{self.number}:{self.position}:{'kill' if self.victim == 'mover' else 'stop'}"}


def changes(line):
    """Statements that only look are marked by a comment; what ends a client, or is a program of its own, is none of them."""
    what = line.split(" ", 1)[1]
    return not what.startswith("/*") or "terminate" in what


def crashes(places, share, terminate=False):
    """`share`: (0, 2) is the first of two halves. `terminate`: the mover is asked to end, too."""
    out = []
    for number, line in enumerate(places, 1):
        out += [Crash(number, "before", "mover"), Crash(number, "before", "server")]
        out += [Crash(number, "lost", "answer")] if changes(line) and not line.split(" ", 1)[1].startswith("pg_") else []
        out += [Crash(number, "before", "peace")] if terminate else []
    out += [Crash(len(places), "after", "mover"), Crash(len(places), "after", "server")]
    return (out[::5] if harness.QUICK else out)[share[0]::share[1]]


class CrashWorld:
    def __init__(self, share):
        self.share = share
        self.world = harness.World(harness.program("FRB_MOVER_FAILPOINTS"))
        self.server, self.mover = self.world.server, self.world.mover
        self.server.sql("create database shop owner shop")
        self.world.app("create table migrations (name text); insert into migrations values ('0001'); create table orders (id serial primary key, item text); "
                       f"insert into orders (item) select 'x' || g from generate_series(1, {STAGED}) g; select lo_from_bytea(0, 'large'); "
                       "create table counter (runs int); insert into counter values (0)")
        self.backup = self.world.backup().result
        self.world.app("insert into orders (item) values ('written after the backup')")
        self.system, self.original = self.world.identity()
        self.attempt = 0
        # Who was killed and started again would not know the number of the last attempt from memory: the operator journals it.
        self.names = self.mover.names()

    # ---- one run ----
    def hit(self, task, crash, go=None):
        """Runs a verb into a crash. Its outcome if it survived, None if it was killed."""
        run = self.mover.start(task, environment=crash.environment() if crash else {}, go=go)
        if crash and crash.victim in ("server", "peace"):
            _, status = os.waitpid(run.process.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                run.process.returncode = os.waitstatus_to_exitcode(status)
                return run.finish()
            if crash.victim == "server":
                self.server.crash()
            else:
                os.kill(run.process.pid, signal.SIGTERM)
            os.kill(run.process.pid, signal.SIGCONT)
            if crash.victim == "server":
                self.server.start()
        return run.finish()

    def places(self, task, go=None):
        """The places a clean run passes."""
        log = pathlib.Path(tempfile.mkstemp(prefix="frb-log-")[1])
        run = self.mover.start(task, environment={"FRB_FAILPOINT_LOG": str(log)}, go=go)
        outcome = run.finish()
        check(outcome.ok, f"a clean {task['verb']} ended with {outcome}")
        lines = log.read_text().splitlines()
        log.unlink()
        return lines, outcome

    # ---- what must hold ----
    def orders(self, name):
        return self.read(name, "select count(*) from orders")

    def read(self, name, query):
        """A number out of a database that may be closed."""
        was_open = self.server.databases()[name][1]
        if not was_open:
            self.server.sql(f'alter database "{name}" with allow_connections true')
        rows = int(self.server.value(query, name))
        if not was_open:
            self.server.sql(f'alter database "{name}" with allow_connections false')
        return rows

    def intact(self, story):
        """At any moment: live exists, no OID is lost, at most one of our databases is open to anybody."""
        databases = self.server.databases()
        oids = {oid for oid, _ in databases.values()}
        check("shop" in databases, f"{story}: no database has the live name: {databases}")
        check(self.original in oids, f"{story}: the original database is gone: {databases}")
        for name, (_, is_open) in databases.items():
            if "_prev_" in name or "_reverted_" in name:
                check(not is_open, f"{story}: kept copy {name} is open: {databases}")
        return databases

    def ended(self, story, live, rows):
        databases = self.intact(story)
        check(databases["shop"] == (live, True), f"{story}: live is {databases['shop']}, expected OID {live}, open: {databases}")
        for name, (_, is_open) in databases.items():
            if name.startswith("shop_"):
                check(not is_open, f"{story}: copy {name} is open: {databases}")
        check(self.orders("shop") == rows, f"{story}: live has {self.orders('shop')} orders, expected {rows}")
        return databases

    # ---- stage ----
    def stage_task(self, attempt):
        return self.mover.task("stage", attempt=attempt, repository={"path": self.backup["path"], "digest": self.backup["digest"]}, backup={"store": "database"},
                               afterStage=[{"name": "count", "statement": "update counter set runs = runs + 1"}],
                               expect={"systemIdentifier": self.system, "liveOid": self.original}, names=self.mover.names(attempt))

    def discard_task(self, attempt):
        return self.mover.task("discard", attempt=1, expect={"systemIdentifier": self.system, "liveOid": self.original}, names=self.mover.names(attempt))

    def patiently(self, make, story, retry=()):
        """As the operator does: again until it ends well. `make` gives a task for each try."""
        for _ in range(8):
            outcome = self.hit(make(), None, go="tok-switch")
            if outcome and outcome.ok:
                return outcome
            check(outcome is None or outcome["code"] in retry or outcome["code"] in ("CannotConnect", "ServerStarting", "ConnectionLost"), f"{story}: then {outcome}")
            time.sleep(0.1)
        raise Failure(f"{story}: does not end, last {outcome}")

    def test_stage(self):
        places, _ = self.places(self.stage_task(1))
        self.patiently(lambda: self.discard_task(1), "clean")
        for crash in crashes(places, self.share):
            story = f"stage hit by {crash}"
            outcome = self.hit(self.stage_task(1), crash)
            self.intact(story)
            attempt = 1
            while not (outcome and outcome.ok):
                # The name of an attempt is never used again: found taken, it is fenced and the next one made.
                attempt += 1
                again = self.hit(self.stage_task(1), None)
                if self.mover.names(1)["stage"] in self.server.databases() and not again.ok:
                    check(again["code"] == "StageExists", f"{story}: restored into a name that was taken: {again}")
                elif again.ok:
                    outcome, attempt = again, 1
                    break
                outcome = self.hit(self.stage_task(attempt), None)
                check(attempt < 5, f"{story}: does not end, last {outcome}")
            databases = self.ended(story, self.original, ORIGINAL)
            name = self.mover.names(attempt)["stage"]
            check(databases[name] == (outcome.result["stageOid"], False), f"{story}: the staged copy is {databases.get(name)}")
            check(self.orders(name) == STAGED, f"{story}: the staged copy has {self.orders(name)} orders")
            runs = self.read(name, "select runs from counter")
            check(runs == 1, f"{story}: afterStage was run {runs} times on the staged copy")
            self.patiently(lambda: self.discard_task(attempt), story)
            left = [n for n in self.server.databases() if n.startswith("shop_")]
            check(not left, f"{story}: discard left {left}")
        return places

    # ---- switch and switchback ----
    def staged(self):
        outcome = self.hit(self.stage_task(1), None)
        check(outcome.ok, f"staging failed: {outcome}")
        self.stage_oid = outcome.result["stageOid"]

    def swap_task(self, verb):
        return self.mover.task(verb, token="tok-switch", expect={"systemIdentifier": self.system, "liveOid": self.original, "stageOid": self.stage_oid}, names=self.names)

    def reset(self, switched):
        """Puts the two databases where a case begins, whatever they are called now."""
        now = {oid: name for name, (oid, _) in self.server.databases().items()}
        wanted = {self.original: self.names["prev"] if switched else "shop", self.stage_oid: "shop" if switched else self.names["stage"]}
        if {o: now[o] for o in wanted} != wanted:
            for oid in wanted:
                self.server.sql(f'alter database "{now[oid]}" rename to "temporary {oid}"')
            for oid, name in wanted.items():
                self.server.sql(f'alter database "temporary {oid}" rename to "{name}"')
        for oid, name in wanted.items():
            self.server.sql(f'alter database "{name}" with allow_connections {name == "shop"}')

    def test_switch(self):
        self.staged()
        places, _ = self.places(self.swap_task("switch"), go="tok-switch")
        self.ended("clean", self.stage_oid, STAGED)
        for crash in crashes(places, self.share, terminate=True):
            for then in ("switch", "switchback"):
                story = f"switch hit by {crash}, then {then}"
                self.reset(switched=False)
                outcome = self.hit(self.swap_task("switch"), crash, go="tok-switch")
                self.intact(story)
                if crash.victim == "peace":
                    # Asked to end: before the go token it does, after it the swap is finished first.
                    check(outcome.ok or outcome["code"] == "Cancelled", f"{story}: {outcome}")
                    check(self.server.databases()["shop"][1], f"{story}: live was left closed")
                self.patiently(lambda: self.swap_task(then), story)
                if then == "switch":
                    databases = self.ended(story, self.stage_oid, STAGED)
                    check(databases.get(self.names["prev"]) == (self.original, False), f"{story}: prev is {databases.get(self.names['prev'])}")
                else:
                    databases = self.ended(story, self.original, ORIGINAL)
                    check(self.stage_oid in {oid for oid, _ in databases.values()}, f"{story}: what was written after the switch is gone")
                    if self.names["reverted"] in databases:
                        # A replay after a revert changes nothing.
                        replay = self.hit(self.swap_task("switch"), None, go="tok-switch")
                        check(replay["outcome"] == "Refused" and replay["code"] == "AlreadyReverted", f"{story}: replayed: {replay}")
                        check(self.server.databases() == databases, f"{story}: the replay changed something: {self.server.databases()}")
        self.forget_staged()
        return places

    def test_switchback(self):
        self.staged()
        self.reset(switched=True)
        places, _ = self.places(self.swap_task("switchback"))
        self.ended("clean", self.original, ORIGINAL)
        for crash in crashes(places, self.share):
            story = f"switchback hit by {crash}"
            self.reset(switched=True)
            self.hit(self.swap_task("switchback"), crash)
            self.intact(story)
            outcome = self.patiently(lambda: self.swap_task("switchback"), story)
            databases = self.ended(story, self.original, ORIGINAL)
            check(databases.get(self.names["reverted"]) == (self.stage_oid, False), f"{story}: reverted is {databases.get(self.names['reverted'])}")
            check(outcome.result == {"liveOid": self.original, "revertedOid": self.stage_oid}, f"{story}: {outcome.result}")
            check(self.orders(self.names["reverted"]) == STAGED, f"{story}: the reverted copy lost rows")
        self.forget_staged()
        return places

    # ---- undo: the same two verbs, whose "staged" copy is the one that was kept ----
    UNDO = "cd56ef78"

    def undo_names(self):
        """What goes out was written since; what is taken back is kept again, under the undo's own name."""
        own = self.mover.names(1, self.UNDO)
        return {"stage": self.names["prev"], "prev": own["reverted"], "reverted": own["prev"]}

    def undo_task(self, verb):
        return self.mover.task(verb, id=self.UNDO, token="tok-switch", expect={"systemIdentifier": self.system, "liveOid": self.stage_oid, "stageOid": self.original},
                               names=self.undo_names())

    def test_undo(self):
        self.staged()
        self.reset(switched=True)
        places, _ = self.places(self.undo_task("switch"), go="tok-switch")
        self.ended("clean", self.original, ORIGINAL)
        names = self.undo_names()
        for crash in crashes(places, self.share, terminate=True):
            for then in ("switch", "switchback"):
                story = f"undo hit by {crash}, then {then}"
                self.reset(switched=True)
                outcome = self.hit(self.undo_task("switch"), crash, go="tok-switch")
                self.intact(story)
                if crash.victim == "peace":
                    check(outcome.ok or outcome["code"] == "Cancelled", f"{story}: {outcome}")
                self.patiently(lambda: self.undo_task(then), story)
                if then == "switch":
                    databases = self.ended(story, self.original, ORIGINAL)
                    check(databases.get(names["prev"]) == (self.stage_oid, False), f"{story}: what was written since is {databases.get(names['prev'])}")
                    check(self.orders(names["prev"]) == STAGED, f"{story}: what was written since lost rows")
                else:
                    databases = self.ended(story, self.stage_oid, STAGED)
                    kept = [n for n in (names["stage"], names["reverted"]) if databases.get(n) == (self.original, False)]
                    check(len(kept) == 1, f"{story}: the kept copy is gone: {databases}")
                    check(self.orders(kept[0]) == ORIGINAL, f"{story}: the kept copy lost rows")
                    if kept[0] == names["reverted"]:
                        replay = self.hit(self.undo_task("switch"), None, go="tok-switch")
                        check(replay["outcome"] == "Refused" and replay["code"] == "AlreadyReverted", f"{story}: replayed: {replay}")
                        check(self.server.databases() == databases, f"{story}: the replay changed something: {self.server.databases()}")
        self.forget_staged()
        return places

    def forget_staged(self):
        self.reset(switched=False)
        self.server.drop(self.names["stage"])

    # ---- discard and cleanup ----
    def copy(self, name):
        if name not in self.server.databases():
            self.server.sql(f'create database "{name}" owner shop template template0; alter database "{name}" with allow_connections false')
        return self.server.databases()[name][0]

    def test_discard(self):
        def prepare():
            for attempt in (1, 2, 3):
                self.copy(self.mover.names(attempt)["stage"])
            self.copy(self.mover.names(1, "99999999")["stage"])   # another rollback's
        prepare()
        places, _ = self.places(self.discard_task(2))
        for crash in crashes(places, self.share):
            story = f"discard hit by {crash}"
            prepare()
            self.hit(self.discard_task(2), crash)
            self.patiently(lambda: self.discard_task(2), story)
            self.ended(story, self.original, ORIGINAL)
            left = sorted(n for n in self.server.databases() if n.startswith("shop_"))
            check(left == sorted([self.mover.names(3)["stage"], self.mover.names(1, "99999999")["stage"]]), f"{story}: left {left}")
        for name in left:
            self.server.drop(name)
        return places

    def test_cleanup(self):
        def prepare():
            return [{"name": name, "oid": self.copy(name)} for name in (self.names["prev"], self.names["reverted"])]
        places, _ = self.places(self.mover.task("cleanup", drop=prepare()))
        for crash in crashes(places, self.share):
            story = f"cleanup hit by {crash}"
            drop = prepare()
            self.hit(self.mover.task("cleanup", drop=drop), crash)
            self.patiently(lambda: self.mover.task("cleanup", drop=drop), story)
            self.ended(story, self.original, ORIGINAL)
            left = [n for n in self.server.databases() if n.startswith("shop_")]
            check(not left, f"{story}: left {left}")
        return places


def main():
    if harness.BIN is None:
        print("no PostgreSQL below /usr/lib/postgresql: skipped")
        return harness.SKIP
    verbs = sys.argv[1:] or ["stage", "switch", "switchback", "undo", "discard", "cleanup"]
    bad = 0
    for word in verbs:
        began = time.monotonic()
        verb, _, part = word.partition(":")
        share = (int(part.split("/")[0]) - 1, int(part.split("/")[1])) if part else (0, 1)
        world = CrashWorld(share)
        try:
            places = getattr(world, "test_" + verb)()
            print(f"{word}: {len(crashes(places, share, verb in ('switch', 'undo')))} crashes at {len(places)} places, {time.monotonic() - began:.0f} s", flush=True)
        except Failure as failure:
            bad += 1
            print(f"{word}: {failure}", flush=True)
        finally:
            world.server.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
