"""The admission policies: what the runner may not do although RBAC lets it, and who may name Secrets for Jobs."""
import copy
import unittest

import cluster
from cluster import GROUP, admin, eventually, kubectl, path_of

SPACE = "api-test-policies"
RUNNER = f"system:serviceaccount:{SPACE}:rollback-runner"
LABELS = {"app.kubernetes.io/managed-by": "framework-rollback-operator", f"{GROUP}/owner-uid": "8c3f"}
SECURITY = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
POD_SECURITY = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}


def setUpModule():
    cluster.install()
    cluster.namespace(SPACE)
    kubectl("create", "serviceaccount", "rollback-runner", "-n", SPACE)
    kubectl("create", "rolebinding", "rollback-runner", "--clusterrole=rollback-runner", f"--serviceaccount={SPACE}:rollback-runner", "-n", SPACE)
    eventually(lambda: admin().may(RUNNER, "create", "jobs.batch", SPACE), "the opt-in in force")


def job():
    """As reconcilers/jobs/job.cpp makes them; operator_requests_test.cpp sends the very ones."""
    def mount():
        return [{"name": "bin", "mountPath": "/frb/bin"}]
    return {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "frb-8c3f-stage-1", "labels": dict(LABELS), "ownerReferences": [
            {"apiVersion": f"{GROUP}/v1alpha1", "kind": "FrameworkRollback", "name": "r", "uid": "8c3f", "controller": True}]},
        "spec": {"suspend": True, "backoffLimit": 0, "template": {"metadata": {"labels": dict(LABELS)}, "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": False, "securityContext": POD_SECURITY,
            "initContainers": [{"name": "install", "image": "localhost/rollback-mover:dev", "volumeMounts": mount(), "securityContext": dict(SECURITY),
                                "command": ["/rollback-mover", "install", "/frb/bin/rollback-mover"]}],
            "containers": [{"name": "mover", "image": "postgres:15", "volumeMounts": mount(), "securityContext": copy.deepcopy(SECURITY),
                            "command": ["/frb/bin/rollback-mover", "run"]}],
            "volumes": [{"name": "bin", "emptyDir": {}}, {"name": "repository", "persistentVolumeClaim": {"claimName": "backups"}}]}}}}


def pod_of(body):
    return body["spec"]["template"]["spec"]


def main_of(body):
    return pod_of(body)["containers"][0]


def init_of(body):
    return pod_of(body)["initContainers"][0]


