"""make demo: from nothing to a real rollback on a real local cluster. Ends non-zero if anything is not as it claims."""
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from lab.lab import IMAGES, NAMESPACE, ROOT, Acknowledged, Lab, LabError, Poller, agree, fetch   # noqa: E402

BEGAN = time.monotonic()


def step(text):
    print(f"\n\033[1m▸ {text}\033[0m  \033[2m[{time.monotonic() - BEGAN:.0f} s]\033[0m", flush=True)


def typed(command):
    print(f"\033[36m$ {command}\033[0m", flush=True)


def claim(text, good, detail=""):
    print(("  \033[32m✓\033[0m " if good else "  \033[31m✗\033[0m ") + text + (f": {detail}" if detail else ""), flush=True)
    if not good:
        raise LabError(f"not as claimed: {text} {detail}")


def table(lab, *argv):
    typed("kubectl get " + " ".join(argv))
    print(lab.kubectl("get", *argv), end="", flush=True)


def follow(lab, name):
    """Shows the rollback as `kubectl get -w` would, a line for every change."""
    shown = ""
    while True:
        status = (lab.rollback(name) or {}).get("status", {})
        line = f"{status.get('phase', ''):<11} {status.get('step', ''):<13} {status.get('progress', ''):<10} {status.get('message', '')}"
        if line != shown:
            print(f"  {time.strftime('%H:%M:%S')}  {line}"[:220], flush=True)
            shown = line
        if any(c["type"] == "Completed" and c["status"] == "True" for c in status.get("conditions", [])):
            return lab.rollback(name)
        if time.monotonic() - BEGAN > 1500:
            raise LabError("the rollback did not end in time\n" + lab.story())
        time.sleep(0.25)


def shop(lab):
    step("the shop, version 1.0.0, with its PostgreSQL database; customers order all the time")
    typed("kubectl apply -k tests/cluster/demo-app/manifests")
    lab.install_shop()
    url = lab.service_url()
    lab.wait_for("the shop to serve", lambda: fetch(url + "/checkout")[0] == 200)

    step("the namespace opts in, and says where the application, its database and its backups are")
    typed("kubectl apply -f manifests/samples/demo/{class,opt-in,repository,framework}.yaml")
    lab.samples("class", "opt-in", "repository", "framework")
    lab.framework_runs("1.0.0")
    table(lab, "frameworks", "-n", NAMESPACE)

    with Acknowledged(lab) as acknowledged:
        step("a backup before the upgrade")
        typed("kubectl apply -f manifests/samples/demo/backup.yaml")
        lab.samples("backup")
        backup = lab.backup_done("shop-before-2")
        table(lab, "frameworkbackups", "-n", NAMESPACE)
        claim("the backup is complete and was read to its end", backup["status"]["phase"] == "Completed", backup["status"].get("message", ""))

        step("the upgrade to 2.0.0: it migrates the database, and its checkout is broken")
        typed("kubectl set image deployment/shop shop=localhost/demo-app:2.0.0 -n demo")
        lab.set_image("2.0.0")
        lab.framework_runs("2.0.0")
        status, _ = fetch(url + "/checkout")
        claim("2.0.0 says it is healthy", fetch(url + "/healthz")[0] == 200)
        claim("2.0.0 cannot check out", status == 500, f"HTTP {status}")
        old_pods = list(acknowledged.by_pod)
        lost = lab.sql("select count(*) from information_schema.columns where table_name = 'orders' and column_name = 'note'")
        claim("its migration dropped a column that 1.0.0 needs", lost == "0")

        step("back to 1.0.0, with the data: one object")
        print((ROOT / "manifests/samples/demo/rollback.yaml").read_text())
        table(lab, "frameworks,frameworkbackups", "-n", NAMESPACE)
        with Poller(url + "/healthz") as poller:
            typed("kubectl apply -f manifests/samples/demo/rollback.yaml")
            lab.samples("rollback")
            done = follow(lab, "shop-back-to-1")
            time.sleep(1)
        table(lab, "frameworkrollbacks", "-n", NAMESPACE)
        status = done["status"]
        if status["phase"] != "Succeeded":
            raise LabError(status.get("message", "") + "\n" + lab.story())
        print(f"  {status['message']}")

        step("is it as claimed?")
        claim("1.0.0 runs", json.loads(fetch(url + "/version")[1])["version"] == "1.0.0")
        claim("the checkout works", fetch(url + "/checkout")[0] == 200)
        claim("orders can be read", fetch(url + "/orders")[0] == 200)
        gaps = poller.gaps()
        down = status["downtime"]["milliseconds"] / 1000
        claim(f"of {len(poller.answers)} requests sent meanwhile, those that failed make one gap", len(gaps) == 1, "; ".join(map(repr, gaps)))
        claim(f"status.downtime, {down:.2f} s, tells that gap", not agree(gaps[0], status["downtime"]), agree(gaps[0], status["downtime"]))
        kept = status["previous"][0]["name"]
        table_of = f"select datallowconn from pg_database where datname = '{kept}'"
        claim(f"the previous database is kept as {kept}, closed", lab.sql(table_of, "postgres") == "f")
        lab.sql(f'alter database "{kept}" allow_connections true', "postgres")
        previous = {int(i) for i in lab.sql("select id from orders", kept).split()}
        lab.sql(f'alter database "{kept}" allow_connections false', "postgres")
        before = set(acknowledged.ids(*[p for p in acknowledged.by_pod if p in old_pods]))
        claim(f"all {len(before)} orders acknowledged before the switch are in it", before <= previous, f"{len(before - previous)} missing")
        live = {int(i) for i in lab.sql("select id from orders").split()}
        new_pods = [p for p in acknowledged.by_pod if p not in old_pods]
        after = set(acknowledged.ids(*new_pods))
        claim(f"all {len(after)} orders acknowledged since are in the live one", bool(after) and after <= live)
        unfinished = [j["metadata"]["name"] for j in lab.items("jobs", "-n", NAMESPACE) if not j["status"].get("completionTime") and not any(
            c["type"] in ("Complete", "Failed") for c in j["status"].get("conditions", []))]
        claim("no Job and no lock is left behind", not unfinished and not lab.get("framework", "shop", "-n", NAMESPACE)["status"].get("activeRollback"), " ".join(unfinished))
    return down


