"""What every node test stands on: LAB, the one cluster they share, and ShopTest, whose tests each get a namespace with a shop of its own.

A test file needs no more than

    from node.shop import LAB, ShopTest

    class WishTest(ShopTest):
        def test_a_wish_comes_true(self):
            shop = self.shop()                       # 1.0.0 on its PostgreSQL, opted in, with a repository and a Framework
            shop.upgraded()                          # backed up, and on 2.0.0
            shop.rollback(reason="FailedUpgrade")    # any field of the spec
            self.tidy(shop, kept=[self.ended(shop, "Succeeded")["previous"][0]["name"]])

Test cases run beside each other, in no order. One that disturbs what all share (the operator, its rights, the API server, the class) says
`alone = True` in its class and then runs by itself, after the others; what it needs can be made before, in beforehand().
"""
import json
import re
import unittest

import yaml

from lab.lab import ROOT, Lab, LabError, fetch
from node.eavesdropper import Eavesdropper

LAB = Lab("node-test")
API = "rollback.pa-ecosystem.io/v1alpha1"
LABEL = "rollback-node-test"                     # of the tests' namespaces
MANIFESTS = ROOT / "tests/cluster/demo-app/manifests"
HEARD = Eavesdropper(LAB)                        # what anybody may read, searched for what nobody may


class Shop:
    """A shop in a namespace of its own, with whatever is ours applied by one who is admin of that namespace and no more. `edit` is called
    with every object before it is applied and may change it."""
    AS_OWNER = "--as=owner"

    def __init__(self, namespace, opted_in=True, edit=lambda _: None):
        self.namespace = namespace
        workloads = list(yaml.safe_load_all(LAB.kubectl("kustomize", MANIFESTS)))
        ours = [d for name in ("repository", "framework") + (("opt-in",) if opted_in else ())
                for d in yaml.safe_load_all((ROOT / f"manifests/samples/demo/{name}.yaml").read_text())]
        LAB.apply_text(self._here(workloads, edit))
        LAB.kubectl("create", "rolebinding", "owner", "--clusterrole=admin", "--user=owner", "-n", namespace)
        LAB.apply_text(self._here(ours, edit), self.AS_OWNER)
        for workload in ("statefulset/db", "deployment/shop"):
            LAB.kubectl("rollout", "status", workload, "-n", namespace, "--timeout=300s")
        self.url = LAB.service_url(namespace)

    def _here(self, documents, edit):
        """The objects, moved into this namespace, as YAML."""
        documents = list(yaml.safe_load_all(re.sub(r"namespace: demo\b", f"namespace: {self.namespace}", yaml.safe_dump_all(documents))))
        for document in documents:
            if document["kind"] == "Namespace":
                document["metadata"]["name"] = self.namespace
                document["metadata"].setdefault("labels", {})[LABEL] = "true"
            edit(document)
        return yaml.safe_dump_all(documents)

    # --- what a user does

    def apply(self, kind, name, spec):
        LAB.apply_text(json.dumps({"apiVersion": API, "kind": kind, "metadata": {"name": name, "namespace": self.namespace}, "spec": spec}), self.AS_OWNER)

    def backup(self, name="before"):
        """Takes a backup of what runs now; raises unless it is completed."""
        self.apply("FrameworkBackup", name, {"frameworkRef": {"name": "shop"}, "reason": "PreUpgrade"})
        backup = LAB.backup_done(name, self.namespace)
        if backup["status"]["phase"] != "Completed":
            raise LabError(backup["status"].get("message", "") + LAB.story(self.namespace))
        return backup

    def rollback(self, name="back", **spec):
        self.apply("FrameworkRollback", name, {"frameworkRef": {"name": "shop"}, "to": {"version": "1.0.0"}, **spec})

    def change(self, name="back", **spec):
        """What may be changed of a rollback: suspend and abort."""
        LAB.kubectl("patch", "frameworkrollback", name, "-n", self.namespace, "--type=merge", "-p", json.dumps({"spec": spec}), self.AS_OWNER)

    def runs(self, version):
        """Upgrades (or goes back by hand) and waits until the Framework has seen it."""
        LAB.set_image(version, self.namespace)
        LAB.framework_runs(version, self.namespace)

    def upgraded(self, also=lambda: None):
        """1.0.0 backed up, 2.0.0 running on a migrated database. `also` upgrades what there is besides the shop."""
        LAB.framework_runs("1.0.0", self.namespace)
        self.backup()
        also()
        self.runs("2.0.0")

    # --- what is

    def status(self, name="back"):
        return (LAB.rollback(name, self.namespace) or {}).get("status", {})

    def condition(self, type_, name="back"):
        """A rollback's condition, {} before it has it."""
        return next((c for c in self.status(name).get("conditions", []) if c["type"] == type_), {})

    def step(self, step, name="back"):
        """The journal's line of a step, {} before it began."""
        return next((s for s in self.status(name).get("steps", []) if s["name"] == step), {})

    def reaches(self, step, name="back", timeout=400):
        """Waits until a step is being worked on, or is over."""
        LAB.wait_for(f"step {step} of {self.namespace}/{name}", lambda: self.step(step, name), timeout, 0.1)

    def image(self):
        return LAB.get("deployment", "shop", "-n", self.namespace)["spec"]["template"]["spec"]["containers"][0]["image"]

    def databases(self):
        """name → may be connected to"""
        rows = LAB.sql("select datname, datallowconn from pg_database where not datistemplate and datname <> 'postgres'", "postgres", self.namespace)
        return {name: allowed == "t" for name, allowed in (row.split("|") for row in rows.splitlines())}

    def sql(self, statement, database="shop"):
        return LAB.sql(statement, database, self.namespace)

    def orders(self, database="shop"):
        """The ids of a database's orders. A kept copy is opened to be read, and closed again."""
        closed = not self.databases()[database]
        if closed:
            self.sql(f'alter database "{database}" allow_connections true', "postgres")
        try:
            return {int(i) for i in self.sql("select id from orders", database).split()}
        finally:
            if closed:
                self.sql(f'alter database "{database}" allow_connections false', "postgres")

    def schema(self, database="shop"):
        """The version whose migrations a database has: 2.0.0 made a second one."""
        return {"1": "1.0.0", "2": "2.0.0"}[self.sql("select count(*) from migrations", database)]

    def version(self):
        return json.loads(fetch(self.url + "/version")[1]).get("version")

    def serves(self):
        return fetch(self.url + "/healthz")[0] == 200

    def in_repository(self, *argv):
        """Runs a program where the backups are mounted, in /repository, and returns what it printed."""
        if not LAB.get("pod", "reader", "-n", self.namespace):
            LAB.apply_text(READER.format(name="reader", namespace=self.namespace, claim="backups", path="/repository"))
            LAB.kubectl("wait", "--for=condition=Ready", "pod/reader", "-n", self.namespace, "--timeout=120s")
        return LAB.kubectl("exec", "reader", "-n", self.namespace, "--", *argv)

    def jobs(self, *selector):
        return LAB.items("jobs", "-n", self.namespace, *selector)

    def jobs_unfinished(self):
        return [j["metadata"]["name"] for j in self.jobs()
                if not any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in j["status"].get("conditions", []))]

    def lock(self):
        return LAB.get("framework", "shop", "-n", self.namespace)["status"].get("activeRollback")

    def close(self):
        try:
            HEARD.namespace(self.namespace)     # its Events and logs go with it
        finally:
            LAB.kubectl("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")