# (what is wrong, how to make it wrong, a part of the message)
BAD_JOBS = [
    ("no label", lambda j: (j["metadata"].pop("labels"), j["spec"]["template"].pop("metadata")), "must have the label"),
    ("another manager", lambda j: j["metadata"]["labels"].update({"app.kubernetes.io/managed-by": "Helm"}), "must have the label"),
    ("pods without the label", lambda j: j["spec"]["template"]["metadata"]["labels"].clear(), "must have the label"),
    ("no owner", lambda j: j["metadata"].pop("ownerReferences"), "must be owned by"),
    ("an owner of another group", lambda j: j["metadata"]["ownerReferences"][0].update(apiVersion="apps/v1"), "must be owned by"),
    ("an owner that is not its label's", lambda j: j["metadata"]["ownerReferences"][0].update(uid="other"), "must be owned by"),
    ("not suspended", lambda j: j["spec"].update(suspend=False), "must be created suspended"),
    ("retries", lambda j: j["spec"].update(backoffLimit=3), "backoffLimit 0"),
    ("restarts", lambda j: pod_of(j).update(restartPolicy="OnFailure"), "restartPolicy Never"),
    ("no init container", lambda j: pod_of(j).pop("initContainers"), "must have one init container, with the image localhost/rollback-mover:dev"),
    ("another mover", lambda j: init_of(j).update(image="docker.io/evil/mover:dev"), "must have one init container"),
    ("another command in the mover's image", lambda j: init_of(j).update(command=["/bin/sh"]), "must have one init container"),
    ("arguments", lambda j: init_of(j).update(args=["x"]), "must have one init container"),
    ("a shell", lambda j: main_of(j).update(command=["/bin/sh", "-c", "x"]), "must have one container, with the command"),
    ("the image's own command", lambda j: main_of(j).pop("command"), "must have one container, with the command"),
    ("arguments of the mover", lambda j: main_of(j).update(args=["x"]), "must have one container, with the command"),
    ("a whole Secret as environment", lambda j: main_of(j).update(envFrom=[{"secretRef": {"name": "s"}}]), "must have one container, with the command"),
    ("a program of the image's own", lambda j: main_of(j).pop("volumeMounts"), "must share an emptyDir at /frb/bin"),
    ("a program from a claim", lambda j: main_of(j).update(volumeMounts=[{"name": "repository", "mountPath": "/frb/bin"}]), "must share an emptyDir at /frb/bin"),
    ("a program put over the mover", lambda j: main_of(j)["volumeMounts"].append({"name": "repository", "mountPath": "/frb/bin/rollback-mover"}),
     "must share an emptyDir at /frb/bin"),
    ("a probe", lambda j: main_of(j).update(livenessProbe={"exec": {"command": ["x"]}}), "must have no probes"),
    ("a port of the node", lambda j: main_of(j).update(ports=[{"containerPort": 80, "hostPort": 80}]), "and no ports"),
    ("a second container", lambda j: pod_of(j)["containers"].append(dict(main_of(j), name="second")), "must have one container"),
    ("a token", lambda j: pod_of(j).update(automountServiceAccountToken=True), "automountServiceAccountToken: false"),
    ("a token by default", lambda j: pod_of(j).pop("automountServiceAccountToken"), "automountServiceAccountToken: false"),
    ("another ServiceAccount", lambda j: pod_of(j).update(serviceAccountName="powerful"), "no ServiceAccount of its own"),
    ("a projected token", lambda j: pod_of(j)["volumes"].append({"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}), "never a hostPath"),
    ("the node's files", lambda j: pod_of(j)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}), "never a hostPath"),
    ("an NFS server", lambda j: pod_of(j)["volumes"].append({"name": "n", "nfs": {"server": "s", "path": "/"}}), "never a hostPath"),
    ("the node's network", lambda j: pod_of(j).update(hostNetwork=True), "no hostNetwork"),
    ("the node's processes", lambda j: pod_of(j).update(hostPID=True), "no hostNetwork"),
    ("a node of its choice", lambda j: pod_of(j).update(nodeName="n"), "nodeName"),
    ("privileged", lambda j: main_of(j)["securityContext"].update(privileged=True, allowPrivilegeEscalation=True), "drop all capabilities"),
    ("a capability", lambda j: main_of(j)["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]), "drop all capabilities"),
    ("no security context", lambda j: main_of(j).pop("securityContext"), "drop all capabilities"),
]


class Catalogue(unittest.TestCase):
    """The operator lists folders that a scan found, and takes those entries away; it makes and deletes nobody's wish."""
    path = f"/apis/{GROUP}/v1alpha1/namespaces/{SPACE}/frameworkbackups"
    operator = "system:serviceaccount:rollback-system:rollback-operator"

    def entry(self, name, origin="scan", **spec):
        labels = {f"{GROUP}/origin": origin} if origin else {}
        return {"apiVersion": f"{GROUP}/v1alpha1", "kind": "FrameworkBackup", "metadata": {"name": name, "labels": labels},
                "spec": {"frameworkRef": {"name": "shop"}, **spec}}

    def test_it_creates_entries_of_scans_only(self):
        folder = "shop/shop-backup-20261124-030000"
        for what, body, expected in (("a folder", self.entry("e", path=folder), 201), ("without the label", self.entry("e", None, path=folder), 403),
                                     ("of another origin", self.entry("e", "me", path=folder), 403), ("one that would take a backup", self.entry("e"), 403)):
            with self.subTest(what):
                eventually(lambda: admin().post(self.path + "?dryRun=All", body, user=self.operator)[0] == expected, what)

    def test_it_deletes_entries_of_scans_only(self):
        for name, origin, expected in (("listed", "scan", 200), ("wished-for", None, 403)):
            status, answer = admin().post(self.path, self.entry(name, origin, path="shop/shop-backup-20261124-030000"))
            self.assertEqual(status, 201, answer.get("message"))
            eventually(lambda: admin().send("DELETE", f"{self.path}/{name}?dryRun=All", user=self.operator)[0] == expected, name)
            admin().send("DELETE", f"{self.path}/{name}")


class Jobs(unittest.TestCase):
    path = f"/apis/batch/v1/namespaces/{SPACE}/jobs"

    def test_a_job_of_the_operator_passes(self):
        status, answer = admin().post(self.path + "?dryRun=All", job(), user=RUNNER)
        self.assertEqual(status, 201, answer.get("message"))
        noop = job()
        main_of(noop)["command"] = ["/frb/bin/rollback-mover", "noop"]
        self.assertEqual(admin().post(self.path + "?dryRun=All", noop, user=RUNNER)[0], 201)

    def test_anything_else_is_refused(self):
        for what, spoil, message in BAD_JOBS:
            with self.subTest(what):
                body = job()
                spoil(body)
                status, answer = admin().post(self.path + "?dryRun=All", body, user=RUNNER)
                self.assertEqual(status, 403, answer)
                self.assertIn(message, answer["message"])

    def test_the_policy_is_for_runners_only(self):
        body = job()
        body["metadata"]["name"] = "of-somebody"
        main_of(body)["command"] = ["/bin/sh"]
        self.assertEqual(admin().post(self.path + "?dryRun=All", body)[0], 201)

    def test_of_jobs_the_runner_touches_its_own_only(self):
        mine, foreign = job(), job()
        mine["metadata"]["name"] = "frb-8c3f-mine-1"
        status, owner = admin().post(path_of("FrameworkRollback", SPACE), {
            "apiVersion": f"{GROUP}/v1alpha1", "kind": "FrameworkRollback", "metadata": {"name": "owner"}, "spec": {"frameworkRef": {"name": "f"}, "to": {"version": "1"}}})
        self.assertEqual(status, 201, owner)
        # A Job whose owner is not there is collected as garbage.
        mine["metadata"]["ownerReferences"][0].update(name="owner", uid=owner["metadata"]["uid"])
        mine["metadata"]["labels"][f"{GROUP}/owner-uid"] = owner["metadata"]["uid"]
        foreign["metadata"] = {"name": "foreign", "labels": {"app": "theirs"}}
        self.assertEqual(admin().post(self.path, mine, user=RUNNER)[0], 201)
        self.assertEqual(admin().post(self.path, foreign)[0], 201)
        go = {"spec": {"suspend": False}}
        status, answer = admin().merge(f"{self.path}/foreign", go, user=RUNNER)
        self.assertEqual(status, 403, answer)
        status, answer = admin().send("DELETE", f"{self.path}/foreign", user=RUNNER)
        self.assertEqual(status, 403, answer)
        self.assertIn("touches only what the operator made: jobs foreign lacks the label", answer["message"])
        self.assertEqual(admin().merge(f"{self.path}/{mine['metadata']['name']}", go, user=RUNNER)[0], 200)
        self.assertEqual(admin().merge(f"{self.path}/{mine['metadata']['name']}", {"metadata": {"labels": {f"{GROUP}/owner-uid": None}}}, user=RUNNER)[0], 403)
        self.assertEqual(admin().send("DELETE", f"{self.path}/{mine['metadata']['name']}", user=RUNNER)[0], 200)


class Pods(unittest.TestCase):
    path = f"/api/v1/namespaces/{SPACE}/pods"

    def make(self, name, labels):
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels, "annotations": {f"{GROUP}/go": "", "other": "1"}},
                "spec": pod_of(job())}
        status, answer = admin().post(self.path, body)
        self.assertEqual(status, 201, answer)

    def test_of_a_pod_the_runner_changes_the_go_annotation_only(self):
        self.make("mine", LABELS)
        self.assertEqual(admin().merge(f"{self.path}/mine", {"metadata": {"annotations": {f"{GROUP}/go": "token"}}}, user=RUNNER)[0], 200)
        for change in ({"metadata": {"annotations": {"other": "2"}}}, {"metadata": {"annotations": {"other": None}}}, {"metadata": {"annotations": {"new": "1"}}},
                       {"metadata": {"labels": {"app": "theirs"}}}, {"metadata": {"finalizers": ["example.com/x"]}},
                       {"spec": {"activeDeadlineSeconds": 1}}, {"spec": {"containers": [dict(pod_of(job())["containers"][0], image="evil", imagePullPolicy="IfNotPresent")]}}):
            with self.subTest(change=change):
                status, answer = admin().merge(f"{self.path}/mine", change, user=RUNNER)
                self.assertIn(status, (403, 422), answer)
                self.assertIn("changes nothing but the annotation", answer["message"])

    def test_a_pod_of_somebody_else_is_not_touched(self):
        self.make("foreign", {"app": "theirs"})
        status, answer = admin().merge(f"{self.path}/foreign", {"metadata": {"annotations": {f"{GROUP}/go": "token"}}}, user=RUNNER)
        self.assertEqual(status, 403, answer)
        self.assertIn("pods foreign lacks the label", answer["message"])


class Ledger(unittest.TestCase):
    def test_the_runner_creates_entries_of_the_ledger_only(self):
        path = f"/api/v1/namespaces/{SPACE}/configmaps?dryRun=All"
        entry = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "frb-ledger-00"}, "immutable": True}
        self.assertEqual(admin().post(path, entry, user=RUNNER)[0], 201)
        for change in ({"metadata": {"name": "settings"}}, {"immutable": False}):
            status, answer = admin().post(path, {**entry, **change}, user=RUNNER)
            self.assertEqual(status, 403, answer)
            self.assertIn("entries of the ledger", answer["message"])


