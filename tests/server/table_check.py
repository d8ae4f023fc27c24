"""Tables that a connector fills: upserts, deletions and changes of Debezium from a real Kafka broker, with a model of what must
stand; statements write to them as well; the server is killed and goes on. A table over a file."""

import json
import os
import pathlib
import random
import tempfile
import time

import psycopg
from confluent_kafka import Producer
from harness import Server, Tally
from services import Broker

SEED = int(os.environ.get("TABLE_SEED", "0"))


class Model:
    """What must stand, and the records that bring it about."""

    def __init__(self, broker: Broker) -> None:
        self.producer = Producer({"bootstrap.servers": broker.address})
        self.chance, self.rows = random.Random(SEED), {"up": {}, "de": {}}

    def send(self, topic: str, key: dict, value: dict | None) -> None:
        self.producer.produce(topic, key=json.dumps(key), value=None if value is None else json.dumps(value))

    def change(self, count: int) -> None:
        for _ in range(count):
            k, v = self.chance.randrange(40), self.chance.randrange(1000)
            up, de = self.rows["up"], self.rows["de"]
            if self.chance.random() < 0.3:
                self.send("up", {"k": k}, None)
                up.pop(k, None)
                if k in de:
                    self.send("de", {"k": k}, {"op": "d", "before": {"k": k, "v": de.pop(k)}, "after": None})
                    self.send("de", {"k": k}, None)
            else:
                self.send("up", {"k": k}, {"k": k, "v": v})
                before = {"k": k, "v": de[k]} if k in de else None
                self.send("de", {"k": k}, {"op": "u" if before else "c", "before": before, "after": {"k": k, "v": v}})
                up[k] = de[k] = v
        self.producer.flush()

    def wrong(self, server: Server, patience: float = 30) -> list[str]:
        """What is not as it must be, after some time to get there."""
        deadline = time.monotonic() + patience
        while True:
            problems = []
            with server.connect() as session:
                for table, rows in self.rows.items():
                    found = dict(session.execute(f"SELECT k, v FROM {table}").fetchall())
                    view = session.execute(f"SELECT c, s FROM {table}_view").fetchone()
                    if found != rows or view != (len(rows), sum(rows.values())):
                        problems.append(f"{table}: {sorted(found.items())}, view {view}, expected {sorted(rows.items())}")
            if not problems or time.monotonic() > deadline:
                return problems
            time.sleep(0.1)


def from_kafka(folder: str) -> list[str]:
    broker = Broker()
    for topic in ("up", "de"):
        broker.topic(topic, 3)
    model, problems = Model(broker), []
    model.change(100)
    with Server("--data", folder) as server, server.connect() as session:
        common = f"connector = 'kafka', properties.bootstrap.server = '{broker.address}', scan.startup.mode = 'earliest'"
        for topic, form in (("up", "upsert"), ("de", "debezium")):
            refused = f"CREATE SOURCE s (k INT, v BIGINT) WITH ({common}, topic = '{topic}', format = '{form}')"
            try:
                session.execute(refused)
                problems.append(f"{form}: a source was made")
            except psycopg.Error as error:
                if "CREATE TABLE" not in str(error):
                    problems.append(str(error))
            session.execute(f"CREATE TABLE {topic} (k INT PRIMARY KEY, v BIGINT) WITH ({common}, topic = '{topic}', format = '{form}')")
            session.execute(f"CREATE MATERIALIZED VIEW {topic}_view AS SELECT count(*) AS c, sum(v)::BIGINT AS s FROM {topic}")
        problems += model.wrong(server)
        session.execute("INSERT INTO up VALUES (100, 1), (101, 2)")
        session.execute("UPDATE up SET v = 3 WHERE k = 101")
        model.rows["up"] |= {100: 1, 101: 3}
        problems += model.wrong(server)
    for _ in range(5):
        model.change(50)
        with Server("--data", folder) as server:
            model.change(50)
            problems += model.wrong(server) + server.panics()
            time.sleep(model.chance.uniform(0, 1.5))
            model.change(20)
    with Server("--data", folder) as server:
        problems += model.wrong(server)
    broker.remove()
    return problems


def from_a_file(folder: str) -> list[str]:
    path = pathlib.Path(folder) / "in.json"
    path.write_text("".join(json.dumps({"k": n % 10, "v": n}) + "\n" for n in range(100)))
    problems = []
    for start in range(2):
        with Server("--data", f"{folder}/data") as server, server.connect() as session:
            if start == 0:
                session.execute(f"CREATE TABLE t (k INT PRIMARY KEY, v BIGINT, w BIGINT AS v * 2) WITH (connector = 'file', path = '{path}')")
                session.execute("INSERT INTO t VALUES (10, 1)")
            deadline = time.monotonic() + 30
            expected = [*((n, 90 + n, 2 * (90 + n)) for n in range(10)), (10, 1, 2)]
            while (found := sorted(session.execute("SELECT k, v, w FROM t").fetchall())) != expected and time.monotonic() < deadline:
                time.sleep(0.1)
            if found != expected:
                problems.append(f"start {start}: {found}")
            problems += server.panics()
    return problems


def main() -> int:
    tally = Tally()
    print(f"TABLE_SEED={SEED}", flush=True)
    for name, check in [("tables of Kafka topics", from_kafka), ("a table of a file", from_a_file)]:
        with tempfile.TemporaryDirectory(prefix="thalweg-table-") as folder:
            tally.run(name, check, folder)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
