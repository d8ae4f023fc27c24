"""The server is killed again and again, at random moments, also while it recovers. Nothing that it acknowledged may be lost,
nothing counted twice, no transaction torn, at any time.

Each writer writes n = 1, 2, 3, … under its own number: pairs of tables in one transaction, and a source by HTTP. It knows what
was acknowledged and what was sent. After each start, and in the end, its rows must be 1 to some n that is at least the
acknowledged and at most the sent one, each once, in the tables, in views over them, in a view over views, and in a view of the
source, which keeps nothing itself. A reader looks all the time whether both tables stand at the same n.

A sink takes one of the tables to a real Kafka broker; in the end another client reads it at read_committed and finds each row
once.

KILLS: how many (60). KILL_KAFKA=0: without Kafka. KILL_SEED: of what is random (0). KILL_ROWS: rows a statement writes (200).
"""

import collections
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time

import psycopg
from confluent_kafka import Consumer, TopicPartition
from harness import Server, Tally
from services import Broker

KILLS = int(os.environ.get("KILLS", "60"))
SEED = int(os.environ.get("KILL_SEED", "0"))
ROWS = int(os.environ.get("KILL_ROWS", "200"))
KAFKA = os.environ.get("KILL_KAFKA", "1") != "0"
PAIRS, PUSHERS = 3, 2
PARTITIONS = 3

SETUP = """
CREATE TABLE a (who INT, n BIGINT, h BIGINT, PRIMARY KEY (who, n));
CREATE TABLE b (who INT, n BIGINT, h BIGINT, PRIMARY KEY (who, n));
CREATE SOURCE s (who INT, n BIGINT);
CREATE MATERIALIZED VIEW ma AS SELECT who, count(*) AS c, sum(n) AS t, max(n) AS m, min(h) AS h FROM a GROUP BY who;
CREATE MATERIALIZED VIEW mb AS SELECT who, count(*) AS c, sum(n) AS t, max(n) AS m FROM b GROUP BY who;
CREATE MATERIALIZED VIEW both AS SELECT a.who, count(*) AS c FROM a JOIN b ON a.who = b.who AND a.n = b.n GROUP BY a.who;
CREATE MATERIALIZED VIEW total AS SELECT sum(c) AS c, sum(t) AS t FROM ma;
CREATE MATERIALIZED VIEW ms AS SELECT who, count(*) AS c, sum(n) AS t, max(n) AS m FROM s GROUP BY who;
CREATE MATERIALIZED VIEW last AS SELECT who, n FROM (SELECT who, n, row_number() OVER (PARTITION BY who ORDER BY n DESC) AS r FROM a) WHERE r <= 3;
"""


class Writer(threading.Thread):
    """Writes until the server is gone."""

    def __init__(self, server: Server, number: int, state: dict, pushes: bool) -> None:
        super().__init__(daemon=True)
        self.server, self.number, self.state, self.pushes = server, number, state, pushes

    def run(self) -> None:
        try:
            self.push() if self.pushes else self.pairs()
        except (psycopg.Error, OSError, json.JSONDecodeError):
            pass  # The server was killed: what was not acknowledged is open.

    def next(self) -> range:
        first = self.state["sent"] + 1
        self.state["sent"] += ROWS
        return range(first, first + ROWS)

    def pairs(self) -> None:
        with self.server.connect(autocommit=False) as session:
            while True:
                numbers = self.next()
                values = ", ".join(f"({self.number}, {n}, {n * 7})" for n in numbers)
                session.execute(f"INSERT INTO a VALUES {values}")
                session.execute(f"INSERT INTO b VALUES {values}")
                session.commit()
                self.state["acked"] = numbers[-1]
                # What changes nothing takes no place in any order.
                session.execute("DELETE FROM a WHERE who = -1")
                session.commit()

    def push(self) -> None:
        while True:
            numbers = self.next()
            status, _ = self.server.ingest("s", [{"who": self.number, "n": n} for n in numbers])
            if status == 200:
                self.state["acked"] = numbers[-1]
            elif status == 429:
                self.state["sent"] = numbers[0] - 1
                time.sleep(0.02)
            else:
                return


