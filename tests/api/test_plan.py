"""Plan, by the operator's own program with its ServiceAccount's token, on a real API server: what it writes is a status the
definitions let through, a refusal says so before a Job or anything else exists, and what it needs to read it may read.

No kubelet runs here; a thread answers for the pods of read-only Jobs as the mover would."""
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import time
import unittest

import cluster
from cluster import GROUP, ROOT, Server, admin, kubectl, path_of

IN, OUT = "api-test-plan", "api-test-plan-out"
BUILD = pathlib.Path(os.environ.get("FROLLBACK_BUILD", ROOT / "build" / os.environ.get("PRESET", "release")))
PATH, DIGEST = "shop/shop-backup-20261124-030000", "sha256:" + "b" * 64
PATIENCE = 180                       # dozens of requests of an operator on a machine that compiles beside it
OLD, NEW = {"count": 1, "digest": "sha256:old", "structureDigest": "sha256:old-structure"}, {"count": 2, "digest": "sha256:new", "structureDigest": "sha256:new-structure"}


def inspected(framework):
    if framework == "locked":
        return {"outcome": "Refused", "code": "WrongPassword", "message": "connecting to database shop at db as shop: password authentication failed"}
    manifest = {"framework": framework, "current_version": "1.0.0", "createdAt": "2026-11-24T03:00:00Z", "unsettled": False, "images": [],
                "stores": [{"name": "database", "schema": OLD, "tables": [{"name": "public.orders", "rows": 100}]}]}
    return {"outcome": "Succeeded", "result": {
        "server": {"version": "15.18", "systemIdentifier": "7000"}, "space": {"known": True, "required": 1000, "available": 100000}, "keys": [], "blockers": [],
        "sessions": [{"user": "shop", "application": "app", "address": "10.0.0.1", "count": 2}],
        "live": {"name": "shop", "oid": 16385, "sizeBytes": 2000, "schema": dict(NEW, state="Known"), "tables": [{"name": "public.orders", "rows": 120, "exact": True}]},
        "backup": {"found": True, "complete": True, "digest": DIGEST, "sizeBytes": 500, "schemaRelation": "Different", "missing": ["drop_note"], "manifest": manifest}}}


class Kubelet(threading.Thread):
    """Ends every pod of ours as the mover in it would."""

    def __init__(self):
        super().__init__(daemon=True)
        self.server, self.stop, self.tasks = Server(admin().base), threading.Event(), []

    def run(self):
        while not self.stop.wait(0.2):
            pods = self.server.get(f"/api/v1/namespaces/{IN}/pods?labelSelector=app.kubernetes.io/managed-by%3Dframework-rollback-operator")[1].get("items", [])
            for pod in pods:
                if pod["status"].get("phase") == "Pending":
                    self.end(pod)

    def end(self, pod):
        text = pod["metadata"].get("annotations", {}).get(f"{GROUP}/task")
        said = ""
        if text:
            task = json.loads(text)
            self.tasks.append(task)
            answer = inspected(pod["metadata"]["labels"][f"{GROUP}/framework"]) if task["verb"] == "inspect" else {
                "outcome": "Succeeded", "result": {"digest": DIGEST, "files": 3, "bytes": 500, "manifest": {"framework": "shop"}}}
            answer = {"code": "", "message": "", **answer, "token": task["token"]}
            if "result" in answer:
                answer["resultSize"] = len(json.dumps(answer["result"]))
            said = json.dumps(answer)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        ended = {"terminated": {"exitCode": 0, "reason": "Completed", "message": said, "startedAt": now, "finishedAt": now}}
        self.server.merge(f"/api/v1/namespaces/{IN}/pods/{pod['metadata']['name']}/status", {"status": {"phase": "Succeeded", "containerStatuses": [
            {"name": c["name"], "image": c["image"], "imageID": "", "ready": False, "restartCount": 0, "state": ended} for c in pod["spec"]["containers"]]}})


def create(path, body, good=(201,)):
    status, answer = admin().post(path, body)
    assert status in good, answer
    return answer


def ours(kind, name, spec, space=IN):
    return create(path_of(kind, space), {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})


