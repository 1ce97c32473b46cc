"""The API server of the test, and our manifests installed on it once.

Requests go through `kubectl proxy`, so that whatever the kubeconfig says works (USE_EXISTING_CLUSTER), or straight to the server with
a ServiceAccount's own token. Answers are (HTTP status, decoded JSON). Every wait has a deadline.
"""
import atexit
import base64
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = pathlib.Path(__file__).resolve().parent / "fixtures"
GROUP = "rollback.pa-ecosystem.io"
OURS = f"/apis/{GROUP}/v1alpha1"
PLURALS = {"FrameworkClass": "frameworkclasses", "Framework": "frameworks", "BackupRepository": "backuprepositories",
           "FrameworkBackup": "frameworkbackups", "FrameworkRollback": "frameworkrollbacks"}
SECONDS = 30
os.environ["KUBECACHEDIR"] = tempfile.mkdtemp(prefix="kube-cache-")     # what kubectl remembers of a cluster may be 6 hours old
atexit.register(shutil.rmtree, os.environ["KUBECACHEDIR"], ignore_errors=True)


def kubectl(*arguments, given=None, good=True):
    """Runs the pinned kubectl and returns what it printed; stderr too if `good` is False."""
    done = subprocess.run([os.environ["KUBECTL"], *arguments], input=given, capture_output=True, text=True, timeout=120)
    if good and done.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout if good else done.stdout + done.stderr


def eventually(question, what, seconds=SECONDS):
    """Asks until the answer is true; returns it."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not so after {seconds} s")
        time.sleep(0.2)


class Server:
    """Sends requests as one identity. Not for use by several threads."""

    def __init__(self, base, headers=None, context=None):
        self.base, self.headers, self.context = base, headers or {}, context

    def send(self, method, path, body=None, kind="application/json", user=None, groups=()):
        headers = [("Accept", "application/json"), ("Content-Type", kind), *self.headers.items()]
        if user:
            headers.append(("Impersonate-User", user))
        request = urllib.request.Request(self.base + path, method=method)
        for name, value in headers:
            request.add_header(name, value)
        for group in groups[:1]:                  # urllib keeps one header of a name
            request.add_header("Impersonate-Group", group)
        if body is not None:
            request.data = (body if isinstance(body, str) else json.dumps(body)).encode()
        try:
            with urllib.request.urlopen(request, timeout=SECONDS, context=self.context) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as refused:
            text = refused.read().decode()
            try:
                return refused.code, json.loads(text)
            except ValueError:
                return refused.code, {"message": text}

    def get(self, path, **more):
        """Asks once more if the connection broke: `kubectl proxy` now and then closes one without an answer."""
        try:
            return self.send("GET", path, **more)
        except ConnectionError:
            return self.send("GET", path, **more)

    def post(self, path, body, **more):
        return self.send("POST", path, body, **more)

    def merge(self, path, body, **more):
        return self.send("PATCH", path, body, kind="application/merge-patch+json", **more)

    def may(self, user, verb, resource, namespace="", name="", groups=()):
        """What the API server's authorizer says, as `kubectl auth can-i --as`; resources as "deployments.apps/scale"."""
        rest, _, sub = resource.partition("/")
        plural, _, group = rest.partition(".")
        status, answer = self.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": list(groups), "resourceAttributes": {
                "verb": verb, "group": group, "resource": plural, "subresource": sub, "namespace": namespace, "name": name}}})
        if status != 201:
            raise AssertionError(f"SubjectAccessReview: {answer}")
        return answer["status"].get("allowed", False)


def _proxy():
    process = subprocess.Popen([os.environ["KUBECTL"], "proxy", "--port=0"], stdout=subprocess.PIPE, text=True)

    def end():
        process.terminate()
        process.wait(10)
    atexit.register(end)
    line = process.stdout.readline()
    found = re.search(r"127\.0\.0\.1:\d+", line)
    if not found:
        raise AssertionError(f"kubectl proxy said {line!r}")
    return Server("http://" + found.group())


