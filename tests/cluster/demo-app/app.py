"""A small shop, the application that the node tests take back to an earlier version.

On start it runs the migrations of its release that the table `migrations` does not name yet; names it does not know it
leaves alone, as most frameworks do. So an old release on a newer database says it is healthy and is broken.

A writer thread inserts an order every 100 ms and remembers the ids whose COMMIT the server acknowledged: GET /acked. After a
rollback every one of them up to the backup must still be there.

    GET /healthz   200 once migrated and while the database answers     GET /version    {"version": ...}
    GET /orders    {"count": n, "orders": [the 10 newest]}              POST /orders    {"item": ..., "note": ...} → 201 {"id": n}
    GET /checkout  200; release 2.0.0 answers 500                       GET /acked      {"count": n, "max": id, "ids": [...]}

Environment: libpq's own (PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD), PORT (8080), WRITE_EVERY_MS (100; 0 is never),
UNHEALTHY_VERSION (the release of that version answers 500 at /healthz).
"""
import http.server
import json
import os
import signal
import sys
import threading
import time
import traceback

import psycopg2
import release

START_SECONDS = 120                     # for the database to appear
IDLE_CONNECTIONS = 4


def connect():
    return psycopg2.connect(connect_timeout=30, tcp_user_timeout=5000, application_name=f"demo-app-{release.VERSION}")


def say(**fields):
    print(json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **fields}), flush=True)


def migrate():
    """All pending migrations in one transaction; a second pod of the same release waits for the lock and finds none."""
    connection = connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(7331)")
            cursor.execute("create table if not exists migrations (id serial primary key, name text not null unique)")
            cursor.execute("select name from migrations")
            done = {row[0] for row in cursor.fetchall()}
            for name, statements in release.MIGRATIONS:
                if name not in done:
                    cursor.execute(statements)
                    cursor.execute("insert into migrations (name) values (%s)", (name,))
                    say(event="migrated", name=name)
            unknown = sorted(done - {name for name, _ in release.MIGRATIONS})
            if unknown:
                say(event="ignored migrations of another release", names=unknown)
    finally:
        connection.close()


def migrate_when_possible():
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            return migrate()
        except psycopg2.OperationalError as error:
            if time.monotonic() > end:
                raise
            say(event="waiting for the database", error=str(error).strip())
            time.sleep(0.5)


class Writer(threading.Thread):
    """The steady customer. `acked` holds only ids whose commit returned; it is guarded by `lock`."""

    def __init__(self, every: float):
        super().__init__(daemon=True)
        self.every = every
        self.lock = threading.Lock()
        self.acked = []

    def run(self):
        connection = None
        number = 0
        while True:
            time.sleep(self.every)
            try:
                if connection is None:
                    connection = connect()
                with connection, connection.cursor() as cursor:
                    cursor.execute(release.INSERT, (f"item {number}", f"by {release.VERSION}"))
                    order = cursor.fetchone()[0]
                number += 1
                with self.lock:
                    self.acked.append(order)
                say(event="acked", id=order)
            except psycopg2.Error as error:
                say(event="write failed", error=str(error).strip())
                if connection is not None:
                    connection.close()
                connection = None

    def ids(self):
        with self.lock:
            return list(self.acked)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    writer = None                       # set by main
    idle = []                           # connections to the database; append and pop are atomic

    def do_GET(self):
        self.answer({"/healthz": self.healthz, "/version": lambda: {"version": release.VERSION}, "/orders": self.orders,
                     "/checkout": self.checkout, "/acked": self.acked}.get(self.path.split("?")[0]))

    def do_POST(self):
        self.answer(self.order if self.path == "/orders" else None, 201)

    def answer(self, make, good=200):
        code, body = good, {"error": f"nothing at {self.path}"}
        if make is None:
            code = 404
        else:
            try:
                body = make()
            except Exception as error:  # a web framework's last resort: the request fails, the process goes on
                traceback.print_exc()
                code, body = 500, {"error": str(error).strip()}
        data = json.dumps(body, default=str).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def query(self, statement):
        """Reads, on a connection that an earlier request left if there is one that still works: a server's process and a password's proof
        for each request cost more than all else here."""
        while True:
            try:
                connection, used = self.idle.pop(), True
            except IndexError:
                connection, used = connect(), False
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute(statement)
                    rows = cursor.fetchall()
            except psycopg2.Error:
                connection.close()
                if used:
                    continue
                raise
            if len(self.idle) < IDLE_CONNECTIONS:
                self.idle.append(connection)
            else:
                connection.close()
            return rows

    def healthz(self):
        if os.environ.get("UNHEALTHY_VERSION") == release.VERSION:
            raise RuntimeError(f"{release.VERSION} was told to be unhealthy")
        self.query("select 1")
        return {"status": "ok"}

    def orders(self):
        rows = self.query(f"select {', '.join(release.COLUMNS)} from orders order by id desc limit 10")
        return {"count": self.query("select count(*) from orders")[0][0], "orders": [dict(zip(release.COLUMNS, r)) for r in rows]}

    def order(self):
        wish = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        connection = connect()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(release.INSERT, (wish["item"], wish.get("note", "")))
                return {"id": cursor.fetchone()[0]}
        finally:
            connection.close()

    def checkout(self):
        return release.checkout(self.query("select count(*) from orders")[0][0])

    def acked(self):
        ids = self.writer.ids()
        return {"count": len(ids), "max": max(ids, default=0), "ids": ids}

    def log_message(self, *_):
        pass                            # probes would fill the log


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128            # of socketserver's 5 a busy node makes SYNs that are dropped, tried again after 1, 3 and 7 s


def main():
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))      # pid 1 ignores it otherwise
    say(event="starting", version=release.VERSION)
    migrate_when_possible()
    every = int(os.environ.get("WRITE_EVERY_MS", "100")) / 1000
    Handler.writer = Writer(every)
    if every > 0:
        Handler.writer.start()
    server = Server(("", int(os.environ.get("PORT", "8080"))), Handler)
    say(event="serving", version=release.VERSION)
    server.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except psycopg2.Error:
        traceback.print_exc()
        sys.exit(1)
