#!/usr/bin/env python3
"""Downtime of a rollback by the size of its database, beside a plain restart of the same application.

One node-tier cluster, one namespace with a shop per size. Each round, for each size in turn: a plain restart (scale to 0, wait until the
pods are gone, scale back), then a real rollback from 2.0.0 to 1.0.0 that restores the database from a backup. Two clocks for both: from
the write that scales down to the first Ready (the rollback tells its own in status.downtime), and what a customer who asks /healthz every
50 ms saw. Between rounds the shop is upgraded again; kept copies go after a second (keepPreviousFor), so that disks do not fill.

    run.sh downtime [--gigabytes 0.1,1,4] [--rounds 3]      needs root and, for 4 GB, about 20 GB of disk below the cluster's state
"""
import argparse
import http.client
import json
import os
import pathlib
import ssl
import statistics
import subprocess
import sys
import time
import urllib.parse

here = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(here.parents[2]))
from lab.lab import IMAGES, ROOT, Lab, LabError, Poller  # noqa: E402

LAB = Lab("bench-downtime")
BALLAST = """
set role shop;
create table if not exists ballast (id bigserial primary key, body text not null);
insert into ballast (body) select (select string_agg(md5((g * 100 + n)::text), ' ') from generate_series(1, 28) n) from generate_series(1, {rows}) g;
"""