# A pod that does nothing, with a claim mounted, to look into or to write to by `kubectl exec`.
READER = """apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: reader
    image: localhost/postgres:15
    imagePullPolicy: IfNotPresent
    command: [sleep, "86400"]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: data, mountPath: {path}}}]
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: {claim}}}}}]
"""


class ShopTest(unittest.TestCase):
    """`alone`: the test disturbs what others share. `long`: it takes minutes, so it begins before the others. `seconds`: how long a rollback may
    take to end."""
    maxDiff = None
    alone = False
    long = False
    seconds = 600
    failed_beforehand = None

    def beforehand(self):
        """Of a test that runs alone: what it needs and disturbs nobody. Done while others run; what it raises is raised in its turn."""

    def setUp(self):
        if self.failed_beforehand:
            raise self.failed_beforehand

    def shop(self, suffix="", **options):
        """A shop in a namespace named after the test."""
        name = self.id().rsplit(".", 1)[1].removeprefix("test_").replace("_", "-")
        shop = Shop(name[:48 - len(suffix)].strip("-") + suffix, **options)
        self.addCleanup(shop.close)
        return shop

    def ended(self, shop, phase, name="back"):
        """Waits for the end of a rollback, which must be in that phase; its status."""
        status = LAB.ended(name, shop.namespace, self.seconds)["status"]
        self.assertEqual(status["phase"], phase, status.get("message", "") + "\n" + LAB.story(shop.namespace))
        return status

    def tidy(self, shop, kept, live=("shop",)):
        """No lock, no unfinished Job, live open, the kept copies closed and no other database left, the application serving."""
        self.assertIsNone(shop.lock())
        LAB.wait_for("Jobs to end", lambda: not shop.jobs_unfinished(), 60)
        self.assertEqual(shop.databases(), {**{name: True for name in live}, **{name: False for name in kept}})
        LAB.wait_for("the application to serve", shop.serves, 30)
