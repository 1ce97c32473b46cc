"""make demo: from nothing to a real rollback on a real local cluster. Ends non-zero if anything is not as it claims."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from demo.n8n import n8n                                    # noqa: E402
from demo.shop import shop                                  # noqa: E402
from demo.stage import Stage                                # noqa: E402
from lab.lab import IMAGES, Lab, LabError                   # noqa: E402

FRAMEWORKS = {"shop": (shop, ("rollback-", "postgres", "demo-app-1.0.0", "demo-app-2.0.0")), "n8n": (n8n, ("rollback-", "postgres", "n8n"))}
LOOK = """
    eval "$(tests/cluster/cluster env demo)"; alias kubectl=$KUBECTL
    kubectl get frameworkrollbacks -n demo -o wide
    make cluster-down CLUSTER=demo            # the end of it
"""


def main():
    play, images = FRAMEWORKS[sys.argv[1] if len(sys.argv) > 1 else "shop"]
    lab = Lab("demo")
    stage = Stage(lab)
    stage.step("a Kubernetes node of its own, on this machine")
    lab.down()
    lab.up(*[a for a in sorted(IMAGES.glob("*.tar")) if a.name.startswith(images)])
    stage.kubectl("get", "nodes")
    stage.step("the operator")
    stage.typed("kubectl apply -k manifests/default && kubectl apply -k manifests/classes")
    lab.install_operator()
    stage.kubectl("get", "pods", "-n", "rollback-system")
    gap = play(stage)
    print(f"\n\033[1;32mVersion and data went back together, {stage.claims} claims checked; {gap:.1f} s without service.\033[0m"
          f"  \033[2m[{time.monotonic() - stage.began:.0f} s in all]\033[0m")
    if os.environ.get("KEEP"):
        print(f"The cluster stays, to look around:\n{LOOK}")
    else:
        lab.down()
        print("The cluster is gone again; KEEP=1 make demo keeps it to look around.")


if __name__ == "__main__":
    try:
        main()
    except (LabError, KeyboardInterrupt) as error:
        print(f"\n\033[1;31mThe demo failed.\033[0m {error}\nThe cluster is still there:\n{LOOK}", file=sys.stderr)
        sys.exit(1)
