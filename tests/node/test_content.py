"""A database with one of everything (tests/mover/fixture.py) and two pods of the application that write all the time, also while it is dumped."""
import re
import sys

from lab.lab import ROOT, Acknowledged
from node.shop import LAB, ShopTest

sys.path.insert(0, str(ROOT / "tests/mover"))
import fixture                                   # noqa: E402

# The shop's own tables come first on its path, beside those of the fixture.
DATABASE = fixture.DATABASE.format(name="shop").replace("search_path to app, \"Odd Schema\", public", "search_path to public, app, \"Odd Schema\"")
TABLES = """select quote_ident(nspname) || '.' || quote_ident(relname) from pg_class c join pg_namespace n on n.oid = relnamespace
 where relkind in ('r', 'p') and nspname in ('app', 'Odd Schema', 'reports') and relpersistence = 'p' and not relispartition order by 1"""
OBJECTS = {
    "large objects": "select md5(string_agg(oid::text || coalesce(lomacl::text, '') || encode(lo_get(oid), 'hex'), ',' order by oid)) from pg_largeobject_metadata",
    "sequences": "select string_agg(format('%s.%s %s', schemaname, sequencename, last_value), ',' order by schemaname, sequencename) from pg_sequences where schemaname <> 'public'",
    "owners and rights": "select md5(string_agg(format('%s %s %s', oid::regclass, relowner::regrole, relacl), ',' order by oid::regclass::text)) from pg_class"
                         " where relnamespace in ('app'::regnamespace, '\"Odd Schema\"'::regnamespace, 'reports'::regnamespace)",
    "default privileges": "select md5(string_agg(t, ',' order by t)) from (select format('%s %s %s', defaclrole::regrole, defaclobjtype, defaclacl) t from pg_default_acl) x",
    "row policies": "select md5(string_agg(t, ',' order by t)) from"
                    " (select format('%s %s %s', polname, polrelid::regclass, pg_get_expr(polqual, polrelid)) t from pg_policy) x",
    "extensions": "select string_agg(format('%s %s %s', extname, extversion, extnamespace::regnamespace), ',' order by extname) from pg_extension",
    "database": "select format('%s %s %s %s %s %s %s %s', pg_encoding_to_char(encoding), datlocprovider, daticulocale, datcollate, datctype, datdba::regrole, datconnlimit,"
                " (select array_agg(a::text order by a::text) from unnest(datacl) a))"
                " from pg_database where datname = current_database()",
    "settings": "select string_agg(t, ',' order by t) from (select format('%s %s', setrole::regrole, (select array_agg(c order by c) from unnest(setconfig) c)) t from pg_db_role_setting where setdatabase ="
                " (select oid from pg_database where datname = current_database())) x",
    "collations": "select string_agg(format('%s %s %s', collname, collprovider, colliculocale), ',' order by collname) from pg_collation where collnamespace = 'app'::regnamespace",
}


class ContentTest(ShopTest):
    @staticmethod
    def edit(document):
        if document["kind"] == "Deployment":
            document["spec"]["replicas"] = 0                                     # until its database is there
        if document["kind"] == "Framework":
            admin = {"name": "db", "usernameKey": "admin-username", "passwordKey": "admin-password"}
            document["spec"]["stores"][0]["postgres"]["adminSecretRef"] = admin    # bloom is no extension for everybody

    def as_shop(self, shop, text):
        LAB.kubectl("exec", "-i", "db-0", "-n", shop.namespace, "--", "env", "PGPASSWORD=open-sesame", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
                    "-U", "shop", "-d", "shop", input=text)

    def build(self, shop):
        for text, database in (("drop database shop;" + fixture.ROLES + DATABASE, "postgres"), (fixture.PRIVILEGED, "shop")):
            LAB.kubectl("exec", "-i", "db-0", "-n", shop.namespace, "--", "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "/var/run/postgresql", "-U", "postgres",
                        "-d", database, input=text)
        self.as_shop(shop, fixture.CONTENT)
        self.as_shop(shop, fixture.STALE)
        LAB.kubectl("scale", "deployment/shop", "--replicas=2", "-n", shop.namespace)
        LAB.kubectl("rollout", "status", "deployment/shop", "-n", shop.namespace, "--timeout=240s")

    def content(self, shop):
        """What is compared: every table's rows, everything in OBJECTS, and the schema as pg_dump tells it."""
        found = {name: shop.sql(query) for name, query in OBJECTS.items()}
        for table in shop.sql(TABLES).splitlines():
            found[table] = shop.sql(f"select count(*) || ' rows, ' || coalesce(md5(string_agg(t::text, ',' order by t::text)), '') from {table} t")
        dumped = LAB.kubectl("exec", "db-0", "-n", shop.namespace, "--", "pg_dump", "-h", "/var/run/postgresql", "-U", "postgres", "--schema-only", "--create", "shop")
        # What a dump and restore are known to write differently without meaning anything else.
        dumped = re.sub(r"::(character varying|text)(\[\])?|[()]", "", dumped)
        found["schema"] = sorted(line for line in dumped.splitlines() if line and not line.startswith("--") and "restrict" not in line)
        return found

    def test_everything_in_a_database_comes_back_and_two_clients_lose_nothing(self):
        shop = self.shop(edit=self.edit)
        self.build(shop)
        with Acknowledged(LAB, shop.namespace) as acknowledged:
            LAB.framework_runs("1.0.0", shop.namespace)
            shop.backup()
            before = self.content(shop)
            self.assertTrue(before["large objects"] and before["row policies"] and before["settings"], before)
            shop.runs("2.0.0")
            self.as_shop(shop, "delete from app.lines; update app.orders set note = 'spoilt'; drop table reports.daily;")
            LAB.wait_for("both clients to write", lambda: sum(1 for ids in acknowledged.by_pod.values() if ids) >= 4, 60)
            old = list(acknowledged.by_pod)
            shop.rollback()
            status = self.ended(shop, "Succeeded")
            LAB.wait_for("both clients to write again", lambda: sum(1 for p, ids in acknowledged.by_pod.items() if ids and p not in old) >= 2, 60)
        kept = status["previous"][0]["name"]
        self.tidy(shop, [kept])
        after = self.content(shop)
        self.assertEqual({k: v for k, v in after.items() if v != before[k]}, {k: v for k, v in before.items() if v != after[k]})
        self.assertEqual(LAB.get("deployment", "shop", "-n", shop.namespace)["spec"]["replicas"], 2)
        self.assertLessEqual(set(acknowledged.ids(*old)), shop.orders(kept))
        self.assertLessEqual(set(acknowledged.ids(*[p for p in acknowledged.by_pod if p not in old])), shop.orders())
