"""The definitions: every field is documented, bounded, and shown as promised; every rule of theirs refuses what it should."""
import datetime
import json
import re
import unittest

import cluster
from cluster import GROUP, PLURALS, admin, documents, kubectl, path_of

SPACE = "api-test-definitions"
SHORT = {"frameworkclasses": "fwc", "frameworks": "fwk", "backuprepositories": "fbr", "frameworkbackups": "fbk", "frameworkrollbacks": "frb"}
COLUMNS = {
    "fwc": ("NAME COMPONENT STORE DRIVER AGE", ""),
    "fwk": ("NAME CLASS VERSION HEALTHY ROLLBACK AGE", "READY BACKUP MESSAGE"),
    "fbr": ("NAME CLAIM PATH BACKUPS SCANNED READY AGE", "MESSAGE"),
    "fbk": ("NAME FRAMEWORK VERSION PHASE RESTORES BYTES VERIFIED TAKEN", "AGE READY PATH REASON MESSAGE"),
    "frb": ("NAME FRAMEWORK FROM TO PHASE STEP PROGRESS DOWNTIME(MS) AGE", "READY BACKUP MESSAGE"),
}


def setUpModule():
    cluster.install()
    cluster.namespace(SPACE)


def definitions():
    status, answer = admin().get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    assert status == 200, answer
    return [d for d in answer["items"] if d["spec"]["group"] == GROUP]