def main():
    framework = sys.argv[1] if len(sys.argv) > 1 else "shop"
    lab = Lab("demo")
    step("a Kubernetes node of its own, on this machine")
    lab.down()
    archives = sorted(IMAGES.glob("*.tar"))
    wanted = {"shop": ("rollback-", "postgres", "demo-app"), "n8n": ("rollback-", "postgres", "n8n")}[framework]
    lab.up(*[a for a in archives if a.name.startswith(wanted)])
    print(lab.kubectl("get", "nodes"), end="")
    step("the operator")
    typed("kubectl apply -k manifests/default && kubectl apply -k manifests/classes")
    lab.install_operator()
    if framework == "n8n":
        from n8n import n8n
        down = n8n(lab, step, typed, claim, table, follow)
    else:
        down = shop(lab)
    print(f"\n\033[1;32mRolled back, version and data together, in {down:.1f} s of downtime.\033[0m  \033[2m[{time.monotonic() - BEGAN:.0f} s in all]\033[0m")
    if os.environ.get("KEEP"):
        print("The cluster stays. Look around:\n\n    eval \"$(tests/cluster/cluster env demo)\"; alias kubectl=$KUBECTL\n    kubectl get frameworkrollbacks -n demo -o wide\n\n"
              "and end it with:  make cluster-down CLUSTER=demo")
    else:
        lab.down()
        print("The cluster is gone again; KEEP=1 make demo keeps it to look around.")


if __name__ == "__main__":
    try:
        main()
    except (LabError, KeyboardInterrupt) as error:
        print(f"\n\033[1;31mThe demo failed.\033[0m {error}", file=sys.stderr)
        print("The cluster is still there: eval \"$(tests/cluster/cluster env demo)\"; $KUBECTL get all -n demo; end it with make cluster-down CLUSTER=demo", file=sys.stderr)
        sys.exit(1)
