"""Makes the volumes that claims ask for, in the folder `volumes` of the cluster, as `local` PersistentVolumes.

Not the controller manager's host-path provisioner: that makes folders of root with mode 0750, which a pod of another user
cannot write. `local` volumes obey fsGroup, and these folders are open to everybody besides.
Class `standard` (the default) is a plain folder. Class `limited` is a file system in memory of exactly the size the claim
asks for, so that a test can fill it.
"""
import http.client
import pathlib
import shutil
import sys
import threading
import time
import traceback

from . import api
from .network import run
from .node import NODE_NAME, PROVISIONER, STORAGE_CLASSES
from .state import Cluster, ClusterError

CLASSES = [name for name, _ in STORAGE_CLASSES]
VOLUMES = "/api/v1/persistentvolumes"
WATCH_SECONDS = 300
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def bytes_of(quantity: str) -> int:
    for unit, factor in UNITS.items():
        if quantity.endswith(unit):
            return int(float(quantity[: -len(unit)]) * factor)
    return int(quantity)


class Provisioner:
    def __init__(self, cluster: Cluster, server: api.Api):
        self.cluster = cluster
        self.api = server

    def claim(self, claim: dict) -> None:
        """A claim seen: gives it a volume if it has none."""
        meta, spec = claim["metadata"], claim["spec"]
        if spec.get("storageClassName") not in CLASSES or spec.get("volumeName") or "deletionTimestamp" in meta:
            return
        name = f"pvc-{meta['uid']}"
        if self.api.get(f"{VOLUMES}/{name}") is not None:
            return
        size = spec["resources"]["requests"]["storage"]
        folder = self.cluster.volumes / name
        if not folder.exists():
            folder.mkdir()
            if spec["storageClassName"] == "limited":
                run("mount", "-t", "tmpfs", "-o", f"size={bytes_of(size)}", name, str(folder))
            folder.chmod(0o777)                       # mkdir's mode is cut by the umask
        self.api.create(VOLUMES, {
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
            "spec": {
                "capacity": {"storage": size}, "accessModes": spec["accessModes"], "storageClassName": spec["storageClassName"],
                "volumeMode": "Filesystem", "persistentVolumeReclaimPolicy": "Delete", "local": {"path": str(folder)},
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": meta["name"],
                             "namespace": meta["namespace"], "uid": meta["uid"]},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}]}]}}}})
        print(f"{meta['namespace']}/{meta['name']}: volume {name} of {size}")

    def volume(self, volume: dict) -> None:
        """A volume seen: removes it once its claim is gone."""
        meta, spec = volume["metadata"], volume["spec"]
        mine = meta.get("annotations", {}).get("pv.kubernetes.io/provisioned-by") == PROVISIONER
        released = volume.get("status", {}).get("phase") in ("Released", "Failed")
        if not mine or not released or spec.get("persistentVolumeReclaimPolicy") != "Delete":
            return
        folder = pathlib.Path(spec["local"]["path"])
        self.api.delete(f"{VOLUMES}/{meta['name']}", meta["uid"])
        if folder.is_mount():
            run("umount", str(folder))
        shutil.rmtree(folder, ignore_errors=True)
        print(f"{meta['name']}: removed")

    def follow(self, path: str, seen) -> None:
        """Lists, then watches, for ever; after any trouble it lists again."""
        while True:
            try:
                listing = self.api.get(path)
                if listing is None:
                    raise OSError("the API server did not answer")
                for thing in listing["items"]:
                    seen(thing)
                for event in self.api.watch(path, listing["metadata"]["resourceVersion"], WATCH_SECONDS):
                    if event["type"] in ("ADDED", "MODIFIED"):
                        seen(event["object"])
                    elif event["type"] == "ERROR":
                        break
            except (OSError, http.client.HTTPException, api.Status, ClusterError):
                traceback.print_exc()
                time.sleep(0.5)


def main() -> None:
    folder, server, ready = sys.argv[1:4]
    cluster = Cluster.at(pathlib.Path(folder))
    provisioner = Provisioner(cluster, api.Api(cluster, server))
    threading.Thread(target=provisioner.follow, args=(VOLUMES, provisioner.volume), daemon=True).start()
    pathlib.Path(ready).touch()
    provisioner.follow("/api/v1/persistentvolumeclaims", provisioner.claim)


if __name__ == "__main__":
    main()