def schema_of(definition):
    return definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def walk(schema, path=""):
    """Every schema node below, with its path."""
    yield path, schema
    for name, node in schema.get("properties", {}).items():
        if path == "" and name in ("apiVersion", "kind", "metadata"):
            continue
        yield from walk(node, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from walk(schema["items"], path + "[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from walk(schema["additionalProperties"], path + "{}")


class Reference(unittest.TestCase):
    """kubectl explain is the reference."""

    def test_every_field_has_a_description_in_what_explain_reads(self):
        cluster.eventually(lambda: "components" in admin().get(f"/openapi/v3{cluster.OURS}")[1], "the OpenAPI of our group published")
        published = admin().get(f"/openapi/v3{cluster.OURS}")[1]["components"]["schemas"]
        for kind in PLURALS:
            schema = next(s for s in published.values() if any(g["kind"] == kind for g in s.get("x-kubernetes-group-version-kind", [])))
            missing = [kind + path for path, node in walk(schema) if not node.get("description", "").strip()]
            self.assertEqual(missing, [], "fields without a description")

    def test_explain_prints_them(self):
        for kind, field in (("frb", "spec.to"), ("fwk", "spec.stores.postgres"), ("fwc", "spec.rules"), ("fbr", "spec"), ("fbk", "status.verified")):
            text = cluster.eventually(lambda: kubectl("explain", f"{kind}.{field}", good=False), f"kubectl explain {kind}.{field}")
            self.assertNotIn("<no description>", text.replace("<no description available>", "<no description>"))
            self.assertIn("DESCRIPTION", text)

    def test_every_string_list_and_map_is_bounded(self):
        loose = []
        for definition in definitions():
            for path, node in walk(schema_of(definition)):
                bounded = "enum" in node or "maxLength" in node or node.get("format") == "date-time"
                if (node.get("type") == "string" or node.get("x-kubernetes-int-or-string")) and not bounded:
                    loose.append(definition["metadata"]["name"] + path)
                if node.get("type") == "array" and "maxItems" not in node:
                    loose.append(definition["metadata"]["name"] + path)
                if isinstance(node.get("additionalProperties"), dict) and "maxProperties" not in node:
                    loose.append(definition["metadata"]["name"] + path)
        self.assertEqual(loose, [])

    def test_no_field_keeps_what_it_does_not_know(self):
        for definition in definitions():
            self.assertNotIn("x-kubernetes-preserve-unknown-fields", json.dumps(definition["spec"]["versions"]))


class Names(unittest.TestCase):
    def test_names_scopes_and_subresources(self):
        for definition in definitions():
            names, plural = definition["spec"]["names"], definition["spec"]["names"]["plural"]
            self.assertEqual(names["shortNames"], [SHORT[plural]])
            self.assertEqual(definition["spec"]["scope"], "Cluster" if plural == "frameworkclasses" else "Namespaced")
            # Never `all`: kubectl delete all --all must not take backups along. Never the name of a kind: kubectl takes a category
            # first, so `kubectl get frameworks NAME` would fail and `kubectl delete frameworks --all` delete everything of ours. And
            # classes are of the cluster: deleting by category in one namespace must not take them along.
            self.assertEqual(names.get("categories", []), [] if plural == "frameworkclasses" else ["framework-rollback"])
            subresources = definition["spec"]["versions"][0].get("subresources", {})
            self.assertEqual("status" in subresources, plural != "frameworkclasses")

    def test_columns(self):
        for path in sorted((cluster.FIXTURES / "good").glob("*.yaml")):
            for text, marks, kind, name in documents(path):
                if "update" not in marks:
                    admin().post(path_of(kind, SPACE) + "?fieldManager=test", text, kind="application/yaml")
        for short, (normal, wide) in COLUMNS.items():
            self.assertEqual(kubectl("get", short, "-n", SPACE).splitlines()[0].split(), normal.split())
            self.assertEqual(kubectl("get", short, "-n", SPACE, "-o", "wide").splitlines()[0].split(), (normal + " " + wide).split())

    def test_columns_show_what_happened(self):
        body = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "FrameworkRollback", "metadata": {"name": "shown"},
                "spec": {"frameworkRef": {"name": "shop"}, "to": {"version": "1.0.0"}}}
        status, made = admin().post(path_of("FrameworkRollback", SPACE), body)
        self.assertEqual(status, 201, made)
        made["status"] = {
            "phase": "Verifying", "step": "Verify", "progress": "7/8", "from": {"version": "2.0.0"}, "to": {"version": "1.0.0"}, "message": "soaking",
            "downtime": {"startedAt": "2026-11-24T00:00:00Z", "milliseconds": 2345}, "plan": {"backup": {"path": "shop/shop-backup-1"}},
            "conditions": [{"type": "Ready", "status": "Unknown", "reason": "Verify", "message": "", "lastTransitionTime": "2026-11-24T00:00:00Z"}]}
        status, answer = admin().send("PUT", path_of("FrameworkRollback", SPACE, "shown") + "/status", made)
        self.assertEqual(status, 200, answer)
        row = kubectl("get", "frb", "shown", "-n", SPACE, "-o", "wide", "--no-headers").split()
        self.assertEqual(row[:8], ["shown", "shop", "2.0.0", "1.0.0", "Verifying", "Verify", "7/8", "2345"])
        self.assertEqual(row[9:], ["Unknown", "shop/shop-backup-1", "soaking"])

    def test_a_backup_is_as_old_as_its_data_not_as_its_entry(self):
        body = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "FrameworkBackup", "metadata": {"name": "old"}, "spec": {"frameworkRef": {"name": "shop"}}}
        status, made = admin().post(path_of("FrameworkBackup", SPACE), body)
        self.assertEqual(status, 201, made)
        taken = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=40, hours=1)
        made["status"] = {"phase": "Completed", "version": "1.0.0", "createdAt": taken.strftime("%Y-%m-%dT%H:%M:%SZ")}
        status, answer = admin().send("PUT", path_of("FrameworkBackup", SPACE, "old") + "/status", made)
        self.assertEqual(status, 200, answer)
        self.assertEqual(kubectl("get", "fbk", "old", "-n", SPACE, "--no-headers").split()[-1], "40d")

    def test_the_category_lists_every_kind_of_a_namespace(self):
        self.test_columns()
        listed = kubectl("get", "framework-rollback", "-n", SPACE, "-o", "name")
        for kind in PLURALS:
            self.assertEqual(kind.lower() + "." in listed, kind != "FrameworkClass", listed)
        for short in SHORT.values():
            self.assertNotIn("error", kubectl("get", short, "-n", SPACE, good=False))

    def test_the_plural_of_a_kind_means_that_kind_alone(self):
        self.test_columns()
        self.assertEqual(kubectl("get", "frameworks", "full", "-n", SPACE, "-o", "name").strip(), f"framework.{GROUP}/full")


