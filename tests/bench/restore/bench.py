#!/usr/bin/env python3
"""Dump and restore through the mover, beside the bare tools, against one PostgreSQL of the bench's own on loopback.

In turn, each round: `pg_dump -Fd -j`, verb backup, `pg_restore -j`, verb stage, verb verify. The mover runs the very same tools, and proves
besides what it did: it hashes the rows in the dump's snapshot and every file, and compares the staged copy with that. Its result says how
long each part took ("phases"), so the table shows the data's own way (dump, restore) apart from the proof.

CPU is what the client's processes and the server's backends used together (the postmaster has reaped them by then, so its account of
children holds it); it moves less with the machine's load than wall time does.

    bench.py [--megabytes 1000] [--rounds 3] [--jobs 2]
"""
import argparse
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

here = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(here.parents[2] / "mover"))
from harness import World           # noqa: E402
from mover import APP, APP_PASSWORD  # noqa: E402
from server import BIN              # noqa: E402

# A third each: many narrow rows with two indexes, JSON documents with a GIN index, long text that does not compress well. One "unit" is
# about a megabyte on disk, indexes included.
SCHEMA = """
create table migrations (name text primary key); insert into migrations values ('0001_create'), ('0002_more');
create table orders (id bigserial primary key, customer int not null, item text not null, amount numeric(10,2), at timestamptz not null, state text);
create table events (id bigserial primary key, kind text not null, doc jsonb not null, at timestamptz not null);
create table documents (id bigserial primary key, title text not null, body text not null);
"""
FILL = """
insert into orders (customer, item, amount, at, state)
select (g::bigint * 7919) % 100000, 'item ' || md5(g::text), (g % 10000) / 100.0, timestamptz '2026-01-01' + make_interval(secs => g), (array['new','paid','sent'])[1 + g % 3]
from generate_series({first}, {first} + 1900 * {units} - 1) g;
insert into events (kind, doc, at)
select 'kind-' || g % 20, jsonb_build_object('id', g, 'node', md5(g::text), 'run', md5((g * 3)::text), 'steps', jsonb_build_array(g % 7, g % 11, 'ok')),
       timestamptz '2026-01-01' + make_interval(secs => g)
from generate_series({first}, {first} + 600 * {units} - 1) g;
insert into documents (title, body)
select 'document ' || g, (select string_agg(md5((g * 100 + n)::text), ' ') from generate_series(1, 40) n)
from generate_series({first}, {first} + 220 * {units} - 1) g;
"""
INDEXES = """
create index orders_customer on orders (customer, at); create index orders_item on orders (item);
create index events_doc on events using gin (doc jsonb_path_ops); create index events_at on events (at);
"""


