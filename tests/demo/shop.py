"""The demo of a small shop: an upgrade destroys data and breaks the checkout; one object takes it back while customers keep ordering."""
import json
import time

from lab.lab import NAMESPACE, ROOT, Acknowledged, Poller, fetch


def shop(stage):
    lab, step, typed, claim = stage.lab, stage.step, stage.typed, stage.claim
    step("the shop, version 1.0.0, with its PostgreSQL database; a customer orders ten times a second")
    typed("kubectl apply -k tests/cluster/demo-app/manifests")
    lab.install_shop()
    url = lab.service_url()
    lab.wait_for("the shop to serve", lambda: fetch(url + "/checkout")[0] == 200)

    step("the namespace lets the operator in, and says where the application, its database and its backups are")
    typed("kubectl apply -f manifests/samples/demo/{class,opt-in,repository,framework}.yaml")
    lab.samples("class", "opt-in", "repository", "framework")
    lab.framework_runs("1.0.0")
    stage.kubectl("get", "frameworks", "-n", NAMESPACE)

    with Acknowledged(lab) as acknowledged:
        step("a backup before the upgrade")
        typed("kubectl apply -f manifests/samples/demo/backup.yaml")
        lab.samples("backup")
        backup = lab.backup_done("shop-before-2")["status"]
        stage.kubectl("get", "frameworkbackups", "-n", NAMESPACE)
        claim("the backup is complete and was read to its end", backup["phase"] == "Completed" and backup.get("verified"), backup.get("message", ""))

        step("the upgrade to 2.0.0: it migrates the database, and its checkout is broken")
        typed(f"kubectl set image deployment/shop shop=localhost/demo-app:2.0.0 -n {NAMESPACE}")
        lab.set_image("2.0.0")
        lab.framework_runs("2.0.0")
        status, body = fetch(url + "/checkout")
        typed(f"curl {url}/checkout")
        stage.note(f"HTTP {status} {body.strip()}")
        claim("2.0.0 says it is healthy", fetch(url + "/healthz")[0] == 200)
        claim("2.0.0 cannot check out", status == 500, f"HTTP {status}")
        column = "select count(*) from information_schema.columns where table_name = 'orders' and column_name = 'note'"
        claim("its migration dropped a column that 1.0.0 needs: an older image alone would not help", lab.sql(column) == "0")
        old_pods = list(acknowledged.by_pod)
        stage.kubectl("get", "frameworks,frameworkbackups,pods", "-n", NAMESPACE)

        step("back to 1.0.0, with the data: one object")
        print("\n".join("    " + line for line in (ROOT / "manifests/samples/demo/rollback.yaml").read_text().splitlines()), flush=True)
        with Poller(url + "/healthz") as poller:
            time.sleep(0.5)
            typed("kubectl apply -f manifests/samples/demo/rollback.yaml")
            lab.samples("rollback")
            status = stage.follow("shop-back-to-1")
            new_pods = acknowledged.by_others(old_pods)
        stage.kubectl("get", "frameworks,frameworkrollbacks,pods", "-n", NAMESPACE)
        typed(f"kubectl get frameworkrollback shop-back-to-1 -n {NAMESPACE} -o jsonpath='{{.status.message}}'")
        stage.note(status["message"])

    step("is it as claimed?")
    claim("1.0.0 runs", json.loads(fetch(url + "/version")[1])["version"] == "1.0.0")
    for text, path in (("the checkout works", "/checkout"), ("orders can be read", "/orders")):
        status_code, body = fetch(url + path)
        claim(text, status_code == 200, f"HTTP {status_code} {body}")
    claim("the column is back", lab.sql(column) == "1")
    gap = stage.one_gap(poller, status)
    kept = stage.kept_closed(status)
    lab.sql(f'alter database "{kept}" allow_connections true', "postgres")
    previous = {int(i) for i in lab.sql("select id from orders", kept).split()}
    lab.sql(f'alter database "{kept}" allow_connections false', "postgres")
    before = set(acknowledged.ids(*old_pods))
    claim(f"all {len(before)} orders confirmed to customers before the switch are in it", before and before <= previous, f"{len(before - previous)} missing")
    after = set(acknowledged.ids(*new_pods))
    live = {int(i) for i in lab.sql("select id from orders").split()}
    claim(f"all {len(after)} orders confirmed since are in the live one", after and after <= live, f"{len(after - live)} missing of {len(after)}")
    stage.nothing_left("shop", "shop-back-to-1")
    return gap
