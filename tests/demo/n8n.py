"""make demo FRAMEWORK=n8n: the real n8n from the npm registry, upgraded, its workflows ruined, and brought back with its encrypted credential."""
import json

from lab.lab import NAMESPACE, ROOT, LabError, fetch

BINARY = ["/opt/node/bin/node", "/opt/n8n/node_modules/n8n/bin/n8n"]
BACKUP = {"apiVersion": "rollback.pa-ecosystem.io/v1alpha1", "kind": "FrameworkBackup", "metadata": {"name": "n8n-before", "namespace": NAMESPACE},
          "spec": {"frameworkRef": {"name": "n8n"}, "reason": "PreUpgrade"}}
ROLLBACK = {"apiVersion": "rollback.pa-ecosystem.io/v1alpha1", "kind": "FrameworkRollback", "metadata": {"name": "n8n-back", "namespace": NAMESPACE},
            "spec": {"frameworkRef": {"name": "n8n"}, "reason": "FailedUpgrade", "from": {"version": "1.123.0"}, "to": {"version": "1.110.1"}}}


def n8n(lab, step, typed, claim, table, follow):
    def command(*words):
        """n8n's own command line in its own pod."""
        return lab.kubectl("exec", "deployment/n8n", "-n", NAMESPACE, "--", *BINARY, *words)

    def content():
        """(names of workflows, the password of the credential) as n8n itself reads them."""
        workflows = command("export:workflow", "--all")
        credentials = command("export:credentials", "--all", "--decrypted")
        return (sorted(w["name"] for w in json.loads(workflows[workflows.index("["):workflows.rindex("]") + 1])),
                json.loads(credentials[credentials.index("["):credentials.rindex("]") + 1])[0]["data"]["password"])

    def runs(version):
        def seen():
            status = (lab.get("framework", "n8n", "-n", NAMESPACE) or {}).get("status", {})
            return status.get("running", {}).get("version") == version and status["running"].get("schemas")
        lab.wait_for(f"Framework n8n to record {version}", seen, 180)

    step("n8n 1.110.1 on PostgreSQL, with two workflows and an encrypted credential")
    database = (ROOT / "tests/cluster/demo-app/manifests/database.yaml").read_text().replace("{name: APP_DB, value: shop}", "{name: APP_DB, value: n8n}").replace(
        "username: shop", "username: n8n")
    lab.apply(ROOT / "tests/cluster/demo-app/manifests/namespace.yaml")
    lab.apply_text(database)
    lab.apply(ROOT / "manifests/samples/demo/opt-in.yaml", ROOT / "tests/demo/n8n.yaml")
    for workload in ("statefulset/db", "deployment/n8n"):
        lab.kubectl("rollout", "status", workload, "-n", NAMESPACE, "--timeout=300s")
    command("import:workflow", "--input=/content/workflows.json")
    command("import:credentials", "--input=/content/credentials.json")
    before = content()
    print(f"  workflows {before[0]}, credential readable")
    runs("1.110.1")

    step("a backup, and the upgrade to 1.123.0")
    lab.apply_text(json.dumps(BACKUP))
    backup = lab.backup_done("n8n-before")
    claim("the backup is complete and was read to its end", backup["status"]["phase"] == "Completed", backup["status"].get("message", ""))
    typed("kubectl set image deployment/n8n n8n=localhost/n8n:1.123.0 -n demo")
    lab.kubectl("set", "image", "deployment/n8n", "n8n=localhost/n8n:1.123.0", "-n", NAMESPACE)
    lab.kubectl("rollout", "status", "deployment/n8n", "-n", NAMESPACE, "--timeout=300s")
    runs("1.123.0")
    table(lab, "frameworks,frameworkbackups", "-n", NAMESPACE)
    counts = [int(lab.sql("select count(*) from migrations", "n8n"))]
    lab.sql("update workflow_entity set name = 'ruined'; delete from credentials_entity", "n8n")
    print(f"  {counts[0]} migrations; somebody's script ruined the workflows")

    step("back to 1.110.1, with the data: one object")
    print(json.dumps(ROLLBACK["spec"], indent=2))
    lab.apply_text(json.dumps(ROLLBACK))
    done = follow(lab, "n8n-back")
    table(lab, "frameworkrollbacks", "-n", NAMESPACE)
    status = done["status"]
    if status["phase"] != "Succeeded":
        raise LabError(status.get("message", "") + "\n" + lab.story())

    step("is it as claimed?")
    url = lab.service_url(service="n8n", port=5678)
    claim("n8n is ready", fetch(url + "/healthz/readiness", 5)[0] == 200)
    claim("1.110.1 runs", command("--version").strip().endswith("1.110.1"))
    after = content()
    claim("its workflows are back", after[0] == before[0], str(after[0]))
    claim("its credential can be decrypted", after[1] == before[1])
    counts.append(int(lab.sql("select count(*) from migrations", "n8n")))
    claim("the schema is the old version's", counts[1] < counts[0], f"{counts[0]} migrations before, {counts[1]} now")
    kept = status["previous"][0]["name"]
    claim(f"the previous database is kept as {kept}, closed", lab.sql(f"select datallowconn from pg_database where datname = '{kept}'", "postgres") == "f")
    return status["downtime"]["milliseconds"] / 1000
