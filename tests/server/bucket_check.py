"""A bucket (SeaweedFS) to which objects are added, by pyarrow, while the server is killed and goes on, and while the store is away:
each row is counted once, and keys are shown nowhere. An object that is written again is noticed."""

import json
import os
import random
import tempfile
import time

from harness import Server, Tally, eventually, seconds
from pyarrow import fs
from services import Service

SEED = int(os.environ.get("BUCKET_SEED", "0"))
KILLS = int(seconds("BUCKET_KILLS", 6))
VIEW = "SELECT count(*) AS c, count(DISTINCT n) AS d, sum(n) AS s FROM"


class Store(Service):
    """An object store of its own, and how a source is told of it."""

    def __init__(self) -> None:
        super().__init__("seaweedfs")
        self.secret = self.words["secret"]

    def options(self, prefix: str, secret: str) -> str:
        return (f"connector = 'file', path = 's3://{self.words['bucket']}/{prefix}', format = 'ndjson', mode = 'watch', list.seconds = '1', "
                f"endpoint = '{self.words['endpoint']}', allow_http = 'true', access_key = '{self.words['access']}', {secret}")  # fmt: skip

    def files(self) -> fs.S3FileSystem:
        address = self.words["endpoint"].split("://")[1]
        return fs.S3FileSystem(access_key=self.words["access"], secret_key=self.secret, endpoint_override=address, scheme="http",
                               region="us-east-1", background_writes=False)  # fmt: skip


class Objects:
    """Objects below a prefix; each has its own numbers."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store, self.prefix, self.objects, self.rows = store, prefix, 0, 0

    def put(self, name: str, rows: range) -> None:
        with self.store.files().open_output_stream(f"{self.store.words['bucket']}/{self.prefix}/{name}") as out:
            out.write("".join(json.dumps({"n": n}) + "\n" for n in rows).encode())

    def add(self, rows: int) -> None:
        self.put(f"{self.objects:04}.ndjson", range(self.rows, self.rows + rows))
        self.rows, self.objects = self.rows + rows, self.objects + 1

    def delete(self, number: int) -> None:
        self.store.files().delete_file(f"{self.store.words['bucket']}/{self.prefix}/{number:04}.ndjson")

    def expected(self) -> tuple:
        return (self.rows, self.rows, self.rows * (self.rows - 1) // 2)


def found(server: Server, view: str) -> tuple:
    with server.connect() as session:
        return tuple(int(n or 0) for n in session.execute(f"SELECT * FROM {view}").fetchone())


def job(server: Server, name: str) -> tuple[str, str]:
    with server.connect() as session:
        return next((row[2], row[3] or "") for row in session.execute("SHOW JOBS").fetchall() if row[1] == name)


def missing(server: Server, objects: Objects, when: str) -> list[str]:
    """What the views do not show within half a minute."""
    problems = []
    for view in ("v", "w"):
        if not eventually(lambda: found(server, view) == objects.expected(), 30):
            problems.append(f"{when}, {view}: {found(server, view)}, expected {objects.expected()}; {job(server, view)}; {server.log()[-500:]}")
    return problems


def through_kills(store: Store, folder: str) -> list[str]:
    chance, objects, data, problems = random.Random(SEED), Objects(store, "in"), f"{folder}/data", []
    objects.add(1000)
    for kill in range(KILLS):
        with Server("--data", data) as server:
            if kill == 0:
                with server.connect() as session:
                    session.execute(f"CREATE SECRET bucket_key AS '{store.secret}'")
                    options = store.options("in", "secret_key = SECRET bucket_key")
                    session.execute(f"CREATE SOURCE f (n BIGINT) WITH ({options})")
                    session.execute(f"CREATE MATERIALIZED VIEW v AS {VIEW} f")
                    session.execute(f"CREATE TABLE t WITH ({options})")
                    session.execute(f"CREATE MATERIALIZED VIEW w AS {VIEW} t")
                    shown = session.execute("SHOW CREATE TABLE t").fetchone()
                    if store.secret in str(shown):
                        problems.append("SHOW CREATE shows the secret key")
            for _ in range(chance.randrange(1, 6)):
                objects.add(chance.randrange(1, 20_000))
                time.sleep(chance.uniform(0, 0.5))
            if chance.random() < 0.5:
                problems += missing(server, objects, f"kill {kill}")
            time.sleep(chance.uniform(0, 2))
            problems += server.panics()
            if store.secret in server.log():
                problems.append("the log shows the secret key")
        if problems:
            return problems
    # The store is away while the server starts, and while it runs.
    store.script("stop")
    with Server("--data", data, log="error") as server:
        time.sleep(1)
        store.start()
        problems += missing(server, objects, "away at a start")
        store.script("stop")
        time.sleep(3)
        store.start()
        objects.add(500)
        problems += missing(server, objects, "away for a while")
        time.sleep(2.5)
        # What was read may be taken away while nobody looks.
        server.stop()
    for number in range(0, objects.objects, 2):
        objects.delete(number)
    with Server("--data", data) as server:
        objects.add(10)
        return problems + missing(server, objects, "some taken away") + server.panics()


def written_again(store: Store, folder: str) -> list[str]:
    objects, data, problems = Objects(store, "again"), f"{folder}/data", []
    objects.add(10)
    with Server("--data", data, log="error") as server, server.connect() as session:
        options = store.options("again", f"secret_key = '{store.secret}'")
        session.execute(f"CREATE SOURCE f (n BIGINT) WITH ({options})")
        session.execute(f"CREATE MATERIALIZED VIEW v AS {VIEW} f")
        if not eventually(lambda: found(server, "v") == objects.expected()):
            return [f"not read: {found(server, 'v')}"]
        objects.put("0000.ndjson", range(9, -1, -1))
        if not eventually(lambda: job(server, "v")[0] == "failed"):
            problems.append(f"after an object was written again the job is {job(server, 'v')}")
        elif "0000.ndjson was written again" not in job(server, "v")[1]:
            problems.append(job(server, "v")[1])
        return problems + server.panics()


def main() -> int:
    tally, store = Tally(), Store()
    print(f"BUCKET_SEED={SEED}", flush=True)
    for name, check in [("objects come through kills", through_kills), ("an object is written again", written_again)]:
        with tempfile.TemporaryDirectory(prefix="thalweg-bucket-") as folder:
            tally.run(name, check, store, folder)
    store.remove()
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