class Rules(unittest.TestCase):
    """The tables fixtures/good and fixtures/bad."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.space = cluster.namespace("api-test-rules")
        for name in ("fixture", "fixture-least"):                    # of the cluster: what another test made, or an earlier run
            admin().send("DELETE", path_of("FrameworkClass", "", name))
            cls.addClassCleanup(admin().send, "DELETE", path_of("FrameworkClass", "", name))
        for path in sorted((cluster.FIXTURES / "good").glob("*.yaml")):
            for text, marks, kind, name in documents(path):
                if "update" in marks:
                    continue
                status, answer = admin().post(path_of(kind, cls.space) + "?fieldValidation=Strict", text, kind="application/yaml")
                if status == 201 and "status" in marks:
                    status, answer = admin().send("PUT", path_of(kind, cls.space, name) + "/status", {**answer, "status": json.loads(marks["status"])})
                if status not in (200, 201):
                    raise AssertionError(f"{path.name}: {name} was refused: {answer.get('message')}")

    def put(self, text, kind, name):
        """Replaces the object by what the fixture says, as a dry run."""
        live = admin().get(path_of(kind, self.space, name))[1]
        body = re.sub(r"^metadata: \{", f'metadata: {{resourceVersion: "{live["metadata"]["resourceVersion"]}", ', text, flags=re.MULTILINE)
        return admin().send("PUT", path_of(kind, self.space, name) + "?dryRun=All&fieldValidation=Strict", body, kind="application/yaml")

    def test_good_updates_pass(self):
        for path in sorted((cluster.FIXTURES / "good").glob("*.yaml")):
            for text, marks, kind, name in documents(path):
                if "update" in marks:
                    status, answer = self.put(text, kind, name)
                    self.assertEqual(status, 200, answer.get("message"))

    def test_an_unchanged_object_passes(self):
        for path in sorted((cluster.FIXTURES / "good").glob("*.yaml")):
            for text, marks, kind, name in documents(path):
                if "update" not in marks:
                    status, answer = self.put(text, kind, name)
                    self.assertEqual(status, 200, f"{kind} {name}: {answer.get('message')}")

    def test_bad_examples_are_refused_with_their_message(self):
        for path in sorted((cluster.FIXTURES / "bad").glob("*.yaml")):
            for text, marks, kind, name in documents(path):
                with self.subTest(file=path.name, name=name, refused=marks["refused"]):
                    if "update" in marks:
                        status, answer = self.put(text, kind, name)
                    else:
                        status, answer = admin().post(path_of(kind, self.space) + "?dryRun=All&fieldValidation=Strict", text, kind="application/yaml")
                    self.assertIn(status, (400, 422), f"was accepted:\n{text}")
                    self.assertIn(marks["refused"], answer["message"])

    def test_every_rule_has_a_bad_example(self):
        refused = [marks["refused"] for path in (cluster.FIXTURES / "bad").glob("*.yaml") for _, marks, _, _ in documents(path)]
        for definition in definitions():
            for path, node in walk(schema_of(definition)):
                for rule in node.get("x-kubernetes-validations", []):
                    self.assertTrue(any(r in rule["message"] for r in refused if len(r) > 15), f"{definition['metadata']['name']}{path}: no bad example of: {rule['message']}")

    def test_every_field_of_a_spec_has_a_good_example(self):
        """A definition and its examples do not drift apart."""
        text = "\n".join(path.read_text() for path in (cluster.FIXTURES / "good").glob("*.yaml"))
        for definition in definitions():
            for path, _ in walk(schema_of(definition)):
                field = re.sub(r"[\[\]{}]", "", path).split(".")[-1]
                if path.startswith(".spec") and field:
                    self.assertRegex(text, rf"\b{field}:", f"{definition['metadata']['name']}{path}")


class Defaults(unittest.TestCase):
    def test_defaults_are_those_of_the_code(self):
        space = cluster.namespace("api-test-defaults")

        def made(kind, spec):
            status, answer = admin().post(path_of(kind, space) + "?dryRun=All", {
                "apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": spec})
            self.assertEqual(status, 201, answer)
            return answer["spec"]
        rollback = made("FrameworkRollback", {"frameworkRef": {"name": "f"}, "to": {"version": "1"}, "verification": {}})
        self.assertEqual(rollback, {"frameworkRef": {"name": "f"}, "to": {"version": "1"}, "reason": "Manual", "mode": "Execute", "keepPreviousFor": "24h", "onFailure": "Revert",
                                    "timeoutSeconds": 3600, "verification": {"soakSeconds": 0}})
        backup = made("FrameworkBackup", {"frameworkRef": {"name": "f"}})
        self.assertEqual(backup, {"frameworkRef": {"name": "f"}, "reason": "Manual", "deletionPolicy": "Retain"})
        repository = made("BackupRepository", {"volume": {"persistentVolumeClaim": {"claimName": "c"}}})
        self.assertEqual(repository["path"], "/")
        framework = made("Framework", {"classRef": {"name": "c"}, "policy": {}, "components": [{"name": "m", "workloadRef": {"name": "w"}}], "stores": [
            {"name": "d", "postgres": {"host": "h", "database": "b", "credentialsSecretRef": {"name": "s"}, "adminSecretRef": {"name": "a"},
                                       "tls": {"caSecretRef": {"name": "t"}}, "tools": {"image": "i"}}}]})
        self.assertEqual(framework["components"][0]["workloadRef"]["kind"], "Deployment")
        self.assertEqual(framework["policy"], {"maxDataLoss": "24h", "retainHistory": 20})
        postgres = framework["stores"][0]["postgres"]
        keys = {"usernameKey": "username", "passwordKey": "password"}
        self.assertEqual(postgres, {"host": "h", "port": 5432, "database": "b", "maintenanceDatabase": "postgres", "tools": {"image": "i"}, "otherClients": "Refuse",
                                    "credentialsSecretRef": {"name": "s", **keys}, "adminSecretRef": {"name": "a", **keys},
                                    "tls": {"mode": "prefer", "caSecretRef": {"name": "t", "key": "ca.crt"}}})
