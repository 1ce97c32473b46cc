"""make demo FRAMEWORK=n8n: the real n8n from the npm registry, upgraded, its workflows ruined, and brought back with its encrypted credential."""
import json
import time

from lab.lab import NAMESPACE, ROOT, Poller, fetch

BINARY = ["/opt/node/bin/node", "/opt/n8n/node_modules/n8n/bin/n8n"]
BACKUP = """apiVersion: rollback.pa-ecosystem.io/v1alpha1
kind: FrameworkBackup
metadata: {name: n8n-before, namespace: demo}
spec: {frameworkRef: {name: n8n}, reason: PreUpgrade}
"""
ROLLBACK = """apiVersion: rollback.pa-ecosystem.io/v1alpha1
kind: FrameworkRollback
metadata: {name: n8n-back, namespace: demo}
spec:
  frameworkRef: {name: n8n}
  reason: FailedUpgrade
  from: {version: 1.123.0}
  to: {version: 1.110.1}
"""


def n8n(stage):
    lab, step, typed, claim = stage.lab, stage.step, stage.typed, stage.claim

    def command(*words):
        """n8n's own command line in its own pod."""
        return lab.kubectl("exec", "deployment/n8n", "-n", NAMESPACE, "--", *BINARY, *words)

    def exported(*words):
        said = command(*words)
        return json.loads(said[said.index("["):said.rindex("]") + 1])

    def content():
        """(names of workflows, the password in the credential) as n8n itself reads them."""
        return (sorted(w["name"] for w in exported("export:workflow", "--all")),
                exported("export:credentials", "--all", "--decrypted")[0]["data"]["password"])

    def runs(version):
        def seen():
            running = (lab.get("framework", "n8n", "-n", NAMESPACE) or {}).get("status", {}).get("running", {})
            return running.get("version") == version and any(s["schema"].get("digest") for s in running.get("schemas", []))
        lab.wait_for(f"Framework n8n to record {version} and its schema", seen, 180)

    def migrations():
        return int(lab.sql("select count(*) from migrations", "n8n"))

    step("n8n 1.110.1 on PostgreSQL, with two workflows and an encrypted credential")
    database = (ROOT / "tests/cluster/demo-app/manifests/database.yaml").read_text().replace("{name: APP_DB, value: shop}", "{name: APP_DB, value: n8n}").replace(
        "username: shop", "username: n8n")
    lab.apply(ROOT / "tests/cluster/demo-app/manifests/namespace.yaml")
    lab.apply_text(database)
    typed("kubectl apply -f manifests/samples/demo/opt-in.yaml -f tests/demo/n8n.yaml")
    lab.apply(ROOT / "manifests/samples/demo/opt-in.yaml", ROOT / "tests/demo/n8n.yaml")
    for workload in ("statefulset/db", "deployment/n8n"):
        lab.kubectl("rollout", "status", workload, "-n", NAMESPACE, "--timeout=300s")
    typed("n8n import:workflow --input=/content/workflows.json; n8n import:credentials --input=/content/credentials.json")
    command("import:workflow", "--input=/content/workflows.json")
    command("import:credentials", "--input=/content/credentials.json")
    before = content()
    claim(f"n8n has the workflows {', '.join(before[0])}, and can read its credential", len(before[0]) == 2 and before[1], str(before[0]))
    runs("1.110.1")
    stage.kubectl("get", "frameworks", "-n", NAMESPACE)

    step("a backup, and the upgrade to 1.123.0")
    lab.apply_text(BACKUP)
    backup = lab.backup_done("n8n-before", timeout=240)["status"]
    claim("the backup is complete and was read to its end", backup["phase"] == "Completed" and backup.get("verified"), backup.get("message", ""))
    old = migrations()
    typed(f"kubectl set image deployment/n8n n8n=localhost/n8n:1.123.0 -n {NAMESPACE}")
    lab.kubectl("set", "image", "deployment/n8n", "n8n=localhost/n8n:1.123.0", "-n", NAMESPACE)
    lab.kubectl("rollout", "status", "deployment/n8n", "-n", NAMESPACE, "--timeout=300s")
    runs("1.123.0")
    new = migrations()
    claim(f"its migrations took the schema from {old} to {new} steps", new > old)
    lab.sql("update workflow_entity set name = 'ruined'; delete from credentials_entity", "n8n")
    stage.note("and somebody's script ruined the workflows and deleted the credential")
    stage.kubectl("get", "frameworks,frameworkbackups,pods", "-n", NAMESPACE)

    step("back to 1.110.1, with the data: one object")
    url = lab.service_url(service="n8n", port=5678)
    with Poller(url + "/healthz/readiness", every=0.1) as poller:
        time.sleep(0.5)
        stage.applied(ROLLBACK)
        status = stage.follow("n8n-back")
        time.sleep(1)
    stage.kubectl("get", "frameworks,frameworkrollbacks,pods", "-n", NAMESPACE)
    stage.note(status["message"])

    step("is it as claimed?")
    claim("n8n is ready", fetch(url + "/healthz/readiness", 5)[0] == 200)
    version = command("--version").strip()
    claim("1.110.1 runs", version.endswith("1.110.1"), version)
    after = content()
    claim("its workflows are back, read by n8n itself", after[0] == before[0], str(after[0]))
    claim("its credential is back, decrypted by n8n itself", after[1] == before[1])
    now = migrations()
    claim(f"the schema is the old version's, {now} migrations", now == old, f"{old} before the upgrade")
    gap = stage.one_gap(poller, status)
    stage.kept_closed(status)
    stage.nothing_left("n8n", "n8n-back")
    return gap