class Workloads(unittest.TestCase):
    def make(self, kind, plural):
        name = plural[:-1]
        template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [
            {"name": "app", "image": "app:2", "env": [{"name": "A", "value": "1"}]}, {"name": "side", "image": "side:1"}]}}
        spec, group = {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": template}, "apps/v1"
        if kind == "CronJob":
            template["spec"]["restartPolicy"] = "Never"
            spec, group = {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template}}}, "batch/v1"
        body = {"apiVersion": group, "kind": kind, "metadata": {"name": name, "labels": {"app": "a"}, "annotations": {"old": "1"}}, "spec": spec}
        status, answer = admin().post(f"/apis/{group}/namespaces/{SPACE}/{plural}", body)
        self.assertEqual(status, 201, answer)
        return f"/apis/{group}/namespaces/{SPACE}/{plural}/{name}"

    def patch(self, path, body, user=RUNNER):
        return admin().send("PATCH", path, body, kind="application/strategic-merge-patch+json", user=user)

    def containers(self, **change):
        return {"spec": {"template": {"spec": {"containers": [{"name": "app", **change}]}}}}

    @staticmethod
    def of(cron, change):
        """The change of a pod template, where a CronJob has it."""
        return {"spec": {"jobTemplate": change}} if cron and "spec" in change else change

    def test_policies_fit_the_kinds_they_are_for(self):
        def checked():
            policy = admin().get("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/rollback-runner-workloads")[1]
            status = policy.get("status", {})
            return status if status.get("observedGeneration") == policy["metadata"]["generation"] else None
        status = eventually(checked, "the cluster to have checked the policy's types")
        self.assertEqual(status.get("typeChecking", {}).get("expressionWarnings", []), [])

    def test_replicas_and_images_change_and_nothing_else(self):
        for kind, plural in (("Deployment", "deployments"), ("StatefulSet", "statefulsets"), ("CronJob", "cronjobs")):
            path, cron = self.make(kind, plural), kind == "CronJob"
            self.assertEqual((admin().merge(path, {"spec": {"suspend": True}}, user=RUNNER) if cron else
                              admin().merge(path + "/scale", {"spec": {"replicas": 0}}, user=RUNNER))[0], 200)
            self.assertEqual(self.patch(path, self.of(cron, self.containers(image="app:1")))[0], 200)
            self.assertEqual(self.patch(path, {"metadata": {"annotations": {f"{GROUP}/fence": "uid"}}})[0], 200)
            for change in (self.containers(command=["/bin/sh"]), self.containers(env=[{"name": "A", "value": "2"}]), self.containers(args=["x"]),
                           self.containers(securityContext={"privileged": True}), self.containers(envFrom=[{"secretRef": {"name": "s"}}]),
                           self.containers(lifecycle={"postStart": {"exec": {"command": ["x"]}}}),
                           {"spec": {"template": {"spec": {"containers": [{"name": "new", "image": "evil"}]}}}},
                           {"spec": {"template": {"spec": {"initContainers": [{"name": "new", "image": "evil"}]}}}},
                           {"spec": {"template": {"spec": {"serviceAccountName": "powerful"}}}},
                           {"spec": {"template": {"spec": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}}}},
                           {"spec": {"template": {"spec": {"hostNetwork": True}}}},
                           {"spec": {"template": {"metadata": {"labels": {"new": "1"}}}}},
                           {"metadata": {"annotations": {"new": "1"}}}, {"metadata": {"annotations": {"old": "2"}}}, {"metadata": {"annotations": {"old": None}}},
                           {"metadata": {"finalizers": ["example.com/x"]}}):
                with self.subTest(kind=kind, change=change):
                    status, answer = self.patch(path, self.of(cron, change))
                    self.assertEqual(status, 403, answer)
                    self.assertIn("changes replicas and images only", answer["message"])