def claim(name, space=IN, capacity=None, **meta):
    create(f"/api/v1/namespaces/{space}/persistentvolumeclaims", {"metadata": {"name": name, **meta}, "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}}, (201, 409))
    if capacity:                                          # by a volume: of a claim without one the controller takes every status away
        path = f"/api/v1/namespaces/{space}/persistentvolumeclaims/{name}"
        storage_class = admin().get(path)[1]["spec"].get("storageClassName", "")
        unittest.addModuleCleanup(admin().send, "DELETE", f"/api/v1/persistentvolumes/{space}-{name}")
        create("/api/v1/persistentvolumes", {"metadata": {"name": f"{space}-{name}"}, "spec": {
            "capacity": {"storage": capacity}, "accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": "/nowhere"}, "claimRef": {"namespace": space, "name": name}}}, (201, 409))
        cluster.eventually(lambda: admin().get(path)[1].get("status", {}).get("capacity"), f"claim {name} bound")


def workload(kind, name, container, image, space=IN, meta=None, spec=None, pod=None):
    create(f"/apis/apps/v1/namespaces/{space}/{kind}", {"metadata": {"name": name, **(meta or {})}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": name}}, **({"serviceName": name} if kind == "statefulsets" else {}), **(spec or {}),
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": container, "image": image}], **(pod or {})}}}})


def framework(name, space=IN, class_name="plan-test", host=""):
    ours("Framework", name, {
        "classRef": {"name": class_name}, "repositoryRef": {"name": "backups"},
        "components": [{"name": "main", "workloadRef": {"name": name}}],
        "stores": [{"name": "database", "postgres": {"host": host or "db-" + name, "database": "shop", "credentialsSecretRef": {"name": "db"},
                                                     "tools": {"workloadRef": {"kind": "StatefulSet", "name": "db"}, "container": "postgres"}}}]}, space)


def rollback(name, to, space=IN, **spec):
    ours("FrameworkRollback", name, {"frameworkRef": {"name": to}, "to": {"version": "1.0.0"}, **spec}, space)


def ended(name, space=IN):
    def done():
        status = admin().get(path_of("FrameworkRollback", space, name))[1].get("status", {})
        return status if any(c["type"] == "Completed" and c["status"] == "True" for c in status.get("conditions", [])) else None
    try:
        return cluster.eventually(done, f"the end of {name}", PATIENCE)
    except AssertionError as late:
        raise AssertionError(f"{late}; it says {admin().get(path_of('FrameworkRollback', space, name))[1].get('status')}") from None


def setUpModule():
    cluster.install()
    for space in (IN, OUT):
        cluster.namespace(space)
    kubectl("create", "serviceaccount", "rollback-runner", "-n", IN)
    kubectl("create", "rolebinding", "rollback-runner", "--clusterrole=rollback-runner", f"--serviceaccount={IN}:rollback-runner", "-n", IN)
    cluster.eventually(lambda: admin().may(f"system:serviceaccount:{IN}:rollback-runner", "list", "horizontalpodautoscalers.autoscaling", IN), "the opt-in in force")
    unittest.addModuleCleanup(admin().send, "DELETE", path_of("FrameworkClass", "", "plan-test"))
    create(path_of("FrameworkClass", ""), {"apiVersion": f"{GROUP}/v1alpha1", "kind": "FrameworkClass", "metadata": {"name": "plan-test"}, "spec": {
        "components": [{"name": "main"}], "stores": [{"name": "database", "driver": "postgres", "schema": {"query": "select name from migrations"},
                                                      "checks": [{"name": "orders", "query": "select count(*) from orders", "min": 1}]}]}}, (201, 409))
    for space in (IN, OUT):
        workload("statefulsets", "db", "postgres", "localhost/postgres:15", space,
                 spec={"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]})
        claim("backups", space)
        ours("BackupRepository", "backups", {"volume": {"persistentVolumeClaim": {"claimName": "backups"}}}, space)
    # As if it had been taken, before anybody is there to take it.
    for name in ("shop", "argo"):
        made = ours("FrameworkBackup", name, {"frameworkRef": {"name": name}})
        made["status"] = {"phase": "Completed", "version": "1.0.0", "path": PATH, "digest": DIGEST, "sizeBytes": 500,
                          "createdAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "verified": {"at": "2026-11-24T03:01:00Z", "level": "FullRead"},
                          "images": [{"component": "main", "image": "localhost/shop:1.0.0"}]}
        status, answer = admin().send("PUT", path_of("FrameworkBackup", IN, name) + "/status", made)
        assert status == 200, answer
    kubelet = Kubelet()
    kubelet.start()
    unittest.addModuleCleanup(kubelet.stop.set)
    start_operator()


def start_operator():
    seen = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))["clusters"][0]["cluster"]
    token = kubectl("create", "token", "rollback-operator", "-n", "rollback-system").strip()
    config = cluster.file_of(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [{"name": "c", "cluster": seen}],
                                         "users": [{"name": "u", "user": {"token": token}}], "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}]}))
    log = tempfile.NamedTemporaryFile("w", prefix="rollback-operator-", suffix=".log", delete=False)
    process = subprocess.Popen([BUILD / "bin/rollback-operator", "--kubeconfig", config, "--leader-elect=false", "--metrics-addr=", "--probe-addr=",
                                "--mover-image", "localhost/rollback-mover:dev"], stderr=log, stdout=log)

    def end():
        process.terminate()
        process.wait(30)
        log.close()
        os.unlink(log.name)
    unittest.addModuleCleanup(end)


class Plan(unittest.TestCase):
    def test_a_plan_says_all_it_knows_and_leaves_nothing_behind(self):
        claim("data-db-0", capacity="5Gi")               # the StatefulSet's controller may have made it already
        workload("deployments", "shop", "app", "localhost/shop:2.0.0")
        framework("shop")
        rollback("plan", "shop", mode="Plan", reason="FailedUpgrade")
        status = ended("plan")
        self.assertEqual(status["phase"], "Planned", status.get("message"))
        plan = status["plan"]
        self.assertEqual(plan["backup"]["digest"], DIGEST)
        self.assertEqual(plan["images"], [{"component": "main", "image": "localhost/shop:1.0.0"}])
        self.assertTrue(plan["digest"].startswith("sha256:"))
        store = plan["stores"][0]
        self.assertEqual((store["action"], store["capacityBytes"]), ("Restore", 5 << 30))
        self.assertEqual(store["capacityFrom"], "claim data-db-0 of StatefulSet/db")
        self.assertEqual(store["tables"], [{"name": "public.orders", "rowsNow": 120, "rowsInBackup": 100}])
        self.assertIn("drop_note", store["reason"])
        self.assertTrue(plan["downtime"]["basis"].startswith("unknown"), plan["downtime"])
        self.assertIn("public.orders: 120 → 100", plan["dataLoss"])
        self.assertIn({"workload": "Deployment/shop", "field": "image of app"}, [{k: w[k] for k in ("workload", "field")} for w in plan["writers"]])
        self.assertTrue(any(c["type"] == "BackupVerified" and c["status"] == "True" for c in status["conditions"]))
        # Nothing was touched: no ledger, no lock, the workload as it was.
        self.assertNotIn("activeRollback", admin().get(path_of("Framework", IN, "shop"))[1].get("status", {}))
        self.assertEqual(kubectl("get", "configmaps", "-n", IN, "-l", "app.kubernetes.io/managed-by=framework-rollback-operator", "-o", "name"), "")
        self.assertEqual(admin().get(f"/apis/apps/v1/namespaces/{IN}/deployments/shop")[1]["metadata"]["generation"], 1)
        for job in admin().get(f"/apis/batch/v1/namespaces/{IN}/jobs")[1]["items"]:
            self.assertEqual(job["metadata"]["labels"][f"{GROUP}/effect"], "read")
        self.assertIn("basis", kubectl("explain", "frb.status.plan.downtime"))


class Refusals(unittest.TestCase):
    def refused(self, name, code, command, host="", **spec):
        framework(name, host=host)
        rollback(name, name, **spec)
        status = ended(name)
        self.assertEqual((status["phase"], status["reason"]), ("Failed", "NothingTouched"), status.get("message"))
        planned = [c for c in status["conditions"] if c["type"] == "Planned"][0]
        self.assertEqual((planned["status"], planned["reason"]), ("False", code), status["message"])
        self.assertIn(command, status["message"])
        self.assertNotIn("plan", status)

    def test_class_that_does_not_exist(self):
        framework("classless", class_name="no-such-class")
        rollback("classless", "classless")
        self.assertIn("(ClassNotFound)", ended("classless")["message"])

    def test_workload_that_does_not_exist(self):
        self.refused("gone", "WorkloadMissing", "kubectl get deployments,statefulsets,cronjobs")

    def test_second_framework_on_the_database_however_its_address_is_written(self):
        framework("first", host="db-of-two")
        workload("deployments", "second", "app", "localhost/shop:2.0.0")
        self.refused("second", "DatabaseShared", "kubectl get frameworks -A", host=f"db-of-two.{IN}.svc.cluster.local")

    def test_argo_cd(self):
        tracked = {"annotations": {"argocd.argoproj.io/tracking-id": "apps:apps/Deployment:x/argo"}}
        workload("deployments", "argo", "app", "localhost/shop:2.0.0", meta=tracked)
        self.refused("argo", "SelfHealed", "kubectl patch application apps -n argocd", mode="Plan")
        rollback("argo-known", "argo", mode="Plan", accept={"otherWriters": True})
        self.assertEqual(ended("argo-known")["phase"], "Planned")

    def test_keda_by_its_autoscaler_as_the_runner_sees_it(self):
        workload("deployments", "scaled", "app", "localhost/shop:2.0.0")
        owner = create(f"/api/v1/namespaces/{IN}/configmaps", {"metadata": {"name": "stands-for-a-scaled-object"}})["metadata"]["uid"]
        create(f"/apis/autoscaling/v2/namespaces/{IN}/horizontalpodautoscalers", {
            "metadata": {"name": "keda-hpa-scaled", "ownerReferences": [{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "scaled", "uid": owner}]},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scaled"}, "maxReplicas": 3}})
        self.refused("scaled", "ScaledByKeda", f"kubectl annotate scaledobject scaled -n {IN} autoscaling.keda.sh/paused=true")

    def test_claim_of_a_pod(self):
        keeper = create(f"/api/v1/namespaces/{IN}/pods", {"metadata": {"name": "keeper"}, "spec": {"containers": [{"name": "x", "image": "x"}]}})
        claim("files", ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "keeper", "uid": keeper["metadata"]["uid"]}])
        workload("deployments", "owned", "app", "localhost/shop:2.0.0", pod={"volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": "files"}}]})
        self.refused("owned", "ClaimsVanish", "kubectl patch persistentvolumeclaim files")

    def test_wrong_password(self):
        workload("deployments", "locked", "app", "localhost/shop:2.0.0")
        self.refused("locked", "WrongPassword", "kubectl get framework locked")

    def test_expired(self):
        workload("deployments", "late", "app", "localhost/shop:2.0.0")
        framework("late")
        rollback("late", "late", validUntil="2020-01-01T00:00:00Z")
        status = ended("late")
        self.assertEqual((status["phase"], status["reason"]), ("Skipped", "Expired"))

    def test_namespace_that_has_not_opted_in(self):
        workload("deployments", "shop", "app", "localhost/shop:2.0.0", OUT)
        framework("shop", OUT)
        rollback("waits", "shop", OUT)

        def said():
            status = admin().get(path_of("FrameworkRollback", OUT, "waits"))[1].get("status", {})
            return status if "kubectl create serviceaccount rollback-runner" in status.get("message", "") else None
        status = cluster.eventually(said, "the command that opts in", PATIENCE)
        self.assertEqual(status["phase"], "Pending")
        self.assertEqual(admin().get(f"/apis/batch/v1/namespaces/{OUT}/jobs")[1]["items"], [])


if __name__ == "__main__":
    unittest.main()
