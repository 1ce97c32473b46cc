"""A small client of the cluster's API server with the standard library, for the harness's own needs."""
import http.client
import json
import socket
import ssl

from .state import Cluster


class Status(Exception):
    def __init__(self, code: int, body: str):
        super().__init__(f"HTTP {code}: {body[:300]}")
        self.code = code


class Api:
    """One request per connection: these calls are few, and a server that restarts cannot leave a dead connection behind."""

    def __init__(self, cluster: Cluster, host: str, user: str = "admin"):
        self.host = host
        self.context = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
        self.context.load_cert_chain(str(cluster.pki / f"{user}.crt"), str(cluster.pki / f"{user}.key"))

    def ready(self) -> bool:
        try:
            return self._call("GET", "/readyz", timeout=2)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str):
        """The object, or None when there is none (or no server to ask yet)."""
        try:
            code, body = self._call("GET", path)
        except (OSError, http.client.HTTPException):
            return None
        if code == 404:
            return None
        if code >= 300:
            raise Status(code, body)
        return json.loads(body)

    def create(self, path: str, thing: dict) -> None:
        """Existing already counts as created."""
        code, body = self._call("POST", path, thing)
        if code >= 300 and code != 409:
            raise Status(code, body)

    def delete(self, path: str, uid: str) -> None:
        code, body = self._call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}})
        if code >= 300 and code not in (404, 409):
            raise Status(code, body)

    def watch(self, path: str, resource_version: str, seconds: int):
        """Yields the events of one watch until the server ends it."""
        connection = http.client.HTTPSConnection(self.host, 6443, timeout=seconds + 10, context=self.context)
        try:
            connection.request("GET", f"{path}?watch=true&resourceVersion={resource_version}&timeoutSeconds={seconds}")
            response = connection.getresponse()
            if response.status >= 300:
                raise Status(response.status, response.read().decode())
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def _call(self, method: str, path: str, body=None, timeout: float = 30):
        connection = http.client.HTTPSConnection(self.host, 6443, timeout=timeout, context=self.context)
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def answers(host: str, port: int, path: str, tls: bool = False) -> bool:
    """Whether a component's health endpoint says 200. Its own certificate is self-signed, and it is on our loopback."""
    try:
        if tls:
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection(host, port, timeout=2, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=2)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
            return True
        except OSError:
            return False
