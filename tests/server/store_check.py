"""Checkpoints in a bucket of a real S3-compatible server (SeaweedFS): the server is killed and goes on from the bucket; while
the store is away the stream goes on and nothing is lost; only the data directory that a prefix belongs to is let in, and of two
copies of it only the later one writes."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from harness import BINARY, Server, Tally, eventually
from services import Service

SETUP = """
CREATE TABLE t (k INT PRIMARY KEY, v INT);
CREATE SOURCE s (k INT, v INT);
CREATE MATERIALIZED VIEW mt AS SELECT count(*) AS c, sum(v) AS t FROM t;
CREATE MATERIALIZED VIEW ms AS SELECT count(*) AS c, sum(v) AS t FROM s;
"""


class Store(Service):
    """An object store of its own, and how a server is told of it."""

    def __init__(self) -> None:
        super().__init__("seaweedfs")
        self.url, self.secret = f"s3://{self.words['bucket']}/checks/one", self.words["secret"]
        self.flags = ("--state-store", self.url, "--state-store-endpoint", self.words["endpoint"], "--state-store-allow-http")
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = self.words["access"], self.secret


class Writer:
    """Rows 1, 2, 3, … of a table and a source; what was acknowledged."""

    def __init__(self) -> None:
        self.rows = 0

    def write(self, server: Server, rounds: int = 5) -> None:
        for _ in range(rounds):
            numbers = range(self.rows + 1, self.rows + 101)
            with server.connect() as session:
                session.execute("INSERT INTO t VALUES " + ", ".join(f"({n}, {n})" for n in numbers))
            status, text = server.ingest("s", [{"k": n, "v": n} for n in numbers])
            assert status == 200, text
            self.rows += 100

    def check(self, server: Server) -> list[str]:
        expected = (self.rows, self.rows * (self.rows + 1) // 2)
        with server.connect() as session:
            session.execute("FLUSH")
            found = {view: session.execute(f"SELECT c, t FROM {view}").fetchone() for view in ("mt", "ms")}
            found["t"] = session.execute("SELECT count(*), sum(v) FROM t").fetchone()
        return [f"{name}: {row}, expected {expected}" for name, row in found.items() if row != expected]


def checkpoints(server: Server) -> int:
    with server.connect() as session:
        return session.execute("SELECT count(*) FROM thalweg_catalog.checkpoints").fetchone()[0]


def kills(store: Store, data: str, writer: Writer) -> list[str]:
    with Server("--data", data, *store.flags) as server, server.connect() as session:
        session.execute(SETUP)
        writer.write(server)
    problems = []
    for _ in range(4):
        with Server("--data", data, *store.flags) as server:
            problems += writer.check(server)
            before = checkpoints(server)
            writer.write(server)
            if not eventually(lambda: checkpoints(server) > before):
                problems.append("no checkpoint was taken")
            writer.write(server, 2)
            problems += server.panics()
            if store.secret in server.log():
                problems.append("the log shows the secret key")
    if (pathlib.Path(data) / "checkpoints").exists():
        problems.append("there are checkpoints in the data directory")
    return problems


def away(store: Store, data: str, writer: Writer) -> list[str]:
    with Server("--data", data, *store.flags, log="error") as server:
        problems = writer.check(server)
        store.script("stop")
        writer.write(server, 10)
        # What was acknowledged is read while nothing can be kept.
        problems += writer.check(server)
        if not eventually(lambda: "could not be made durable" in server.log()):
            problems.append(f"the log does not tell that the store is away: {server.log()[-500:]}")
        writer.write(server, 10)
        store.start()
        count = checkpoints(server)
        if not eventually(lambda: checkpoints(server) > count):
            problems.append(f"no checkpoint after the store is back: {server.log()[-500:]}")
        problems += writer.check(server)
    with Server("--data", data, *store.flags) as server:
        problems += writer.check(server)
        store.script("pause")
        writer.write(server, 10)
        problems += writer.check(server)
        store.script("resume")
        writer.write(server)
    with Server("--data", data, *store.flags) as server:
        return problems + writer.check(server) + server.panics()


def verified(store: Store, data: str, writer: Writer) -> list[str]:
    with Server("--data", data, *store.flags) as server:
        writer.write(server)
        command = [BINARY, "checkpoint", "verify", *store.flags]
        done = subprocess.run(command, capture_output=True, text=True)
        problems = [] if done.returncode == 0 and "whole" in done.stdout else [done.stdout + done.stderr]
        # A look takes nothing over.
        writer.write(server)
        return problems + writer.check(server)


def fenced(store: Store, data: str, writer: Writer) -> list[str]:
    problems = []
    with tempfile.TemporaryDirectory() as other:
        try:
            Server("--data", other, *store.flags).kill()
            problems.append("another data directory was let in")
        except RuntimeError as error:
            if "belong to another data directory" not in str(error):
                problems.append(str(error))
    with tempfile.TemporaryDirectory() as scratch, Server("--data", data, *store.flags, log="error") as first:
        writer.write(first)
        time.sleep(2)
        copy = shutil.copytree(data, f"{scratch}/copy")
        with Server("--data", copy, *store.flags) as second:
            problems += writer.check(second)
            with first.connect() as session:
                session.execute("INSERT INTO t VALUES (-1, 0)")
            if not eventually(lambda: first.process.poll() is not None):
                problems.append("the server that was taken over from goes on")
            elif "another server has taken over" not in first.log():
                problems.append(f"it does not say why it ended: {first.log()[-500:]}")
            problems += writer.check(second)
    return problems


def main() -> int:
    tally, store, writer = Tally(), Store(), Writer()
    data = tempfile.mkdtemp(prefix="thalweg-store-")
    for name, check in [
        ("killed, it goes on from the bucket", kills),
        ("the store is away for a while", away),
        ("thalweg checkpoint verify", verified),
        ("one server at a time", fenced),
    ]:
        tally.run(name, check, store, data, writer)
    print(f"{writer.rows} rows acknowledged", flush=True)
    store.remove()
    shutil.rmtree(data, ignore_errors=True)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
