"""A real cluster with the operator and the shop in it, for the demo and the node tests: what both need, nothing either asserts."""
import atexit
import contextlib
import datetime
import errno
import http.client
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "tests/cluster/cluster"
IMAGES = ROOT / "build/images"
NAMESPACE = "demo"


AWAY = re.compile(r"connection refused|was refused|: EOF|unexpected EOF|connection reset|TLS handshake timeout|etcdserver|server is currently unable"
                  r"|http2: |ServiceUnavailable|no route to host|client connection lost")


class LabError(Exception):
    pass


def run(*argv, input=None, check=True, env=None, timeout=300):
    """Runs a program; its output, or LabError with the end of its stderr."""
    result = subprocess.run([str(a) for a in argv], input=input, capture_output=True, text=True, env=env, timeout=timeout, check=False)
    if check and result.returncode != 0:
        raise LabError(f"{' '.join(map(str, argv))}: exit {result.returncode}\n{result.stderr[-3000:]}{result.stdout[-500:]}")
    return result.stdout


def seconds(rfc3339: str) -> float:
    return datetime.datetime.fromisoformat(rfc3339.replace("Z", "+00:00")).timestamp()


class Lab:
    """One cluster. Not thread-safe, but kubectl(), get() and items() are. With USE_EXISTING_CLUSTER=true and KUBECONFIG it is one of the user's: nothing of it
    is started, ended or read but through its API server."""

    def __init__(self, name: str):
        self.name = name
        self.env = dict(os.environ)
        self.existing = os.environ.get("USE_EXISTING_CLUSTER", "").lower() in ("true", "1")
        self._asking, self._starting = threading.Lock(), threading.Lock()
        self._proxy = None
        self._kinds = {}                        # plural or singular → what _kind() returns

    # --- cluster

    def up(self, *archives):
        """Starts it, telling what is ready; nothing is captured, so that a person sees it come up."""
        argv = [CLUSTER, "up", self.name, "--tier", "node", *[a for archive in archives for a in ("--image", archive)]]
        if subprocess.run([str(a) for a in argv], check=False).returncode != 0:
            raise LabError(f"cluster {self.name} did not start")
        for line in run(CLUSTER, "env", self.name).splitlines():
            key, _, value = line.removeprefix("export ").partition("=")
            self.env[key] = shlex.split(value)[0] if value else ""
        if self.existing:
            self.env["KUBECACHEDIR"] = tempfile.mkdtemp(prefix="kube-cache-")   # what kubectl remembers of a cluster may be hours old
            atexit.register(shutil.rmtree, self.env["KUBECACHEDIR"], ignore_errors=True)

    def import_images(self, *archives):
        run(CLUSTER, "import", self.name, *archives)

    def down(self, keep_logs=None):
        run(CLUSTER, "down", self.name, *(["--keep-logs", keep_logs] if keep_logs else []), check=False)

    def kubectl(self, *argv, input=None, check=True, timeout=420) -> str:
        """Asks again for up to a minute while the API server is away (tests kill it), if asking again does no harm."""
        end = time.monotonic() + 60
        while True:
            try:
                return run(self.env["KUBECTL"], *argv, input=input, check=check, env=self.env, timeout=timeout)
            except LabError as error:
                if argv[0] not in ("get", "apply", "wait", "rollout") or not AWAY.search(str(error)) or time.monotonic() > end:
                    raise
            time.sleep(0.5)

    def get(self, kind, *argv):
        """What `kubectl get KIND [NAME] [-n NAMESPACE] [-l SELECTOR] -o json` prints, None if it does not exist. Asked by way of one `kubectl proxy`:
        tests ask several times a second, and a kubectl for each was a quarter of all they cost. Patient as kubectl() is."""
        name, options = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else ("", argv)
        options = dict(zip(options[::2], options[1::2]))
        prefix, plural, namespaced = self._kind(kind)
        path = prefix + (f"/namespaces/{options.get('-n', 'default')}" if namespaced else "") + f"/{plural}" + (f"/{name}" if name else "")
        return self._ask(path + ("?" + urllib.parse.urlencode({"labelSelector": options["-l"]}) if "-l" in options else ""))

    def _ask(self, path):
        end = time.monotonic() + 60
        while True:
            status, body = fetch(f"http://127.0.0.1:{self._proxy_port()}{path}", 30)
            if status in (200, 404):
                return json.loads(body) if status == 200 else None
            if (status not in (0, 429) and status < 500) or time.monotonic() > end:
                raise LabError(f"GET {path}: {status} {body[:500]}")
            time.sleep(0.5)

    def _kind(self, name):
        """Where a kind is, as the API server tells: (path of its group, plural, namespaced). One whose definition was just applied may take a moment."""
        def known():
            if name not in self._kinds:
                paths = ["/api/v1", *(f"/apis/{g['preferredVersion']['groupVersion']}" for g in self._ask("/apis")["groups"])]
                self._kinds = {word: (path, r["name"], r["namespaced"]) for path in reversed(paths) for r in (self._ask(path) or {"resources": []})["resources"]
                               if "/" not in r["name"] for word in (r["name"], r["singularName"])}
            return self._kinds.get(name)
        with self._asking:
            return self.wait_for(f"kind {name}", known, 30)

    def items(self, kind, *argv):
        """The items of a list, none if there are none."""
        return (self.get(kind, *argv) or {"items": []})["items"]

    def apply(self, *paths):
        for path in paths:
            self.kubectl("apply", "-f", path)

    def apply_text(self, text: str, *flags):
        self.kubectl("apply", "-f", "-", *flags, input=text)

    def wait_for(self, what, condition, timeout=120.0, every=0.5):
        """Calls `condition` until it gives something true, and returns that."""
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise LabError(f"{what}: not within {timeout:.0f} s")
            time.sleep(every)

    def _proxy_port(self):
        with self._starting:
            if self._proxy is None:
                self._proxy = subprocess.Popen([self.env["KUBECTL"], "proxy", "--port=0"], stdout=subprocess.PIPE, text=True, env=self.env)
                atexit.register(self._proxy.terminate)
                self._port = int(self._proxy.stdout.readline().rsplit(":", 1)[1])
            return self._port

    # --- operator and shop

    def install_operator(self):
        if self.existing and self.get("namespace", "rollback-system"):
            raise LabError("this cluster has an operator already (namespace rollback-system); the tests install and remove one of their own")
        self.kubectl("apply", "-k", ROOT / "manifests/default")
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        self.kubectl("apply", "-k", ROOT / "manifests/classes")
        self.kubectl("rollout", "status", "deployment/rollback-operator", "-n", "rollback-system", "--timeout=300s")

    def uninstall_operator(self):
        """For a cluster that stays."""
        for folder in ("classes", "default"):
            self.kubectl("delete", "-k", ROOT / f"manifests/{folder}", "--ignore-not-found", "--timeout=300s", check=False)

    def install_shop(self):
        self.kubectl("apply", "-k", ROOT / "tests/cluster/demo-app/manifests")
        self.kubectl("rollout", "status", "statefulset/db", "-n", NAMESPACE, "--timeout=300s")
        self.kubectl("rollout", "status", "deployment/shop", "-n", NAMESPACE, "--timeout=300s")

    def samples(self, *names):
        self.apply(*[ROOT / "manifests/samples/demo" / f"{name}.yaml" for name in names])

    def set_image(self, version, namespace=NAMESPACE):
        self.kubectl("set", "image", "deployment/shop", f"shop=localhost/demo-app:{version}", "-n", namespace)
        self.kubectl("rollout", "status", "deployment/shop", "-n", namespace, "--timeout=300s")

    def framework_runs(self, version, namespace=NAMESPACE, timeout=300):
        def seen():
            status = (self.get("framework", "shop", "-n", namespace) or {}).get("status", {})
            running = status.get("running", {})
            known = [s for s in running.get("schemas", []) if s["schema"].get("digest")]
            return running.get("version") == version and known and not status.get("activeRollback")
        self.wait_for(f"Framework shop to record {version} and its schema", seen, timeout)

    def rollback(self, name, namespace=NAMESPACE):
        return self.get("frameworkrollback", name, "-n", namespace)

    def ended(self, name, namespace=NAMESPACE, timeout=600):
        """Waits for the end of a rollback and returns the object."""
        def done():
            found = self.rollback(name, namespace)
            status = (found or {}).get("status", {})
            return found if any(c["type"] == "Completed" and c["status"] == "True" for c in status.get("conditions", [])) else None
        try:
            return self.wait_for(f"FrameworkRollback {name} to end", done, timeout)
        except LabError as error:
            raise LabError(f"{error}\n{self.story(namespace)}") from error

    def backup_done(self, name, namespace=NAMESPACE, timeout=300):
        def done():
            found = self.get("frameworkbackup", name, "-n", namespace)
            return found if (found or {}).get("status", {}).get("phase") in ("Completed", "Failed") else None
        return self.wait_for(f"FrameworkBackup {name} to end", done, timeout)

    def service_url(self, namespace=NAMESPACE, service="shop", port=8080):
        """Where a Service is reached from here: its own address, or on a cluster of the user's by way of the API server."""
        if self.existing:
            return f"http://127.0.0.1:{self._proxy_port()}/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy"
        return f"http://{self.get('service', service, '-n', namespace)['spec']['clusterIP']}:{port}"

    def sql(self, statement, database="shop", namespace=NAMESPACE, check=True):
        return self.kubectl("exec", "db-0", "-n", namespace, "--", "psql", "-X", "-A", "-t", "-h", "/var/run/postgresql", "-U", "postgres", "-d", database,
                            "-c", statement, check=check).strip()

    def story(self, namespace=NAMESPACE):
        """What a person would look at first when something went wrong."""
        parts = []
        for argv in (["get", "frameworkrollbacks,frameworkbackups,frameworks,jobs,pods", "-n", namespace, "-o", "wide"],
                     ["get", "events.events.k8s.io", "-n", namespace, "--sort-by=.metadata.creationTimestamp"],
                     ["logs", "-n", "rollback-system", "deployment/rollback-operator", "--tail=40"]):
            parts.append(f"--- kubectl {' '.join(argv)}\n" + self.kubectl(*argv, check=False)[-6000:])
        return "\n".join(parts)


