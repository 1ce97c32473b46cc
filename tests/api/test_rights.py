"""Who may do what: the operator, the runner of a namespace that let it in and of one that did not, people."""
import json
import unittest

import cluster
from cluster import GROUP, ROOT, admin, eventually, kubectl

OPERATOR = "system:serviceaccount:rollback-system:rollback-operator"
IN, OUT = "api-test-in", "api-test-out"
KINDS = ["frameworks", "backuprepositories", "frameworkbackups", "frameworkrollbacks"]

# (verbs, resources): what the operator may do anywhere as itself.
OPERATOR_MAY = [
    ("get list watch", [f"{k}.{GROUP}" for k in [*KINDS, "frameworkclasses"]]),
    ("update patch", [f"{k}.{GROUP}/status" for k in KINDS]),
    ("patch", [f"{k}.{GROUP}" for k in ("frameworks", "frameworkbackups", "frameworkrollbacks")]),
    ("create delete", [f"frameworkbackups.{GROUP}"]),
    ("get list watch", ["pods", "namespaces", "deployments.apps", "statefulsets.apps", "jobs.batch", "cronjobs.batch"]),
    ("create patch", ["events", "events.events.k8s.io"]),
]
OPERATOR_MAY_NOT = [
    ("get list watch create update patch delete", ["secrets", "configmaps", "serviceaccounts"]),
    ("create get", ["pods/exec", "pods/attach", "pods/portforward", "pods/log", "pods/ephemeralcontainers", "serviceaccounts/token"]),
    ("create update patch delete", ["pods", "jobs.batch", "cronjobs.batch", "deployments.apps", "statefulsets.apps", "persistentvolumeclaims", "namespaces"]),
    ("update patch", ["deployments.apps/scale", "statefulsets.apps/scale"]),
    ("create update patch delete bind escalate", [f"{k}.rbac.authorization.k8s.io" for k in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")]),
    ("create update delete", [f"{k}.{GROUP}" for k in ("frameworks", "frameworkrollbacks", "backuprepositories", "frameworkclasses")]),
    ("impersonate", ["users", "groups"]),
]
RUNNER_MAY = [
    ("get list watch create patch delete", ["jobs.batch"]),
    ("get list watch patch", ["pods"]),
    ("get", ["pods/log", "persistentvolumeclaims"]),
    ("get patch", ["deployments.apps", "statefulsets.apps", "cronjobs.batch"]),
    ("get update patch", ["deployments.apps/scale", "statefulsets.apps/scale"]),
    ("get list create", ["configmaps"]),
    ("list", ["horizontalpodautoscalers.autoscaling"]),
]
RUNNER_MAY_NOT = [
    ("get create update patch delete", ["horizontalpodautoscalers.autoscaling"]),
    ("get list watch create update patch delete", ["secrets", "serviceaccounts"]),
    ("create get", ["pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "serviceaccounts/token"]),
    ("create update delete", ["pods", "deployments.apps", "statefulsets.apps", "cronjobs.batch"]),
    ("update patch delete", ["configmaps"]),
    ("create update patch delete", ["persistentvolumeclaims"]),
    ("create update patch delete bind escalate", [f"{k}.rbac.authorization.k8s.io" for k in ("roles", "rolebindings")]),
    ("get list create update patch delete", [f"{k}.{GROUP}" for k in KINDS]),
    ("deletecollection", ["jobs.batch", "pods", "configmaps"]),
]


def runner(space):
    return f"system:serviceaccount:{space}:rollback-runner"


def setUpModule():
    cluster.install()
    for space in (IN, OUT):
        cluster.namespace(space)
    # As documented in manifests/samples.
    kubectl("create", "serviceaccount", "rollback-runner", "-n", IN)
    kubectl("create", "rolebinding", "rollback-runner", "--clusterrole=rollback-runner", f"--serviceaccount={IN}:rollback-runner", "-n", IN)
    eventually(lambda: admin().may(runner(IN), "create", "jobs.batch", IN), "the opt-in in force")


class Tables(unittest.TestCase):
    def ask(self, user, table, expected, space):
        for verbs, resources in table:
            for resource in resources:
                for verb in verbs.split():
                    with self.subTest(user=user, verb=verb, resource=resource, namespace=space):
                        self.assertEqual(admin().may(user, verb, resource, space), expected)

    def test_the_operator_may(self):
        self.ask(OPERATOR, OPERATOR_MAY, True, IN)
        self.ask(OPERATOR, OPERATOR_MAY, True, OUT)

    def test_the_operator_may_not(self):
        self.ask(OPERATOR, OPERATOR_MAY_NOT, False, IN)
        self.ask(OPERATOR, OPERATOR_MAY_NOT, False, "rollback-system")

    def test_the_operator_has_its_lease_and_no_other(self):
        for verb in ("get", "create", "update"):
            self.assertTrue(admin().may(OPERATOR, verb, "leases.coordination.k8s.io", "rollback-system"))
            self.assertFalse(admin().may(OPERATOR, verb, "leases.coordination.k8s.io", IN))

    def test_the_operator_speaks_as_the_runner_and_nobody_else(self):
        self.assertTrue(admin().may(OPERATOR, "impersonate", "serviceaccounts", IN, "rollback-runner"))
        for name in ("default", "rollback-operator", ""):
            self.assertFalse(admin().may(OPERATOR, "impersonate", "serviceaccounts", IN, name))

    def test_the_runner_of_a_namespace_that_let_it_in_may(self):
        self.ask(runner(IN), RUNNER_MAY, True, IN)

    def test_the_runner_may_not(self):
        self.ask(runner(IN), RUNNER_MAY_NOT, False, IN)

    def test_a_runner_nobody_bound_may_nothing(self):
        self.ask(runner(OUT), RUNNER_MAY + RUNNER_MAY_NOT, False, OUT)

    def test_a_runner_may_nothing_in_another_namespace(self):
        self.ask(runner(IN), RUNNER_MAY, False, OUT)

    def test_people(self):
        for role, may, may_not in (("view", "get list watch", "create update patch delete"), ("edit", "get list watch create update patch delete", "")):
            kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}er", "-n", IN)
            table = [(may, [f"{k}.{GROUP}" for k in KINDS])]
            eventually(lambda: admin().may(f"{role}er", "get", f"frameworks.{GROUP}", IN), f"{role} aggregated")
            self.ask(f"{role}er", table, True, IN)
            self.ask(f"{role}er", [(may_not, table[0][1])], False, IN)
        self.assertTrue(admin().may("anybody", "get", f"frameworkclasses.{GROUP}", groups=["system:authenticated"]))
        self.assertFalse(admin().may("editer", "create", f"frameworkclasses.{GROUP}", IN))


class Rules(unittest.TestCase):
    """What is written, not what the authorizer makes of it: no rule of ours opens a door that no table asks about."""

    def test_no_rule_gives_what_nobody_should_have(self):
        roles = []
        for kind in ("clusterroles", "roles"):
            roles += [r for r in admin().get(f"/apis/rbac.authorization.k8s.io/v1/{kind}")[1]["items"] if r["metadata"]["name"].startswith("rollback-")]
        self.assertGreaterEqual(len(roles), 7)
        forbidden = {"secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers", "pods/proxy", "services/proxy", "nodes/proxy",
                     "roles", "rolebindings", "clusterroles", "clusterrolebindings", "serviceaccounts/token",
                     "validatingadmissionpolicies", "validatingadmissionpolicybindings", "customresourcedefinitions"}
        for role in roles:
            for rule in role["rules"]:
                text = json.dumps([role["metadata"]["name"], rule])
                self.assertFalse(forbidden & set(rule.get("resources", [])), text)
                self.assertNotIn("*", rule["verbs"] + rule.get("resources", []) + rule.get("apiGroups", []), text)
                self.assertFalse({"bind", "escalate", "deletecollection"} & set(rule["verbs"]), text)
                if "impersonate" in rule["verbs"]:
                    self.assertEqual((rule["resources"], rule["resourceNames"], rule["verbs"]), (["serviceaccounts"], ["rollback-runner"], ["impersonate"]), text)


class OptIn(unittest.TestCase):
    def test_a_namespaces_admin_may_let_the_operator_in_and_an_editor_may_not(self):
        space = cluster.namespace("api-test-opt-in")
        for role in ("admin", "edit"):
            kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}-of-it", "-n", space)
        binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "rollback-runner"},
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "rollback-runner"},
                   "subjects": [{"kind": "ServiceAccount", "name": "rollback-runner", "namespace": space}]}
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}/rolebindings"
        self.assertEqual(admin().post(path, binding, user="edit-of-it")[0], 403)
        eventually(lambda: admin().post(path + "?dryRun=All", binding, user="admin-of-it")[0] == 201, "the role aggregated to admin")
        status, answer = admin().post(path, binding, user="admin-of-it")
        self.assertEqual(status, 201, answer)
        eventually(lambda: admin().may(runner(space), "create", "jobs.batch", space), "the opt-in in force")