def with_token(namespace, account):
    """A Server that is the ServiceAccount itself, by a token of its own."""
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))["clusters"][0]["cluster"]
    context = ssl.create_default_context()
    if "certificate-authority-data" in config:
        context = ssl.create_default_context(cadata=base64.b64decode(config["certificate-authority-data"]).decode())
    elif "certificate-authority" in config:
        context = ssl.create_default_context(cafile=config["certificate-authority"])
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)   # test authorities often lack the extensions it asks for
    token = kubectl("create", "token", account, "-n", namespace).strip()
    return Server(config["server"], {"Authorization": "Bearer " + token}, context)


def existing():
    """Whether the cluster is somebody's, and must look afterwards as it did before, but for our installation."""
    return os.environ.get("USE_EXISTING_CLUSTER", "").lower() in ("true", "1")


def namespace(name):
    """Makes a namespace, and waits until objects can be made in it. Its name begins with api-test-; on an existing cluster it is
    deleted in the end."""
    assert name.startswith("api-test-"), name
    if existing():
        atexit.register(lambda: subprocess.run([os.environ["KUBECTL"], "delete", "namespace", name, "--wait=false", "--ignore-not-found"], stdout=subprocess.DEVNULL, timeout=60))

    def there():
        status, answer = admin().post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        if status not in (201, 409):
            raise AssertionError(answer)
        return status == 201 or admin().get(f"/api/v1/namespaces/{name}")[1].get("status", {}).get("phase") == "Active"
    eventually(there, f"the namespace {name}, gone from an earlier run and made anew")
    eventually(lambda: admin().get(f"/api/v1/namespaces/{name}/serviceaccounts/default")[0] == 200, f"ServiceAccount default in {name}")
    return name


_admin = None
_installed = False


def admin():
    global _admin
    if _admin is None:
        _admin = _proxy()
    return _admin


def install():
    """Applies what an administrator applies, as documented, and waits until it is in force."""
    global _installed
    if _installed:
        return
    kubectl("apply", "-k", str(ROOT / "manifests/default"))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", *(f"{p}.{GROUP}" for p in PLURALS.values()))
    kubectl("apply", "-k", str(ROOT / "manifests/classes"))
    name = namespace("api-test-in-force")
    runner = f"system:serviceaccount:{name}:rollback-runner"
    kubectl("create", "rolebinding", "rollback-runner", "--clusterrole=rollback-runner", f"--serviceaccount={name}:rollback-runner", "-n", name)

    def denied(policy, path, body):
        def ask():
            return policy in admin().post(path + "?dryRun=All", body, user=runner)[1].get("message", "")
        eventually(ask, f"the policy {policy} in force")

    denied("rollback-runner-jobs", f"/apis/batch/v1/namespaces/{name}/jobs",
           {"metadata": {"name": "x"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}}}})
    denied("rollback-runner-ledger", f"/api/v1/namespaces/{name}/configmaps", {"metadata": {"name": "x"}})
    kubectl("delete", "namespace", name, "--wait=false")
    _installed = True


def documents(path):
    """The documents of a file of fixtures: (text, {what its leading comments say}, kind, name)."""
    out = []
    for text in path.read_text().split("\n---\n"):
        marks = dict(re.findall(r"^# (refused|update|status)(?:: (.*))?$", text, re.MULTILINE))
        kind = re.search(r"^kind: (\w+)$", text, re.MULTILINE).group(1)
        name = re.search(r"^metadata: \{name: ([^},]+)", text, re.MULTILINE).group(1)
        out.append((text, marks, kind, name))
    return out


def path_of(kind, space, name=""):
    where = OURS + ("" if kind == "FrameworkClass" else f"/namespaces/{space}") + "/" + PLURALS[kind]
    return where + (f"/{name}" if name else "")


def file_of(text):
    """A temporary file with `text`, gone when the process ends."""
    handle, path = tempfile.mkstemp(suffix=".yaml")
    with os.fdopen(handle, "w") as out:
        out.write(text)
    atexit.register(lambda: pathlib.Path(path).unlink(missing_ok=True))
    return path