def psql(world, text, database):
    subprocess.run([BIN / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"], input=text, text=True, check=True, stdout=subprocess.DEVNULL,
                   env=world.server.environment(database, APP, APP_PASSWORD))


def prepare(megabytes):
    world = World(database="bench", fsync=True)
    # A server as one would run it, not the smallest that can be crashed in a test.
    world.server.sql("alter system set shared_buffers = '256MB'; alter system set max_wal_size = '4GB'; "
                     "alter system set maintenance_work_mem = '64MB'; alter system set autovacuum_naptime = '60s'; alter system set wal_level = 'replica'")
    world.server.crash_and_restart()
    world.server.sql("create database bench owner shop template template0")
    psql(world, SCHEMA, "bench")
    probe = 20
    psql(world, FILL.format(first=1, units=probe), "bench")
    have, units = probe, max(probe, megabytes)
    while have < units:
        step = min(100, units - have)
        psql(world, FILL.format(first=1 + have * 2000, units=step), "bench")
        have += step
    psql(world, INDEXES, "bench")
    world.server.sql("vacuum analyze", "bench")
    return world


SHIM = """#!{python}
# The tool itself, and what it used: its own CPU and that of the server's backends that ended meanwhile.
import os, resource, subprocess, sys, time
def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    fields = open("/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return used.ru_utime + used.ru_stime + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
before, start = cpu(), time.monotonic()
status = subprocess.call(["{tool}"] + sys.argv[1:])
if any(word.startswith(("--dbname", "--snapshot")) for word in sys.argv):       # not those that only list or read an archive
    with open("{log}", "a") as log:
        log.write(f"{{time.monotonic() - start}} {{cpu() - before}}\\n")
sys.exit(status)
"""


def shims(world):
    """A folder for the mover's PATH whose pg_dump and pg_restore tell what they used, in the file returned with it."""
    folder = world.repository / "shims"
    folder.mkdir()
    log = folder / "log"
    for tool_ in ("pg_dump", "pg_restore"):
        (folder / tool_).write_text(SHIM.format(python=sys.executable, pid=world.server.pid, tool=BIN / tool_, log=log))
        (folder / tool_).chmod(0o755)
    return folder, log


def cpu(world):
    """Of our ended children and of the server's, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    fields = pathlib.Path(f"/proc/{world.server.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return used.ru_utime + used.ru_stime + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def settle(world):
    """So that no measurement pays for what the one before it left to be written."""
    world.server.sql("checkpoint")
    os.sync()


class Measured(dict):
    """name → list of (wall, cpu) over the rounds."""

    def time(self, world, name, work):
        settle(world)
        before, start = cpu(world), time.monotonic()
        out = work()
        self.setdefault(name, []).append((time.monotonic() - start, cpu(world) - before))
        return out

    def lap(self, name, seconds, used=None):
        self.setdefault(name, []).append((seconds, used))


def tool(world, database, *argv):
    environment = world.server.environment(database, APP, APP_PASSWORD)
    done = subprocess.run([BIN / argv[0], "--no-password", *argv[1:]], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{argv[0]}: {done.stderr}")


def succeeded(outcome):
    if not outcome or not outcome.ok:
        sys.exit(f"the mover: {outcome}")
    return outcome.result


def round_(world, out, jobs, number, folder, log):
    bare = world.repository / f"bare-{number}"
    fields = dict(schema={"query": "select name from migrations"}, checks=[{"name": "orders", "query": "select count(*) from orders", "min": 1}],
                  parallel=jobs, deadlineSeconds=3600)
    path = f"shop/shop-backup-20261124-{number:06d}"

    def run(verb, **more):
        return succeeded(world.mover.start(world.mover.task(verb, **fields, **more),
                                           environment={"PATH": f"{folder}:{BIN}:/usr/bin:/bin"}).finish(3600))

    def laps(verb, phases, data):
        """The verb's phases; `data` is the one in which the tool runs, and what the tool used was written down."""
        used = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
        log.unlink()
        for phase, milliseconds in phases.items():
            out.lap(f"{verb}:{phase}", milliseconds / 1000, sum(c for _, c in used) if phase == data else None)
        out.lap(f"{verb}:rest", 0, out[verb][-1][1] - sum(c for _, c in used))

    def dump_bare():
        out.time(world, "pg_dump", lambda: tool(world, "bench", "pg_dump", "-Fd", f"-j{jobs}", "-f", str(bare)))

    def dump_mover():
        taken = out.time(world, "backup", lambda: run("backup", repository={"path": path}, backup={
            "framework": "shop", "class": "demo", "namespace": "demo", "version": "1.0.0", "store": "database"}))
        laps("backup", taken["phases"], "dump")
        return taken

    def restore_bare():
        world.server.sql("create database bare owner shop template template0")
        out.time(world, "pg_restore", lambda: tool(world, "bare", "pg_restore", f"-j{jobs}", "-d", "bare", "--exit-on-error", str(bare)))
        world.server.sql("drop database bare")

    def restore_mover():
        system, live = world.identity()
        staged = out.time(world, "stage", lambda: run("stage", id="ab12cd34", attempt=number, repository={"path": path, "digest": taken["digest"]},
                                                      backup={"store": "database"}, expect={"systemIdentifier": system, "liveOid": live},
                                                      names=world.mover.names(number)))
        laps("stage", staged["phases"], "restore")
        world.server.drop(world.mover.names(number)["stage"])

    # The order turns each round, so that neither always comes second.
    if number % 2:
        dump_bare()
        taken = dump_mover()
        restore_bare()
        restore_mover()
    else:
        taken = dump_mover()
        dump_bare()
        restore_mover()
        restore_bare()
    out.time(world, "verify", lambda: run("verify", repository={"path": path, "digest": taken["digest"]}))
    sizes = (sum(f.stat().st_size for f in bare.iterdir()), taken["sizeBytes"])
    shutil.rmtree(bare)
    shutil.rmtree(world.repository / path)
    return sizes


def show(out, size, sizes, jobs):
    median = statistics.median
    mb = size / 1e6

    def row(what, name, cpu_of=None):
        walls = [wall for wall, _ in out[name]]
        cpus = [used for _, used in out[cpu_of or name] if used is not None]
        print(f"| {what} | {median(walls):.1f} s ({min(walls):.1f}-{max(walls):.1f}) | {mb / median(walls):.0f} MB/s | {f'{median(cpus):.1f} s' if cpus else ''} |")

    print(f"database {mb:.0f} MB, archive {sizes[0] / 1e6:.0f} MB, --jobs={jobs}, {len(out['pg_dump'])} rounds; wall: median (min-max)\n")
    print("| | wall | of the database | CPU of client and server |\n|---|---|---|---|")
    row("`pg_dump -Fd -j`", "pg_dump")
    row("backup, whole", "backup")
    row("· dump", "backup:dump")
    row("· proof: rows hashed in the snapshot", "backup:record")
    row("· proof: files hashed and synced", "backup:seal")
    row("`pg_restore -j`", "pg_restore")
    row("stage, whole", "stage")
    row("· restore", "stage:restore")
    row("· ANALYZE", "stage:analyze")
    row("· proof: rows hashed, catalogs compared", "stage:compare")
    row("· proof: files hashed, before and after", "stage:digest")
    row("verify (every hash, every entry read)", "verify")

    # Round by round, because the machine's speed drifts.
    def throughput(column):
        dump = median(t[column] / o[column] for o, t in zip(out["backup:dump"], out["pg_dump"]))
        restore = median(t[column] / o[column] for o, t in zip(out["stage:restore"], out["pg_restore"]))
        both = median((a[column] + b[column]) / (c[column] + d[column])
                      for a, b, c, d in zip(out["pg_dump"], out["pg_restore"], out["backup:dump"], out["stage:restore"]))
        return f"dump {dump:.2f}, restore {restore:.2f}, both {both:.2f}"

    def share(parts, whole, column=0):
        return median(sum(part[column] for part in each[:-1]) / each[-1][column] for each in zip(*(out[name] for name in parts), out[whole]))
    print(f"\nthroughput : bare tools, by wall: {throughput(0)}; by CPU: {throughput(1)} (goal ≥ 0.9)")
    print(f"proof of the staged copy : its restore, by wall {share(['stage:compare', 'stage:digest'], 'stage:restore'):.2f}; "
          f"proof and ANALYZE, by CPU {share(['stage:rest'], 'stage:restore', 1):.2f} (goal ≤ 0.5)")
    print(f"verb verify : restore, by wall {share(['verify'], 'stage:restore'):.2f}, by CPU {share(['verify'], 'stage:restore', 1):.2f}")
    print(f"whole verbs with all proof : bare tools, time by wall: backup {share(['backup'], 'pg_dump'):.2f}, stage {share(['stage'], 'pg_restore'):.2f}; "
          f"by CPU: {share(['backup'], 'pg_dump', 1):.2f}, {share(['stage'], 'pg_restore', 1):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if BIN is None:
        sys.exit("no PostgreSQL below /usr/lib/postgresql")
    world = prepare(options.megabytes)
    size = int(world.server.value("select pg_database_size('bench')"))
    print(f"PostgreSQL {world.server.value('show server_version')}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    out = Measured()
    folder, log = shims(world)
    for number in range(1, options.rounds + 1):
        sizes = round_(world, out, options.jobs, number, folder, log)
        print(f"round {number}: " + ", ".join(f"{name} {values[-1][0]:.1f}" for name, values in out.items()), file=sys.stderr, flush=True)
    show(out, size, sizes, options.jobs)


if __name__ == "__main__":
    main()