class Api:
    """The API server over one kept connection: a plain restart is measured without starting kubectl."""

    def __init__(self):
        pki = pathlib.Path(LAB.env["CLUSTER_CA"]).parent
        context = ssl.create_default_context(cafile=LAB.env["CLUSTER_CA"])
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        server = urllib.parse.urlparse(LAB.env["CLUSTER_SERVER"])
        self.connection = http.client.HTTPSConnection(server.hostname, server.port, context=context, timeout=30)

    def call(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/merge-patch+json"} if body else {})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status >= 300:
            raise LabError(f"{method} {path}: {answer}")
        return answer

    def scale(self, namespace, replicas):
        self.call("PATCH", f"/apis/apps/v1/namespaces/{namespace}/deployments/shop/scale", {"spec": {"replicas": replicas}})

    def pods(self, namespace):
        return self.call("GET", f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dshop")["items"]


def ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


class Shop:
    def __init__(self, gigabytes):
        self.gigabytes = gigabytes
        self.namespace = "shop-" + str(gigabytes).replace(".", "-")
        rendered = LAB.kubectl("kustomize", ROOT / "tests/cluster/demo-app/manifests")
        for name in ("repository", "framework", "opt-in"):
            rendered += "---\n" + (ROOT / f"manifests/samples/demo/{name}.yaml").read_text()
        rendered = rendered.replace("namespace: demo", f"namespace: {self.namespace}").replace("name: demo\n", f"name: {self.namespace}\n")
        LAB.apply_text(rendered.replace("capacity: 5Gi", "capacity: 60Gi"))
        for workload in ("statefulset/db", "deployment/shop"):
            LAB.kubectl("rollout", "status", workload, "-n", self.namespace, "--timeout=300s")
        self.url = LAB.service_url(self.namespace)
        self.downtimes, self.gaps, self.restarts, self.restart_gaps = [], [], [], []
        self.round = 0

    def size(self):
        return int(LAB.sql("select pg_database_size('shop')", namespace=self.namespace))

    def fill(self):
        while self.size() < self.gigabytes * 1e9:
            missing = self.gigabytes * 1e9 - self.size()
            LAB.sql(BALLAST.format(rows=max(1000, int(min(missing, 400e6) / 1010))), namespace=self.namespace)
        LAB.framework_runs("1.0.0", self.namespace, timeout=300)
        LAB.apply_text(json.dumps({"apiVersion": "rollback.pa-ecosystem.io/v1alpha1", "kind": "FrameworkBackup",
                                   "metadata": {"name": "before", "namespace": self.namespace}, "spec": {"frameworkRef": {"name": "shop"}, "reason": "PreUpgrade"}}))
        backup = LAB.backup_done("before", self.namespace, timeout=1800)
        if backup["status"]["phase"] != "Completed":
            raise LabError(backup["status"].get("message", "") + LAB.story(self.namespace))

    def upgrade(self):
        LAB.set_image("2.0.0", self.namespace)
        LAB.framework_runs("2.0.0", self.namespace, timeout=300)

    def restart(self, api):
        with Poller(self.url + "/healthz", every=0.05) as poller:
            time.sleep(1)
            start = time.monotonic()
            api.scale(self.namespace, 0)
            while api.pods(self.namespace):
                time.sleep(0.02)
            api.scale(self.namespace, 1)
            while not any(ready(pod) for pod in api.pods(self.namespace)):
                time.sleep(0.02)
            self.restarts.append(time.monotonic() - start)
            time.sleep(2)
        self.restart_gaps.append(max((gap.seconds for gap in poller.gaps()), default=0.0))
        LAB.framework_runs("2.0.0", self.namespace, timeout=300)

    def roll_back(self):
        self.round += 1
        name = f"back-{self.round}"
        with Poller(self.url + "/healthz", every=0.05) as poller:
            LAB.apply_text(json.dumps({"apiVersion": "rollback.pa-ecosystem.io/v1alpha1", "kind": "FrameworkRollback",
                                       "metadata": {"name": name, "namespace": self.namespace},
                                       "spec": {"frameworkRef": {"name": "shop"}, "to": {"version": "1.0.0", "backupRef": {"name": "before"}},
                                                "keepPreviousFor": "1s", "timeoutSeconds": 3600}}))
            status = LAB.ended(name, self.namespace, timeout=3600)["status"]
            time.sleep(2)
        if status["phase"] != "Succeeded" or status["plan"]["stores"][0]["action"] != "Restore":
            raise LabError(f"{name}: {status.get('phase')}: {status.get('message')}\n{LAB.story(self.namespace)}")
        self.downtimes.append(status["downtime"]["milliseconds"] / 1000)
        self.gaps.append(max((gap.seconds for gap in poller.gaps()), default=0.0))
        LAB.wait_for("the kept copy to be dropped", lambda: "_prev_" not in LAB.sql("select string_agg(datname, ' ') from pg_database", "postgres", self.namespace), 600, 2)


def show(shops, rounds):
    median = statistics.median
    print(f"{rounds} rounds, {os.cpu_count()} cores; seconds, median (min-max)\n")
    print("| database | rollback, status.downtime | as a customer saw it | plain restart | as a customer saw it | rollback : restart |\n|---|---|---|---|---|---|")

    def cell(values):
        return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"
    for shop in shops:
        print(f"| {shop.gigabytes} GB | {cell(shop.downtimes)} | {cell(shop.gaps)} | {cell(shop.restarts)} | {cell(shop.restart_gaps)} | "
              f"{median(shop.downtimes) / median(shop.restarts):.2f} |")
    largest, smallest = shops[-1], shops[0]
    every = [value for shop in shops for value in shop.restarts]
    print(f"\nlargest : smallest {median(largest.downtimes) / median(smallest.downtimes):.2f} (goal ≤ 1.15); "
          f"by minima {min(largest.downtimes) / min(smallest.downtimes):.2f}")
    print(f"largest : plain restart {median(largest.downtimes) / median(every):.2f} (goal ≤ 1.3); by minima {min(largest.downtimes) / min(every):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", default="0.1,1,4")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sizes = sorted(float(size) if "." in size else int(size) for size in options.gigabytes.split(","))
    LAB.down()
    LAB.up(*[IMAGES / f"{n}.tar" for n in ("rollback-operator", "rollback-mover", "postgres", "demo-app-1.0.0", "demo-app-2.0.0")])
    try:
        LAB.install_operator()
        LAB.apply(ROOT / "manifests/samples/demo/class.yaml")
        api = Api()
        shops = [Shop(size) for size in sizes]
        for shop in shops:
            shop.fill()
            print(f"{shop.namespace}: {shop.size() / 1e9:.2f} GB, backed up", file=sys.stderr, flush=True)
        for number in range(options.rounds):
            for shop in shops:
                shop.upgrade()
                shop.restart(api)
                shop.roll_back()
                print(f"round {number + 1}, {shop.gigabytes} GB: rollback {shop.downtimes[-1]:.2f} s (customer {shop.gaps[-1]:.2f}), "
                      f"restart {shop.restarts[-1]:.2f} s (customer {shop.restart_gaps[-1]:.2f}), load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
        show(shops, options.rounds)
    finally:
        if not os.environ.get("KEEP"):
            LAB.down(ROOT / "build/bench-downtime-logs")


if __name__ == "__main__":
    try:
        main()
    except (LabError, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")
