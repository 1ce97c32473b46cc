"""A PostgreSQL 15 of our own: data in a temporary folder, in memory if there is room, loopback only, a port the kernel chose, ended by pid."""
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

VERSIONS = sorted(pathlib.Path("/usr/lib/postgresql").glob("[0-9]*"), key=lambda p: int(p.name)) if pathlib.Path("/usr/lib/postgresql").is_dir() else []
BIN = VERSIONS[-1] / "bin" if VERSIONS else None
PASSWORD = "even-more-sesame"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_memory():
    """Where a folder is in memory, None if there is no room: databases are copied all the time here, a thousand files each."""
    shared = pathlib.Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 4 << 30 else None


class SqlError(Exception):
    pass


class Server:
    """Owned by whoever makes it; `close` ends it and removes its data. The server runs as `postgres` if we are root."""

    def __init__(self, fsync=False):
        self.user = "postgres" if os.geteuid() == 0 else None
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="frb-pg-", dir=None if fsync else in_memory()))
        self.data = self.home / "data"
        self.port = free_port()
        self.fsync = fsync
        if self.user:
            os.chown(self.home, pwd.getpwnam(self.user).pw_uid, pwd.getpwnam(self.user).pw_gid)
        os.chmod(self.home, 0o755)
        (self.home / "password").write_text(PASSWORD)
        os.chmod(self.home / "password", 0o644)
        self._as_owner([BIN / "initdb", "-D", self.data, "-U", "postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256",
                        f"--pwfile={self.home / 'password'}", "--no-sync"])
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = ''\nfsync = {'on' if fsync else 'off'}\n"
                       "full_page_writes = on\nmax_prepared_transactions = 5\nwal_level = logical\nmax_wal_size = 128MB\nshared_buffers = 32MB\n"
                       "log_statement = 'none'\nautovacuum_naptime = 1s\nmax_connections = 60\n")
        self.pid = None
        self.start()

    def _as_owner(self, argv, **more):
        prefix = ["setpriv", f"--reuid={self.user}", f"--regid={pwd.getpwnam(self.user).pw_gid}", "--clear-groups"] if self.user else []
        return subprocess.run(prefix + [str(a) for a in argv], check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=120, **more)

    def start(self):
        self._as_owner([BIN / "pg_ctl", "-D", self.data, "-w", "-s", "-t", "60", "-l", self.home / "log", "start"])
        self.pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def crash(self):
        """SIGQUIT to the postmaster we started: like pulling the plug, but for the kernel's cache."""
        if self.pid:
            os.kill(self.pid, signal.SIGQUIT)
            self._wait_gone()

    def crash_and_restart(self):
        self.crash()
        self.start()

    def _wait_gone(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                break
            if pathlib.Path(f"/proc/{self.pid}/stat").read_text().split(")")[-1].split()[0] == "Z":
                break
            time.sleep(0.01)
        self.pid = None

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGINT)
            self._wait_gone()
        shutil.rmtree(self.home, ignore_errors=True)

    def environment(self, database="postgres", user="postgres", password=PASSWORD):
        return {"PATH": f"{BIN}:/usr/bin:/bin", "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": user, "PGPASSWORD": password,
                "PGDATABASE": database, "LC_ALL": "C", "PGCONNECT_TIMEOUT": "60"}

    def sql(self, statement, database="postgres", user="postgres", password=PASSWORD):
        """Rows as lists of strings; statements in one string run one by one."""
        done = subprocess.run([BIN / "psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-f", "-"], input=statement, text=True,
                              capture_output=True, env=self.environment(database, user, password), timeout=120)
        if done.returncode != 0:
            raise SqlError(done.stderr.strip())
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def value(self, statement, database="postgres", **more):
        return self.sql(statement, database, **more)[0][0]

    def databases(self):
        """name → (oid, open)"""
        return {row[0]: (int(row[1]), row[2] == "t") for row in self.sql("select datname, oid, datallowconn from pg_database")}

    def drop(self, name):
        self.sql(f'alter database "{name}" with allow_connections true; drop database "{name}" with (force)')