# Below Linux' ephemeral ports (net.ipv4.ip_local_port_range begins at 32768). next() of it is atomic.
SOURCE_PORTS = itertools.cycle(range(12000, 32000))


class FreshConnection(http.client.HTTPConnection):
    """From a source port that nobody used for minutes. The kernel takes ports up again earlier, and conntrack remembers for 120 s (SYN_SENT)
    that one which was asking when a pod went leads to that pod: whoever has the port next is told "no route to host" a minute after all is well."""

    def connect(self):
        while True:
            self.source_address = ("", next(SOURCE_PORTS))
            try:
                return super().connect()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise


class FreshConnections(urllib.request.HTTPHandler):
    def http_open(self, req):
        return self.do_open(FreshConnection, req)


OPENER = urllib.request.build_opener(FreshConnections)


def fetch(url, timeout=15.0):
    """(status, body); status 0 when nobody answered. Patient: a machine may be busy, and who is away refuses at once."""
    try:
        with OPENER.open(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)


class Poller:
    """Customers who ask all the time, a request every `every` seconds whether or not earlier ones were answered, each on a connection of
    its own and patient enough that a slow answer is not a lost one. gaps() are the times when nobody got a 200. Many take turns: a connection
    to a pod that has just gone leads nowhere until patience ends, and that must not silence the others."""
    CUSTOMERS = 64

    def __init__(self, url, every=0.05, patience=15.0):
        self.url, self.every, self.patience = url, every, patience
        self.answers = []                       # (asked, answered, 200 or why not); appending is atomic
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(self.CUSTOMERS)]

    def _run(self, number):
        self._stop.wait(self.every * number)
        while not self._stop.is_set():
            asked = time.time()
            status, body = fetch(self.url, self.patience)
            self.answers.append((asked, time.time(), 200 if status == 200 else f"{status or ''} {body.strip()}".strip()))
            self._stop.wait(max(0.0, asked + self.every * self.CUSTOMERS - time.time()))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def gaps(self):
        """[Gap], each as long as what was told allows. An answer speaks of one moment between the asking and the answering, no more: a refusal may
        come late (TCP tries a lost connection again after 1, 3 and 7 s; a server is ended with a request in its hands), and so may a good answer.
        Failures are of one gap unless somebody asked and had a good answer in between."""
        good = sorted((asked, answered) for asked, answered, how in self.answers if how == 200)
        out = []
        for asked, answered, how in sorted((a for a in self.answers if a[2] != 200), key=lambda a: a[0]):
            if out and not any(out[-1].told <= began and ended <= asked for began, ended in good):
                out[-1].told = min(out[-1].told, answered)
                out[-1].until = asked
                out[-1].why.append(how)
            else:
                out.append(Gap(asked, asked, [how], told=answered))
        for gap in out:
            served = [began for began, ended in good if ended <= gap.told and began <= gap.told]
            gap.since = min(gap.told, max([gap.since] + served))
            gap.until = min((ended for began, ended in good if began >= gap.told and ended >= gap.until), default=gap.until)
        return out


