"""How the demos talk to whoever watches: steps, what the user types, what kubectl shows, and claims, each of which must be true."""
import json
import subprocess
import sys
import threading
import time

from lab.lab import NAMESPACE, LabError, agree

LIMIT = 900.0                               # seconds a rollback may take here


class Stage:
    """Prints, and counts the claims it has seen hold."""

    def __init__(self, lab):
        self.lab = lab
        self.began = time.monotonic()
        self.claims = 0

    def step(self, text):
        print(f"\n\033[1m▸ {text}\033[0m  \033[2m[{time.monotonic() - self.began:.0f} s]\033[0m", flush=True)

    def typed(self, command):
        print(f"\033[36m$ {command}\033[0m", flush=True)

    def note(self, text):
        print(f"  {text}", flush=True)

    def claim(self, text, good, otherwise=""):
        """`otherwise` is told only if it is not so."""
        print(f"  \033[32m✓\033[0m {text}" if good else f"  \033[31m✗ {text}\033[0m: {otherwise}", flush=True)
        if not good:
            raise LabError(f"not as claimed: {text}: {otherwise}")
        self.claims += 1

    def kubectl(self, *argv):
        """Shows a command of kubectl and what it prints."""
        self.typed("kubectl " + " ".join(argv))
        print(self.lab.kubectl(*argv), end="", flush=True)

    def applied(self, text):
        """Applies an object given as JSON or YAML text, as a user would from a file; shows it."""
        print("\n".join("    " + line for line in text.strip().splitlines()), flush=True)
        self.lab.apply_text(text)

    def follow(self, name):
        """`kubectl get -w` of a rollback until it has ended; the object then."""
        self.typed(f"kubectl get frameworkrollback {name} -n {NAMESPACE} -w")
        watch = subprocess.Popen([self.lab.env["KUBECTL"], "get", "frameworkrollback", name, "-n", NAMESPACE, "-w"], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True, env=self.lab.env)
        printer = threading.Thread(target=self._print, args=(watch.stdout,), daemon=True)
        printer.start()
        try:
            done = self.lab.ended(name, timeout=LIMIT)
            time.sleep(0.5)                 # for its last line
        finally:
            watch.terminate()
            printer.join(5)
        if done["status"]["phase"] != "Succeeded":
            raise LabError(f"{done['status'].get('message', '')}\n{self.lab.story()}")
        return done["status"]

    @staticmethod
    def _print(lines):
        shown = ""
        for line in lines:
            state = line.split()[:-1]       # all but the age
            if state != shown:
                sys.stdout.write(line)
                sys.stdout.flush()
                shown = state

    def one_gap(self, poller, status):
        """The customers' view of the downtime beside the one that status tells."""
        gaps = poller.gaps()
        told = status["downtime"]["milliseconds"] / 1000
        self.claim(f"of the {len(poller.answers)} requests sent meanwhile, those that failed make one gap", len(gaps) == 1, "; ".join(map(repr, gaps)) or "none failed")
        self.claim(f"customers were without service for {gaps[0].seconds:.1f} s, and status.downtime says {told:.1f} s", not agree(gaps[0], status["downtime"]),
                   agree(gaps[0], status["downtime"]))
        return gaps[0].seconds

    def nothing_left(self, framework, rollback):
        unfinished = [j["metadata"]["name"] for j in self.lab.items("jobs", "-n", NAMESPACE, "-l", f"rollback.pa-ecosystem.io/owner-name={rollback}")
                      if not any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in j["status"].get("conditions", []))]
        self.claim("no unfinished Job of the rollback is left behind", not unfinished, " ".join(unfinished))
        lock = self.lab.get("framework", framework, "-n", NAMESPACE)["status"].get("activeRollback")
        self.claim("the Framework is unlocked", not lock, json.dumps(lock))

    def kept_closed(self, status):
        """The previous database is there and lets nobody in; its name."""
        kept = status["previous"][0]["name"]
        found = self.lab.sql(f"select datallowconn from pg_database where datname = '{kept}'", "postgres")
        self.claim(f"the previous database is kept as {kept}, closed", found == "f", f"datallowconn is {found or 'of no such database'}")
        return kept