class References(unittest.TestCase):
    """A Framework names Secrets for Jobs: for who may create Jobs only."""

    framework = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "Framework", "metadata": {"name": "f"},
                 "spec": {"classRef": {"name": "c"}, "components": [{"name": "m", "workloadRef": {"name": "w"}}]}}
    repository = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "BackupRepository", "metadata": {"name": "b"},
                  "spec": {"volume": {"persistentVolumeClaim": {"claimName": "c"}}}}

    @classmethod
    def setUpClass(cls):
        kubectl("create", "role", "ours-only", "--verb=*", f"--resource=frameworks.{GROUP},backuprepositories.{GROUP}", "-n", SPACE)
        kubectl("create", "rolebinding", "ours-only", "--role=ours-only", "--user=clerk", "-n", SPACE)
        kubectl("create", "rolebinding", "editor", "--clusterrole=edit", "--user=editor", "-n", SPACE)
        eventually(lambda: admin().may("clerk", "create", f"frameworks.{GROUP}", SPACE) and admin().may("editor", "create", f"frameworks.{GROUP}", SPACE),
                   "the roles in force")

    def test_without_the_right_to_create_jobs_none_is_written(self):
        for body in (self.framework, self.repository):
            status, answer = admin().post(path_of(body["kind"], SPACE) + "?dryRun=All", body, user="clerk")
            self.assertEqual(status, 403, answer)
            self.assertIn(f"writing a {body['kind']} decides which Secrets and claims Jobs are given: clerk needs the right to create Jobs in namespace {SPACE}",
                          answer["message"])

    def test_with_it_one_is(self):
        for body in (self.framework, self.repository):
            status, answer = admin().post(path_of(body["kind"], SPACE) + "?dryRun=All", body, user="editor")
            self.assertEqual(status, 201, answer)

    def test_a_spec_is_not_changed_without_it_and_labels_are(self):
        self.assertEqual(admin().post(path_of("Framework", SPACE), {**self.framework, "metadata": {"name": "there"}})[0], 201)
        path = path_of("Framework", SPACE, "there")
        self.assertEqual(admin().merge(path, {"spec": {"classRef": {"name": "other"}}}, user="clerk")[0], 403)
        self.assertEqual(admin().merge(path, {"metadata": {"labels": {"a": "b"}}}, user="clerk")[0], 200)


