"""afterStage: the class's statements on the staged copy, in one transaction of the application, for rows only."""
import os

import harness
from mover import APP


class AfterStage(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.world = harness.World()
        cls.server, cls.mover = cls.world.server, cls.world.mover
        cls.server.sql("create database shop owner shop; alter database shop set search_path to app, public; alter database shop set timezone to 'Asia/Tokyo'; create role helper; grant helper to shop")
        cls.world.app("""
            create schema app; create table app.migrations (name text); insert into app.migrations values ('0001'), ('0002');
            create table app.executions (id serial primary key, status text not null, ended timestamp);
            insert into app.executions (status) select case when g <= 3 then 'running' else 'done' end from generate_series(1, 10) g;
            create table app.outbox (id int primary key, note text); insert into app.outbox select g, E'it''s \\\\ :ERROR ' || g from generate_series(1, 5) g;
            create table app.parent (id int primary key); insert into app.parent values (1);
            create table app.child (id int references app.parent deferrable initially deferred); insert into app.child values (1);
            create table app.pictures (lo oid); create view app.gallery as select lo from app.pictures; insert into app.pictures values (lo_from_bytea(0, 'large'));
            create procedure app.ends() language plpgsql as 'begin delete from app.outbox; commit; end';
            create function app.note() returns trigger language plpgsql as 'begin new.note := ''by '' || current_user || '' in '' || current_setting(''TimeZone''); return new; end';
            create trigger note before update on app.outbox for each row execute function app.note()""".replace("            ", ""))
        outcome = cls.world.backup(schema={"query": "select name from migrations"}, checks=[])
        assert outcome.ok, outcome
        cls.backup = outcome.result
        cls.world.app("insert into app.executions (status) values ('running')")
        cls.addClassCleanup(cls.server.close)
        cls.attempt = 0

    def stage(self, *statements, **more):
        """One more attempt; the name of its copy is in self.copy. That of the attempt before is dropped by it."""
        AfterStage.attempt += 1
        self.copy = self.mover.names(self.attempt)["stage"]
        return self.world.stage(self.backup, attempt=self.attempt, schema={"query": "select name from migrations"}, checks=[],
                                afterStage=[{"name": f"s{i}", "statement": s} for i, s in enumerate(statements)], **more)

    def read(self, query):
        """Of the copy, which is closed."""
        self.server.sql(f'alter database "{self.copy}" with allow_connections true')
        try:
            return self.server.value(query, self.copy)
        finally:
            self.server.sql(f'alter database "{self.copy}" with allow_connections false')

    def fails(self, *statements, says, **more):
        outcome = self.stage(*statements, **more)
        self.failed(outcome, "AfterStageFailed")
        self.assertIn(says, outcome["message"])
        self.assertIn("live was not touched", outcome["message"])
        self.assertEqual(self.server.value("select count(*) filter (where status = 'running') from app.executions", "shop"), "4")
        return outcome

    # ---- what it is for ----
    def test_rows_are_changed_on_the_copy_and_told(self):
        staged = self.succeeded(self.stage("update executions set status = 'crashed', ended = now() where status = 'running'", "delete from outbox where id > 2 returning *", "select 1 where false"))
        self.assertEqual(staged["afterStage"], [{"name": "s0", "rows": 3}, {"name": "s1", "rows": 3}, {"name": "s2", "rows": 0}])
        self.assertIn("afterStage", staged["phases"])
        self.assertEqual(self.read("select string_agg(status || n, ',' order by status) from (select status, count(*) n from app.executions group by 1) s"), "crashed3,done7")
        self.assertEqual(self.read("select count(*) from app.outbox"), "2")
        self.assertEqual(self.server.databases()[self.copy], (staged["stageOid"], False), "it is closed")
        self.assertEqual(self.server.value("select count(*) filter (where status = 'running') || ' ' || count(*) from app.executions", "shop"), "4 11", "live is as it was")

    def test_without_statements_nothing_is_told(self):
        staged = self.succeeded(self.stage())
        self.assertNotIn("afterStage", staged)
        self.assertNotIn("afterStage", staged["phases"])

    def test_what_was_changed_is_what_is_switched_in(self):
        """In a world of its own: it is switched."""
        world = harness.World()
        self.addCleanup(world.server.close)
        world.server.sql("create database shop owner shop")
        world.app("create table migrations (name text); insert into migrations values ('1'); create table orders (x int); insert into orders values (1), (2)")
        staged = self.succeeded(world.stage(self.succeeded(world.backup()), afterStage=[{"name": "a", "statement": "delete from orders where x = 1"}]))
        self.succeeded(world.switch(staged))
        self.assertEqual(world.server.value("select string_agg(x::text, ',') from orders", "shop"), "2")
        self.succeeded(world.switchback(staged))
        self.assertEqual(world.server.value("select count(*) from orders", "shop"), "2")

    def test_statements_are_the_applications(self):
        """Its role, its search_path and time zone, its triggers; a DO block that looks first; text of any kind."""
        self.succeeded(self.stage("update outbox set note = 'x' where note = E'it''s \\\\ :ERROR 1'",
                                  "do $$ begin if to_regclass('no_such') is not null then delete from no_such; end if; if to_regclass('outbox') is not null then delete from outbox where id = 2; end if; end $$",
                                  "/* ; */ insert into outbox values (77, 'a;b \\! touch /tmp/frb-was-here :''x'' $frb$') -- ; the end"))
        self.assertEqual(self.read("select string_agg(id || ' ' || note, ',' order by id) from app.outbox where id in (1, 2, 77)"),
                         f"1 by {APP} in Asia/Tokyo,77 a;b \\! touch /tmp/frb-was-here :'x' $frb$")

    def test_large_objects_are_rows(self):
        self.succeeded(self.stage("select lo_unlink(lo) from pictures", "delete from pictures"))
        self.assertEqual(self.read("select count(*) from pg_largeobject_metadata"), "0")

    def test_it_runs_as_the_application_also_without_an_admin(self):
        staged = self.succeeded(self.stage("delete from outbox", admin=False))
        self.assertEqual(staged["afterStage"][0]["rows"], 5)

    def test_what_a_statement_set_ends_with_its_session(self):
        self.succeeded(self.stage("set role helper", "reset role", "set search_path to nowhere", "delete from app.outbox", "create temporary table mine as select 1"))
        self.assertEqual(self.read("select count(*) from app.outbox"), "0")

    # ---- what fails ----
    def test_a_statement_that_fails_is_named_and_takes_back_those_before(self):
        outcome = self.fails("delete from outbox", "delete from no_such_table", says='statement "s1" of afterStage failed on the staged copy: relation "no_such_table" does not exist')
        self.assertLess(len(outcome["message"]), 400)
        self.assertEqual(self.server.value("select count(*) from app.outbox", self.copy), "5", "all or nothing")
        AfterStage.attempt += 1       # the next attempt drops what is left of it
        self.succeeded(self.world.stage(self.backup, attempt=self.attempt, schema={"query": "select name from migrations"}, checks=[]))
        self.assertNotIn(self.copy, self.server.databases())

    def test_no_statement_leaves_the_transaction(self):
        for statement, says in (("commit", "EXECUTE of transaction commands"), ("rollback", "EXECUTE of transaction commands"), ("begin", "EXECUTE of transaction commands"),
                                ("end", "EXECUTE of transaction commands"), ("savepoint a", "EXECUTE of transaction commands"), ("prepare transaction 'frb'", "EXECUTE of transaction commands"),
                                ("commit and chain", "EXECUTE of transaction commands"), ("call app.ends()", "invalid transaction termination"),
                                ("do 'begin delete from outbox; commit; end'", "invalid transaction termination"),
                                ("vacuum outbox", "VACUUM"), ("create database elsewhere", "CREATE DATABASE"), ("create index concurrently i on outbox (note)", "CONCURRENTLY"),
                                ("copy outbox to stdout", "COPY")):
            with self.subTest(statement):
                self.fails("delete from outbox", statement, says=says)
                self.assertEqual(self.server.value("select count(*) from app.outbox", self.copy), "5")
        self.assertEqual(self.server.value("select count(*) from pg_prepared_xacts"), "0")

    def test_a_statement_is_exactly_one(self):
        for statement in ("delete from outbox; delete from executions", "delete from outbox; commit; begin; delete from executions", "delete from outbox;;select 1;", "", "-- nothing", ";", "select '\\'; commit"):
            with self.subTest(statement):
                self.fails(statement, says="it is not exactly one statement")
                self.assertEqual(self.server.value("select count(*) from app.outbox", self.copy), "5")
        for statement, says in (("delete from outbox'", "unterminated"), ("\\! touch /tmp/frb-was-here", "syntax error"), ("delete from outbox /*", "unterminated"), ("end $$; commit; do $$ begin", "syntax error")):
            with self.subTest(statement):
                self.fails(statement, says=says)
        self.assertFalse(os.path.exists("/tmp/frb-was-here"))
        self.assertEqual(self.succeeded(self.stage("delete from outbox;"))["afterStage"][0]["rows"], 5, "a semicolon at its end is none too many")

    def test_deferred_constraints_are_judged(self):
        self.fails("delete from parent", says="committing the statements of afterStage failed on the staged copy")
        self.succeeded(self.stage("delete from parent", "delete from child"))

    def test_it_is_for_rows_not_for_the_schema(self):
        for statement, says in (("alter table outbox add column x int", "column app.outbox.x integer"), ("create table app.added (x int)", "app.added"), ("drop table outbox", "app.outbox"),
                                ("create index on outbox (note)", "outbox_note_idx"), ("alter sequence executions_id_seq increment 2", "executions_id_seq"),
                                ("grant select on outbox to public", "app.outbox"), ("alter table outbox enable row level security", "app.outbox"),
                                ("create function app.added() returns int language sql as 'select 1'", "app.added()"), ("create extension hstore schema public", "extension hstore"),
                                ("alter table outbox disable trigger note", "outbox note D"), ("alter table outbox set (fillfactor = 50)", "table app.outbox"),
                                ("create or replace function app.note() returns trigger language plpgsql as 'begin return null; end'", "note()"),
                                ("create or replace view app.gallery as select lo from app.pictures where lo is not null", "gallery _RETURN"),
                                ("create or replace rule quiet as on delete to app.child do instead nothing", "child quiet"),
                                ("insert into migrations values ('0003')", "schema level 0003"), ("delete from migrations", "schema level")):
            with self.subTest(statement):
                self.fails(statement, says=says)
        self.succeeded(self.stage("insert into executions (status) values ('crashed')", "truncate outbox", "select setval('executions_id_seq', 100)"))

    def test_a_statement_that_does_not_end_meets_the_deadline(self):
        outcome = self.stage("select pg_sleep(600)", deadlineSeconds=10)
        self.assertEqual(outcome["outcome"], "Failed")
        self.assertIn(outcome["code"], ("Timeout", "DeadlineExceeded"))
        self.assertIn('statement "s0" of afterStage', outcome["message"])


if __name__ == "__main__":
    harness.main()