class Operator(unittest.TestCase):
    """With the operator's own token, as it will be."""

    @classmethod
    def setUpClass(cls):
        cls.server = cluster.with_token("rollback-system", "rollback-operator")
        eventually(lambda: cls.server.get(f"{cluster.OURS}/frameworks")[0] == 200, "the operator's rights in force")

    def review(self, space):
        return self.server.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": "create", "group": "batch", "resource": "jobs", "namespace": space}}}, user=runner(space))

    def test_it_asks_as_the_runner_whether_it_was_let_in(self):
        for space, expected in ((IN, True), (OUT, False)):
            status, answer = self.review(space)
            self.assertEqual(status, 201, answer)
            self.assertEqual(answer["status"]["allowed"], expected)

    def test_it_can_speak_as_nobody_else(self):
        for user in ("kubernetes-admin", f"system:serviceaccount:{IN}:default", "system:serviceaccount:kube-system:generic-garbage-collector"):
            self.assertEqual(self.server.get(f"/api/v1/namespaces/{IN}/pods", user=user)[0], 403, user)
        self.assertEqual(self.server.send("GET", f"/api/v1/namespaces/{IN}/pods", user=runner(IN), groups=["system:masters"])[0], 403)

    def test_the_ledger_is_written_where_it_was_let_in_and_nowhere_else(self):
        ledger = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "frb-ledger-0011223344556677"}, "immutable": True}
        for space, expected in ((IN, 201), (OUT, 403)):
            self.assertEqual(self.server.post(f"/api/v1/namespaces/{space}/configmaps?dryRun=All", ledger, user=runner(space))[0], expected)
        self.assertEqual(self.server.post(f"/api/v1/namespaces/{IN}/configmaps?dryRun=All", ledger)[0], 403, "as itself")

    def test_no_secret_can_be_read(self):
        kubectl("create", "secret", "generic", "password", "--from-literal=password=x", "-n", IN)
        for user in (None, runner(IN)):
            self.assertEqual(self.server.get(f"/api/v1/namespaces/{IN}/secrets/password", user=user)[0], 403)
            self.assertEqual(self.server.get(f"/api/v1/namespaces/{IN}/secrets", user=user)[0], 403)