class OperatorItself(unittest.TestCase):
    def test_it_sets_finalizers_and_changes_no_wish(self):
        operator = cluster.with_token("rollback-system", "rollback-operator")
        body = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "FrameworkRollback", "metadata": {"name": "r"}, "spec": {"frameworkRef": {"name": "f"}, "to": {"version": "1"}}}
        self.assertEqual(admin().post(path_of("FrameworkRollback", SPACE), body)[0], 201)
        path = path_of("FrameworkRollback", SPACE, "r")
        status, answer = operator.merge(path, {"metadata": {"finalizers": [f"{GROUP}/rollback"]}})
        self.assertEqual(status, 200, answer)
        status, answer = operator.merge(path, {"spec": {"abort": True}})
        self.assertEqual(status, 403, answer)
        self.assertIn("the operator changes no spec", answer["message"])
        status, answer = operator.merge(path, {"metadata": {"finalizers": []}})
        self.assertEqual(status, 200, answer)

    def test_it_replaces_a_status_by_metadata_and_status_alone(self):
        operator = cluster.with_token("rollback-system", "rollback-operator")
        body = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "FrameworkRollback", "metadata": {"name": "s"}, "spec": {"frameworkRef": {"name": "f"}, "to": {"version": "1"}}}
        status, made = admin().post(path_of("FrameworkRollback", SPACE), body)
        self.assertEqual(status, 201)
        meta = {k: made["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion")}
        write = {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": meta, "status": {"phase": "Planning", "steps": [{"name": "Plan", "store": ""}]}}
        path = path_of("FrameworkRollback", SPACE, "s") + "/status"
        status, answer = operator.send("PUT", path, write)
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["spec"]["to"], {"version": "1"}, "spec stays")
        self.assertEqual(operator.send("PUT", path, write)[0], 409, "a stale write has no effect")
        write["metadata"] = {**meta, "resourceVersion": answer["metadata"]["resourceVersion"], "uid": "another"}
        self.assertEqual(operator.send("PUT", path, write)[0], 409, "nor has one for another object of that name")