class Reader(threading.Thread):
    """Both tables stand at the same n, at every epoch that is read."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.problems, self.reads = server, [], 0

    def run(self) -> None:
        try:
            with self.server.connect() as session:
                while not self.problems:
                    query = "SELECT ma.who, ma.c, ma.t, ma.m, mb.c, mb.t, both.c FROM ma JOIN mb ON ma.who = mb.who JOIN both ON ma.who = both.who"
                    for who, c, t, m, cb, tb, cj in session.execute(query).fetchall():
                        if not (c == m == cb == cj and t == tb == m * (m + 1) // 2):
                            self.problems.append(f"writer {who}: {c} rows to {m}, sum {t}; other table {cb}, {tb}; joined {cj}")
                    self.reads += 1
        except (psycopg.Error, OSError):
            pass


def check(server: Server, states: list[dict], final: bool) -> list[str]:
    """What is wrong with what stands; afterwards the writers go on from it."""
    problems = []
    with server.connect() as session:
        session.execute("FLUSH")
        found = {name: {row[0]: row[1:] for row in session.execute(f"SELECT * FROM {name}")} for name in ("ma", "mb", "both", "ms")}
        plain = {row[0]: row[1:] for row in session.execute("SELECT who, count(*), sum(n), max(n) FROM a GROUP BY who")}
        total = session.execute("SELECT c, t FROM total").fetchone()
        last = session.execute("SELECT who, n FROM last ORDER BY 1, 2").fetchall()
    for number, state in enumerate(states):
        views = ("ms",) if state["pushes"] else ("ma", "mb")
        tops = {found[view].get(number, (0, 0, 0))[2] or 0 for view in views}
        top = max(tops)
        if len(tops) != 1:
            problems.append(f"writer {number}: a transaction is torn: {sorted(tops)}")
        if not state["acked"] <= top <= state["sent"]:
            kind = "lost" if top < state["acked"] else "phantom"
            problems.append(f"writer {number}: {kind}: {top} stands, {state['acked']} was acknowledged, {state['sent']} sent")
        for view in views:
            count, total_n = (found[view].get(number) or (0, 0))[:2]
            if (count, total_n or 0) != (top, top * (top + 1) // 2):
                problems.append(f"writer {number}, {view}: {count} rows with sum {total_n} up to {top}")
        if not state["pushes"] and top:
            if plain.get(number) != (top, top * (top + 1) // 2, top):
                problems.append(f"writer {number}, the table: {plain.get(number)} up to {top}")
            if found["both"].get(number) != (top,) or found["ma"][number][3] != 7:
                problems.append(f"writer {number}: joined {found['both'].get(number)}, first {found['ma'][number]}")
            if [n for who, n in last if who == number] != list(range(max(1, top - 2), top + 1)):
                problems.append(f"writer {number}: last {[n for who, n in last if who == number]}, not up to {top}")
        state["acked"] = state["sent"] = top
    expected = sum(s["acked"] for s in states if not s["pushes"])
    if (total[0] or 0) != expected:
        problems.append(f"the view over views has {total}, the views {expected} rows")
    return problems


class Judged(Broker):
    """A broker of its own, with a topic."""

    def __init__(self) -> None:
        super().__init__()
        self.topic("a", PARTITIONS)

    def sink(self) -> str:
        return f"""CREATE SINK ka FROM a WITH (connector = 'kafka', properties.bootstrap.server = '{self.address}',
                   topic = 'a', primary_key = 'who,n', format = 'json')"""

    def check(self, states: list[dict], patience: float = 60) -> list[str]:
        """What another client finds wrong with the topic."""
        expected = {(who, n) for who, s in enumerate(states) if not s["pushes"] for n in range(1, s["acked"] + 1)}
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "judge", "isolation.level": "read_committed",
                             "auto.offset.reset": "earliest", "enable.auto.commit": False})
        consumer.assign([TopicPartition("a", p, 0) for p in range(PARTITIONS)])
        seen, wrong = collections.Counter(), []
        deadline, quiet = time.monotonic() + patience, None
        while time.monotonic() < deadline and (quiet is None or time.monotonic() < quiet):
            messages = consumer.consume(10_000, 0.5)
            for message in messages:
                row = json.loads(message.value())
                if row["h"] != row["n"] * 7:
                    wrong.append(row)
                seen[row["who"], row["n"]] += 1
            # All is there: what comes now is too much.
            if not messages and len(seen) >= len(expected):
                quiet = quiet or time.monotonic() + 2
        consumer.close()
        lost, phantom = expected - seen.keys(), seen.keys() - expected
        twice = {key: count for key, count in seen.items() if count > 1}
        found = [("lost", lost), ("phantom", phantom), ("duplicated", twice), ("wrong", wrong)]
        print(f"Kafka: {sum(seen.values())} records", flush=True)
        return [f"Kafka: {len(what)} {kind}: {sorted(what, key=repr)[:5]}" for kind, what in found if what]


def main() -> int:
    tally, chance = Tally(), random.Random(SEED)
    data = tempfile.mkdtemp(prefix="thalweg-kill-")
    flags = ("--data", data)
    states = [{"acked": 0, "sent": 0, "pushes": n >= PAIRS} for n in range(PAIRS + PUSHERS)]
    broker = Judged() if KAFKA else None
    with Server(*flags) as server, server.connect() as session:
        session.execute(SETUP)
        if broker:
            session.execute(broker.sink())
    kills, recoveries, problems, reads = 1, [], [], 0
    print(f"KILL_SEED={SEED} KILLS={KILLS}", flush=True)
    while kills < KILLS and not problems:
        if chance.random() < 0.2:
            # Also while it recovers, several times running.
            for _ in range(chance.randint(1, 3)):
                kills += 1
                try:
                    early = Server(*flags, patience=chance.uniform(0.02, 0.6))
                    early.kill()
                except RuntimeError:
                    pass
        began = time.monotonic()
        # State comes back on any number of workers.
        workers = chance.choice(("1", "2", "2", "3"))
        try:
            server = Server(*flags, "--workers", workers)
        except RuntimeError as error:
            problems.append(str(error))
            break
        with server:
            problems += check(server, states, final=False)
            recoveries.append(time.monotonic() - began)
            reader = Reader(server)
            threads = [reader, *(Writer(server, n, s, s["pushes"]) for n, s in enumerate(states))]
            [thread.start() for thread in threads]
            time.sleep(chance.uniform(0.05, 1.5))
            server.kill()
            kills += 1
            [thread.join(30) for thread in threads]
            problems += reader.problems + server.panics()
            reads += reader.reads
    with Server(*flags) as server:
        problems += check(server, states, final=True)
        if broker:
            problems += broker.check(states)
        stopped = server.stop()
    if stopped != 0:
        problems.append(f"the server ended with {stopped}")
    with Server(*flags) as server:
        problems += check(server, states, final=True)
    if broker:
        broker.remove()
    rows = sum(s["acked"] for s in states)
    recoveries.sort()
    at = lambda q: recoveries[min(len(recoveries) - 1, int(q * len(recoveries)))]  # noqa: E731
    size = sum(os.path.getsize(os.path.join(folder, f)) for folder, _, files in os.walk(data) for f in files)
    print(
        f"{kills} kills, {rows} rows acknowledged, {reads} reads meanwhile; start to first checked read p50 {at(0.5):.2f} s, "
        f"p99 {at(0.99):.2f} s; {size >> 20} MiB on disk",
        flush=True,
    )
    tally.add(f"{kills} kills: nothing lost, nothing twice, nothing torn (KILL_SEED={SEED})", problems)
    if problems:
        print(f"the data directory stays: {data}", file=sys.stderr)
    else:
        shutil.rmtree(data)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
