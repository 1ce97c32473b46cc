"""Each of these was seen to go wrong with plain tools; here it is refused, or right."""
import http.server
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from mover import APP, APP_PASSWORD, Mover
from server import BIN, PASSWORD, Server, free_port


class Client:
    """A session that stays: `say` sends a statement and waits for its end."""

    def __init__(self, world, database, user=APP, password=APP_PASSWORD, application="stranger"):
        self.psql = subprocess.Popen([BIN / "psql", "-X", "-q", "-A", "-t"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                     env=dict(world.server.environment(database, user, password), PGAPPNAME=application))
        self.say("select 1")

    def say(self, statement, wait=True):
        self.psql.stdin.write(statement + ";\n\\echo done\n")
        self.psql.stdin.flush()
        out = []
        while wait:
            line = self.psql.stdout.readline()
            if line in ("done\n", ""):
                break
            out.append(line.strip())
        return out

    def close(self):
        self.psql.stdin.close()
        self.psql.stdout.close()
        self.psql.wait(20)


class Traps(harness.Case):
    def setUp(self):
        self.world = harness.World()
        self.server, self.mover = self.world.server, self.world.mover
        self.server.sql("create database shop owner shop")
        self.world.app("create table migrations (name text); insert into migrations values ('0001'), ('0002'); "
                       "create table orders (id serial primary key, item text); insert into orders (item) select 'x' from generate_series(1, 50)")
        self.addCleanup(self.server.close)

    def staged(self, **more):
        return self.succeeded(self.world.stage(self.succeeded(self.world.backup()), **more))

    def inspect(self, **fields):
        return self.succeeded(self.mover.run("inspect", **fields))

    def codes(self, report):
        return [b["code"] for b in report["blockers"]]

    # ---- sessions, slots, prepared transactions ----
    def test_session_of_a_stranger_refuses_the_switch_and_leaves_live_open(self):
        staged = self.staged()
        client = Client(self.world, "shop")
        self.addCleanup(client.close)
        self.refused(self.world.switch(staged), "ForeignSession")
        self.assertTrue(self.server.databases()["shop"][1])
        self.assertEqual(client.say("select count(*) from orders"), ["50"], "the client's session lives on")

    def test_listed_clients_are_ended_even_in_a_storm_of_reconnects(self):
        staged = self.staged()
        over = threading.Event()

        def storm():
            while not over.is_set():
                subprocess.run([BIN / "psql", "-X", "-c", "select pg_sleep(0.2)"], env=dict(self.server.environment("shop", APP, APP_PASSWORD), PGAPPNAME="storm-1"),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        threads = [threading.Thread(target=storm) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            outcome = self.world.switch(staged, otherClients=["storm-*"], admin=False)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(self.succeeded(outcome)["prevOid"], staged["liveOid"])
        self.assertEqual(self.server.databases()["shop"], (staged["stageOid"], True))

    def test_switchback_ends_whoever_came(self):
        staged = self.staged()
        self.succeeded(self.world.switch(staged))
        client = Client(self.world, "shop")
        client.say("insert into orders (item) values ('written on the new data')")
        self.succeeded(self.world.switchback(staged))
        client.close()
        reverted = self.mover.names()["reverted"]
        self.server.sql(f'alter database "{reverted}" with allow_connections true')
        self.assertEqual(self.server.value("select count(*) from orders", reverted), "51", "what was written after the switch is kept")

    def test_prepared_transaction(self):
        staged = self.staged()
        self.world.app("begin; insert into orders (item) values ('p'); prepare transaction 'hanging'")
        self.assertIn("PreparedTransaction", self.codes(self.inspect()))
        self.refused(self.world.switch(staged, go=None), "PreparedTransaction")     # while the application still serves
        self.refused(self.world.switch(staged), "PreparedTransaction")
        self.assertTrue(self.server.databases()["shop"][1])

    def test_logical_slot(self):
        staged = self.staged()
        self.server.sql("select pg_create_logical_replication_slot('consumer', 'test_decoding')", "shop")
        self.assertIn("ReplicationSlot", self.codes(self.inspect()))
        self.refused(self.world.switch(staged, go=None), "ReplicationSlot")
        self.refused(self.world.switch(staged), "ReplicationSlot")

    def test_lock_of_another_run(self):
        staged = self.staged()
        holder = Client(self.world, "postgres", "postgres", PASSWORD)
        self.addCleanup(holder.close)
        holder.say(f"select pg_advisory_lock(x'46524221'::int, {staged['liveOid']})")
        run = self.mover.start(self.mover.task("switch", expect=self.world.expect(staged), names=self.mover.names()), go="tok-switch")
        time.sleep(1)
        self.assertEqual(self.server.databases()["shop"], (staged["liveOid"], True), "while another run holds the lock nothing is done")
        holder.say("select pg_advisory_unlock_all()")
        self.succeeded(run.finish())

    # ---- identity ----
    def test_another_database_under_the_live_name_is_held(self):
        staged = self.staged()
        self.server.sql("alter database shop rename to elsewhere; create database shop owner shop")
        before = self.server.databases()
        self.refused(self.world.switch(staged), "WrongDatabase")
        self.refused(self.world.switchback(staged), "WrongDatabase")
        self.assertEqual(self.server.databases(), before)

    def test_another_server_is_refused(self):
        staged = dict(self.staged(), systemIdentifier="1234567890123456789")
        for outcome in (self.world.switch(staged), self.world.switchback(staged)):
            self.refused(outcome, "WrongServer")

    def test_stage_name_that_exists_is_a_fence(self):
        backup = self.succeeded(self.world.backup())
        self.server.sql(f'create database "{self.mover.names()["stage"]}"')
        self.refused(self.world.stage(backup), "StageExists")

    def test_reserved_database(self):
        mover = Mover(self.mover.program, self.server, self.world.repository, "postgres")
        report = self.succeeded(mover.run("inspect", schema={"query": "select 1"}, checks=[]))
        self.assertIn("ReservedDatabase", self.codes(report))
        self.refused(mover.run("switch", go="tok-switch", expect={"liveOid": 5, "stageOid": 6}, names=mover.names()), "ReservedDatabase")

    def test_replay_of_stage_on_switched_database_is_refused(self):
        backup = self.succeeded(self.world.backup())
        staged = self.succeeded(self.world.stage(backup))
        self.succeeded(self.world.switch(staged))
        self.refused(self.world.stage(backup, attempt=2, expect=self.world.expect(staged)), "WrongDatabase")

    def test_stage_that_comes_too_late_makes_nothing(self):
        backup = self.succeeded(self.world.backup())
        second = self.succeeded(self.world.stage(backup, attempt=2))
        with self.subTest("a later attempt has made its copy"):
            before = self.server.databases()
            self.refused(self.world.stage(backup), "Superseded")
            self.assertEqual(self.server.databases(), before)
        with self.subTest("the rollback was taken back"):
            self.succeeded(self.world.switch(second, attempt=2))
            self.succeeded(self.world.switchback(second, attempt=2))
            before = self.server.databases()
            self.refused(self.world.stage(backup), "Superseded")
            self.assertEqual(self.server.databases(), before)

    # ---- names ----
    def test_long_names_do_not_clash(self):
        name = "shop_with_a_name_as_long_as_postgresql_takes_it_and_no_longer__"
        self.assertEqual(len(name), 63)
        self.server.sql(f'alter database shop rename to "{name}"')
        self.world.mover = self.mover = Mover(self.mover.program, self.server, self.world.repository, name)
        backup = self.succeeded(self.world.backup())
        for id in ("aaaaaaaa", "bbbbbbbb"):
            staged = self.succeeded(self.world.stage(backup, id=id))
            self.succeeded(self.world.switch(staged, id=id))
        names = set(self.server.databases())
        self.assertTrue({self.mover.names(1, "aaaaaaaa")["prev"], self.mover.names(1, "bbbbbbbb")["prev"], name} <= names, names)

    def test_name_that_looks_like_a_connection_string(self):
        name = "host=elsewhere dbname='x' it\\''s \"odd\""
        self.server.sql('alter database shop rename to "' + name.replace('"', '""') + '"')
        self.world.mover = self.mover = Mover(self.mover.program, self.server, self.world.repository, name)
        staged = self.staged()
        self.succeeded(self.world.switch(staged))
        prev = self.mover.names()["prev"]
        seen = self.succeeded(self.mover.run("check", names={"prev": prev}))["databases"]
        self.assertEqual(seen, [{"name": name, "oid": staged["stageOid"], "allowConnections": True}, {"name": prev, "oid": staged["liveOid"], "allowConnections": False}])
        self.assertNotIn("databases", self.succeeded(self.mover.run("check")))
        self.succeeded(self.world.switchback(staged))
        self.succeeded(self.mover.run("cleanup", drop=[{"name": self.mover.names()["reverted"], "oid": staged["stageOid"]}]))

    # ---- the backup ----
    def test_truncate_while_dumping_never_gives_an_empty_table(self):
        self.world.app("insert into orders (item) select 'y' from generate_series(1, 200000)")
        over = threading.Event()

        def truncate():
            while not over.is_set():
                subprocess.run([BIN / "psql", "-X", "-c", "set lock_timeout = '50ms'; truncate orders; insert into orders (item) select 'z' from generate_series(1, 500)"],
                               env=self.server.environment("shop", APP, APP_PASSWORD), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                over.wait(0.3)              # a waiting TRUNCATE makes pg_dump's workers give up: a refusal, and not what is looked for
        thread = threading.Thread(target=truncate)
        thread.start()
        try:
            outcomes = [self.world.backup() for _ in range(6)]
        finally:
            over.set()
            thread.join()
        good = [o for o in outcomes if o.ok]
        self.assertTrue(good, outcomes)
        for outcome in good:
            manifest = json.loads((self.world.repository / outcome.result["path"] / "backup-manifest.json").read_text())
            rows = {t["name"]: t["rows"] for t in manifest["stores"][0]["tables"]}["public.orders"]
            self.assertGreater(rows, 0)
            self.succeeded(self.world.stage(outcome.result, id=f"{good.index(outcome):08x}"))

    def test_migration_while_dumping_is_unsettled_and_never_a_target(self):
        self.world.app("create table big as select g, md5(g::text) from generate_series(1, 300000) g")
        client = Client(self.world, "shop")
        self.addCleanup(client.close)
        path = "shop/shop-backup-20261124-990000"
        run = self.mover.start(self.mover.task("backup", repository={"path": path}, backup={"framework": "shop", "version": "1", "store": "database"}))
        while "dumping" not in run.said() and run.process.poll() is None:
            time.sleep(0.005)
        client.say("insert into migrations values ('0003_while_dumping')")
        backup = self.succeeded(run.finish())
        self.assertTrue(backup["unsettled"])
        self.refused(self.world.stage(backup), "BackupUnsettled")

    def test_sequence_behind_the_snapshot_is_the_archives(self):
        client = Client(self.world, "shop")
        self.addCleanup(client.close)
        path = "shop/shop-backup-20261124-980000"
        run = self.mover.start(self.mover.task("backup", repository={"path": path}, backup={"framework": "shop", "version": "1", "store": "database"}))
        while run.process.poll() is None:
            client.say("select count(nextval('orders_id_seq')) from generate_series(1, 100)")
        self.succeeded(self.world.stage(self.succeeded(run.finish())))

    def test_unreadable_table_refuses_the_backup(self):
        self.server.sql("create table private (x int)", "shop")
        outcome = self.world.backup()
        self.refused(outcome, "MayNotRead")
        self.assertIn("private", outcome["message"])

    def test_crash_of_a_backup_leaves_nothing_that_looks_like_one(self):
        run = self.mover.start(self.mover.task("backup", repository={"path": "shop/shop-backup-20261124-970000"}, backup={"framework": "shop", "store": "database"}))
        while "dumping" not in run.said():
            time.sleep(0.005)
        run.process.kill()
        run.finish()
        self.assertEqual([p.name for p in (self.world.repository / "shop").iterdir() if not p.name.startswith(".")], [])
        self.succeeded(self.mover.run("backup", repository={"path": "shop/shop-backup-20261124-970000"}, backup={"framework": "shop", "store": "database"}))
        self.refused(self.mover.run("backup", repository={"path": "shop/shop-backup-20261124-970000"}, backup={"framework": "shop", "store": "database"}), "BackupExists")

    # ---- the schema level ----
    def test_row_security_makes_the_schema_unknown_not_empty(self):
        self.server.sql("alter table migrations owner to postgres; grant select on migrations to shop; alter table migrations enable row level security", "shop")
        self.assertEqual(self.server.value("select count(*) from migrations", "shop", user=APP, password=APP_PASSWORD), "0")
        schema = self.inspect()["live"]["schema"]
        self.assertEqual((schema["state"], schema["digest"]), ("Unknown", ""))
        self.assertIn("row-level security", schema["reason"])

    def test_no_rows_and_errors_are_unknown(self):
        for query, reason in (("select name from migrations where false", "no rows"), ("select nothing from nowhere", "nowhere"),
                              ("select 1; drop table orders", "cannot open multi-query plan"), ("delete from orders returning id", ""), ("\\! touch /tmp/frb-was-here", "syntax error")):
            schema = self.inspect(schema={"query": query})["live"]["schema"]
            self.assertEqual(schema["state"], "Unknown", query)
            self.assertIn(reason, schema["reason"])
        self.assertEqual(self.server.value("select count(*) from orders", "shop"), "50")
        self.assertFalse(os.path.exists("/tmp/frb-was-here"))

    def test_relations_of_schemas(self):
        backup = self.succeeded(self.world.backup())
        look = lambda: self.inspect(repository={"path": backup["path"]}, backup={"store": "database"})["backup"]
        self.assertEqual(look()["schemaRelation"], "Equal")
        self.world.app("alter table orders add column customer text")
        self.assertEqual(look()["schemaRelation"], "Different", "same names, another structure")
        self.world.app("alter table orders drop column customer; insert into migrations values ('0003')")
        self.assertEqual((look()["schemaRelation"], look()["missing"]), ("Different", ["0003"]))
        self.world.app("delete from migrations where name > '0001'")
        self.assertEqual((look()["schemaRelation"], look()["missing"]), ("Subset", []))

    # ---- rights ----
    def test_archive_never_runs_as_superuser(self):
        """The function of a CHECK, run by the restore, tries to make its owner a superuser."""
        self.world.app("create function climb(text) returns boolean language plpgsql as $$ begin reset role; execute 'alter role shop superuser'; return true; "
                       "exception when insufficient_privilege then return true; end $$; create table trap (x text check (climb(x))); insert into trap values ('a')")
        self.succeeded(self.world.stage(self.succeeded(self.world.backup())))
        self.assertEqual(self.server.value("select rolsuper from pg_roles where rolname = 'shop'"), "f")

    def test_missing_role_and_foreign_owner_are_refused_at_plan(self):
        self.server.sql("create role gone; create role other; grant gone, other to shop")
        self.world.app("create table theirs (x int); grant select on theirs to gone; grant create on schema public to other; alter table theirs owner to other")
        backup = self.succeeded(self.world.backup())
        self.server.sql("revoke other from shop")
        self.server.sql("drop owned by gone; drop role gone", "shop")
        report = self.inspect(repository={"path": backup["path"]}, backup={"store": "database"})
        messages = " ".join(b["message"] for b in report["blockers"] if b["code"] == "RoleMissing")
        self.assertIn('"gone"', messages)
        self.assertIn('grant "other" to "shop"', messages)
        self.refused(self.world.stage(backup), "RoleMissing")

    def test_objects_of_others_are_refused_at_plan(self):
        self.assertNotIn("ForeignSchema", self.codes(self.inspect()))
        self.server.sql("create role reports; create schema reports; create table reports.daily (x int); alter table reports.daily owner to reports", "shop")
        said = [b["message"] for b in self.inspect()["blockers"] if b["code"] == "ForeignSchema"]
        self.assertEqual(len(said), 1)
        self.assertIn('1 object(s) of role "reports" in schema reports', said[0])
        self.server.sql("grant reports to shop")
        self.assertNotIn("ForeignSchema", self.codes(self.inspect()), "what the application may act for is the application's")

    def test_rows_are_counted_where_that_is_not_felt(self):
        self.world.app("create table \"Odd name\" (x int); insert into \"Odd name\" values (1), (2); create table empty (x int); create table secret (x int); "
                       "insert into secret values (1)")
        self.server.sql("alter table secret owner to postgres; grant select on secret to shop; alter table secret enable row level security", "shop")
        tables = {t["name"]: (t["rows"], t["exact"]) for t in self.inspect()["live"]["tables"]}
        # One table whose rows are hidden spoils the count of its fifty, never to a wrong number that looks counted.
        self.assertFalse(tables["public.secret"][1])
        self.server.sql("alter table secret disable row level security", "shop")
        tables = {t["name"]: (t["rows"], t["exact"]) for t in self.inspect()["live"]["tables"]}
        self.assertEqual(tables, {"public.migrations": (2, True), "public.orders": (50, True), 'public."Odd name"': (2, True), "public.empty": (0, True),
                                  "public.secret": (1, True)})

    def test_what_only_a_superuser_could_restore_or_set_is_refused_at_plan(self):
        self.server.sql("create function note() returns event_trigger language plpgsql as $$ begin end $$; create event trigger noted on ddl_command_end execute function note(); "
                        "alter role postgres in database shop set work_mem to '8MB'", "shop")
        backup = self.succeeded(self.world.backup())
        look = {"repository": {"path": backup["path"]}, "backup": {"store": "database"}}
        self.assertIn("NeedsSuperuser", self.codes(self.inspect(**look)))
        self.assertIn("MayNotSet", self.codes(self.succeeded(self.mover.run("inspect", admin=False, **look))))
        self.assertNotIn("MayNotSet", self.codes(self.inspect(**look)), "the admin may")

    def test_a_store_the_backup_does_not_hold_is_refused_at_plan(self):
        backup = self.succeeded(self.world.backup())
        self.assertIn("StoreMissing", self.codes(self.inspect(repository={"path": backup["path"]}, backup={"store": "other"})))

    def test_tools_older_than_the_server_are_refused_at_plan(self):
        with tempfile.TemporaryDirectory() as folder:
            tool = pathlib.Path(folder) / "pg_dump"
            tool.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 13.16'\n")
            tool.chmod(0o755)
            report = self.inspect(environment={"PATH": f"{folder}:{BIN}:/usr/bin:/bin"})
        self.assertIn("ServerNewerThanTools", self.codes(report))
        self.assertEqual(report["tools"]["version"], "13.16")

    def test_rights_are_judged(self):
        self.server.sql("alter role shop nocreatedb")
        report = self.succeeded(self.mover.run("inspect", admin=False))
        self.assertEqual(self.codes(report), ["MayNotCreateDatabase", "MayNotRename"])
        self.assertEqual(self.codes(self.inspect()), [], "the admin may")

    def test_space(self):
        self.assertIn("SpaceUnknown", self.codes(self.inspect(postgres=dict(self.mover.task("x")["postgres"], capacityBytes=0))))
        small = dict(self.mover.task("x")["postgres"], capacityBytes=60 << 20)
        self.assertIn("NotEnoughSpace", self.codes(self.inspect(postgres=small)))
        self.refused(self.world.stage(self.succeeded(self.world.backup()), postgres=small), "NotEnoughSpace")
        self.assertNotIn("NotEnoughSpace", self.codes(self.inspect(postgres=dict(small, spaceCheck="Skip"))))

    def test_untrusted_extension_only_if_live_has_it(self):
        self.server.sql("create extension bloom", "shop")
        backup = self.succeeded(self.world.backup())
        self.succeeded(self.world.stage(backup))
        self.server.sql("drop extension bloom", "shop")
        report = self.inspect(repository={"path": backup["path"]}, backup={"store": "database"})
        self.assertEqual(self.codes(report), ["ExtensionMissing"])
        self.failed(self.world.stage(backup, attempt=2), "ExtensionMissing")
        self.succeeded(self.world.stage(backup, attempt=3, extensions=["bloom"]))

    # ---- settings ----
    def test_async_commit_of_the_role_does_not_undo_the_swap(self):
        self.server.sql("alter role postgres set synchronous_commit to off; alter role shop set synchronous_commit to off; alter system set wal_writer_delay to '10s'; select pg_reload_conf()")
        staged = self.staged()
        self.succeeded(self.world.switch(staged))
        self.server.crash_and_restart()
        self.assertEqual(self.server.databases()["shop"], (staged["stageOid"], True))
        self.assertEqual(self.server.value("select count(*) from orders", "shop"), "50")

    def test_odd_settings_of_role_and_database_do_not_change_hashes(self):
        self.world.app("create table odd (t timestamptz, d date, i interval, b bytea, f float8, m money); insert into odd values (now(), now(), '1 mon 2 days', '\\x00ff', 0.1, 3)")
        backup = self.succeeded(self.world.backup())
        for setting in ("TimeZone to 'Asia/Kathmandu'", "DateStyle to 'German'", "IntervalStyle to 'sql_standard'", "bytea_output to 'escape'", "extra_float_digits to -5",
                        "search_path to nowhere", "default_transaction_isolation to 'serializable'"):
            self.server.sql(f"alter role shop set {setting}")
        self.succeeded(self.world.stage(backup, schema={"query": "select name from public.migrations"}, checks=[]))

    # ---- the go token, and being told to end ----
    def test_go_token(self):
        staged = self.staged()
        self.refused(self.world.switch(staged, go="another"), "WrongToken")
        run = self.mover.start(self.mover.task("switch", expect=self.world.expect(staged), names=self.mover.names()))
        while "waiting for go" not in run.said():
            time.sleep(0.01)
        self.assertEqual(self.server.databases()["shop"][0], staged["liveOid"])
        run.process.terminate()
        self.refused(run.finish(), "Cancelled")
        self.refused(self.mover.run("switch", expect=self.world.expect(staged), names=self.mover.names(), deadlineSeconds=1), "NoGo")

    def test_waiting_switch_survives_a_restart_of_the_server(self):
        staged = self.staged()
        run = self.mover.start(self.mover.task("switch", expect=self.world.expect(staged), names=self.mover.names()))
        while "waiting for go" not in run.said():
            time.sleep(0.01)
        self.server.crash_and_restart()
        run.go("tok-switch")
        self.succeeded(run.finish())

    def test_nothing_to_take_back(self):
        staged = self.staged()
        self.assertEqual(self.succeeded(self.world.switchback(staged)), {"liveOid": staged["liveOid"], "revertedOid": 0})

    def test_previous_that_was_cleaned_up(self):
        staged = self.staged()
        self.succeeded(self.world.switch(staged))
        drop = [{"name": self.mover.names()["prev"], "oid": staged["liveOid"]}]
        self.refused(self.mover.run("cleanup", drop=[{"name": "shop", "oid": staged["stageOid"]}]), "LiveDatabase")
        self.refused(self.mover.run("cleanup", drop=[dict(drop[0], oid=staged["stageOid"])]), "WrongDatabase")
        self.assertEqual(self.succeeded(self.mover.run("cleanup", drop=drop))["dropped"], [drop[0]["name"]])
        self.assertEqual(self.succeeded(self.mover.run("cleanup", drop=drop))["dropped"], [])
        self.refused(self.world.switchback(staged), "PreviousMissing")

    # ---- login ----
    def test_logins_that_fail(self):
        self.refused(self.mover.run("inspect", environment={"FRB_APP_PASSWORD": "wrong-secret"}), "WrongPassword")
        outcome = self.mover.run("inspect", postgres=dict(self.mover.task("x")["postgres"], port=free_port()))
        self.refused(outcome, "CannotConnect")
        self.refused(self.mover.run("inspect", postgres=dict(self.mover.task("x")["postgres"], database="nosuch")), "DatabaseMissing")

    def test_secrets_stay_out_of_the_message(self):
        self.world.app("create table k (v text)")
        outcome = self.mover.run("inspect", schema={"query": "select name from migrations where name = 'open-sesame' and 1/0 = 1"}, keys=[{"name": "k"}],
                                 environment={"FRB_KEY_0": "a-key-nobody-may-see"})
        self.assertNotIn("a-key-nobody-may-see", json.dumps(outcome))

    # ---- check ----
    def test_check_of_health_and_invariants(self):
        answers = {"/well": [200], "/late": [503, 503, 200], "/ill": [500] * 100, "/login": [302]}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                left = answers[self.path]
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.send_header("Content-Length", "1000000000000")   # a body that never comes
                self.end_headers()

            def log_message(self, *_):
                pass
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        self.addCleanup(web.server_close)
        self.addCleanup(web.shutdown)
        base = f"http://127.0.0.1:{web.server_address[1]}"
        result = self.succeeded(self.mover.run(
            "check", health=[{"name": "well", "url": base + "/well", "status": [200], "timeoutSeconds": 5}, {"name": "late", "url": base + "/late", "timeoutSeconds": 20},
                             {"name": "ill", "url": base + "/ill", "status": [200], "timeoutSeconds": 2}, {"name": "elsewhere", "url": base + "/login", "timeoutSeconds": 0},
                             {"name": "absent", "url": f"http://127.0.0.1:{free_port()}/", "status": [200], "timeoutSeconds": 0},
                             {"name": "tls", "url": "https://127.0.0.1/", "status": [200], "timeoutSeconds": 0}],
            checks=[{"name": "orders", "query": "select count(*) from orders", "min": 1}, {"name": "many", "query": "select count(*) from orders", "min": 51},
                    {"name": "true", "query": "select true"}, {"name": "false", "query": "select false"}, {"name": "free", "query": "select 'anything'"},
                    {"name": "broken", "query": "select 1/0"}, {"name": "none", "query": "select 1 where false"}]))
        self.assertEqual({h["name"]: h["ok"] for h in result["health"]}, {"well": True, "late": True, "ill": False, "elsewhere": True, "absent": False, "tls": False}, result["health"])
        self.assertEqual({i["name"]: i["ok"] for i in result["invariants"]},
                         {"orders": True, "many": False, "true": True, "false": False, "free": True, "broken": False, "none": False})
        self.assertEqual(result["schema"]["count"], 2)
        alone = self.succeeded(self.mover.run("check", postgres={}, schema={}, checks=[], health=[{"name": "well", "url": base + "/well", "timeoutSeconds": 5}]))
        self.assertEqual((alone["health"][0]["ok"], alone["invariants"]), (True, []), "an application without a database")

    # ---- keys ----
    def test_keys(self):
        keys = [{"name": "same"}, {"name": "other"}, {"name": "literal"}]
        env = {"FRB_KEY_0": "one", "FRB_KEY_1": "two"}
        backup = self.succeeded(self.world.backup(keys=keys, environment=env))
        text = (self.world.repository / backup["path"] / "backup-manifest.json").read_text()
        self.assertNotIn('"one"', text)
        report = self.inspect(keys=keys, environment=dict(env, FRB_KEY_1="changed"), repository={"path": backup["path"]}, backup={"store": "database"})
        self.assertEqual({k["name"]: k["state"] for k in report["keys"]}, {"same": "Match", "other": "Differ", "literal": "Unknown"})


class OtherServer(harness.Case):
    def test_restored_into_a_rebuilt_server(self):
        """A backup outlives its server: only the switch is bound to the server the plan saw."""
        first = harness.World()
        first.server.sql("create database shop owner shop")
        first.app("create table migrations (name text); insert into migrations values ('1'); create table orders (x int); insert into orders values (1)")
        backup = self.succeeded(first.backup())
        first.server.close()
        second = harness.World()
        second.mover.repository = first.repository
        second.server.sql("create database shop owner shop")
        second.app("create table migrations (name text); insert into migrations values ('1'), ('2'); create table orders (x int)")
        staged = self.succeeded(second.stage(backup))
        self.succeeded(second.switch(staged))
        self.assertEqual(second.server.value("select x from orders", "shop"), "1")


if __name__ == "__main__":
    harness.main()