class Gap:
    """A time without service, in seconds since the epoch, and what the customers were told."""

    def __init__(self, since, until, why, told=None):
        self.since, self.until, self.why = since, until, why
        self.told = told                        # when the first was told that nobody is there

    @property
    def seconds(self):
        return self.until - self.since

    def __repr__(self):
        kinds = sorted({w[:90] for w in self.why})
        return f"{self.seconds:.2f} s from {time.strftime('%H:%M:%S', time.gmtime(self.since))}.{int(self.since % 1 * 100):02} ({len(self.why)} requests: {'; '.join(kinds)})"


def agree(gap, downtime):
    """What is wrong between a Gap and status.downtime, "" if they agree. The status counts from before the write that stops the application to the
    operator's seeing it ready, and one machine has one clock. What may differ:

    - who asked before the application was stopped, and had no answer by then, fails with it; where nobody else had an answer meanwhile, the gap
      begins with that asking (seen on a busy node: 1.03 s before status.downtime began);
    - the write takes a while to stop the pod: 0.3 s on a quiet node; the longest seen 1.3 s (of 5.9), with three tests beside each other on
      two cores;
    - at the end a Service leads to a pod 0.2 s after the operator sees it ready (kube-proxy waits 0.1), a customer asks every 0.05 s, and
      some of them miss their turn: they still hang on the pod that went, or wait that second.

    So 1.2 s, and a quarter of the longer of the two, because what slows these slows all of it. A gap of 1.9 s agrees with 4.1 s at the most:
    a status that counted from staging on, or to the end of the checks, is found out."""
    started, ended = seconds(downtime["startedAt"]), seconds(downtime["endedAt"])
    slack = 1.2 + max(gap.seconds, ended - started) / 4
    if gap.since < started - slack:
        return f"service ended {started - gap.since:.2f} s before status.downtime begins"
    if gap.until > ended + slack:
        return f"service came back {gap.until - ended:.2f} s after status.downtime ends, more than {slack:.2f} s"
    if ended - started > gap.seconds + slack:
        return f"status.downtime is {ended - started:.2f} s, the gap {gap.seconds:.2f} s: more than {slack:.2f} s between them"
    return ""