class Deployment(unittest.TestCase):
    def test_it_is_admitted_by_the_restricted_profile(self):
        warned = kubectl("apply", "--dry-run=server", "-k", str(ROOT / "manifests/default"), good=False)
        self.assertNotIn("PodSecurity", warned)
        namespace = admin().get("/api/v1/namespaces/rollback-system")[1]
        self.assertEqual(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted")
        status, deployment = admin().get("/apis/apps/v1/namespaces/rollback-system/deployments/rollback-operator")
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "as-the-operator"}, "spec": deployment["spec"]["template"]["spec"]}
        status, answer = admin().post("/api/v1/namespaces/rollback-system/pods?dryRun=All", pod)
        self.assertEqual(status, 201, answer.get("message"))

    def test_the_image_of_the_mover_is_one_for_operator_and_policy(self):
        overlay = cluster.pathlib.Path(cluster.tempfile.mkdtemp(dir=ROOT / "build"))
        self.addCleanup(lambda: (overlay / "kustomization.yaml").unlink() or overlay.rmdir())
        (overlay / "kustomization.yaml").write_text(
            "resources: [../../manifests/default]\nimages:\n- {name: localhost/rollback-operator, newName: r.example/operator, newTag: v1}\n"
            "- {name: localhost/rollback-mover, newName: r.example/mover, newTag: v1}\n")
        text = kubectl("kustomize", str(overlay))
        self.assertIn("moverImage: r.example/mover:v1", text)
        self.assertIn("image: r.example/operator:v1", text)
        self.assertNotIn("localhost/", text)