class Acknowledged:
    """Every commit the shop was told of: follows the logs of all its pods, so nothing a dying pod said is missed."""

    def __init__(self, lab: Lab, namespace=NAMESPACE):
        self.lab, self.namespace = lab, namespace
        self.by_pod = {}                        # pod → [ids]; each list is written by one thread
        self._followers = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self._stop.is_set():
            for pod in [p["metadata"]["name"] for p in self.lab.items("pods", "-n", self.namespace, "-l", "app=shop") if p["status"].get("phase") == "Running"]:
                if pod not in self._followers:
                    self.by_pod[pod] = []
                    self._followers[pod] = threading.Thread(target=self._follow, args=(pod,), daemon=True)
                    self._followers[pod].start()
            self._stop.wait(0.5)

    def _follow(self, pod):
        """Reads a pod's log to its end; again from its beginning if the API server went away while the pod did not."""
        while not self._stop.is_set():
            process = subprocess.Popen([self.lab.env["KUBECTL"], "logs", "-f", pod, "-n", self.namespace], stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True, env=self.lab.env)
            for line in process.stdout:
                with contextlib.suppress(ValueError):
                    said = json.loads(line)
                    if said.get("event") == "acked":
                        self.by_pod[pod].append(said["id"])
                if self._stop.is_set():
                    break
            process.terminate()
            _, why = process.communicate()
            if not AWAY.search(why):
                break
            self._stop.wait(1)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def by_others(self, old, timeout=90):
        """Waits until pods that are not among `old` were told of an order; the names of those pods."""
        self.lab.wait_for("an order confirmed by a new pod", lambda: any(ids for pod, ids in list(self.by_pod.items()) if pod not in old), timeout)
        return [pod for pod in self.by_pod if pod not in old]

    def ids(self, *pods):
        return sorted({i for pod in (pods or self.by_pod) for i in self.by_pod[pod]})
