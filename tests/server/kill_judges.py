"""Targets of sinks, each read back with its own client and compared with what was acknowledged: each row once, none missing,
none that never was."""

import collections
import json
import pathlib
import time

import pyarrow.parquet
from confluent_kafka import Consumer, TopicPartition
from harness import Server, eventually
from services import Broker, Postgres

PARTITIONS = 3


def expected_rows(states: list[dict], pushed: bool = False) -> set[tuple[int, int]]:
    """Of table `a`, or of source `s`."""
    return {(who, n) for who, s in enumerate(states) if s["pushes"] == pushed for n in range(1, s["acked"] + 1)}


def compared(target: str, seen: collections.Counter, wrong: list, expected: set[tuple[int, int]]) -> list[str]:
    """What is wrong with rows (who, n) that a target holds, and with `wrong` ones."""
    lost, phantom = expected - seen.keys(), seen.keys() - expected
    twice = {key: count for key, count in seen.items() if count > 1}
    found = [("lost", lost), ("phantom", phantom), ("duplicated", twice), ("wrong", wrong)]
    print(f"{target}: {sum(seen.values())} rows", flush=True)
    return [f"{target}: {len(what)} {kind}: {sorted(what, key=repr)[:5]}" for kind, what in found if what]


class Kafka(Broker):
    """A topic of table `a`, and one of the last row of each key of view `ma`."""

    def __init__(self) -> None:
        super().__init__()
        self.topic("a", PARTITIONS)
        self.topic("ma", 1)
        common = f"connector = 'kafka', properties.bootstrap.server = '{self.address}', format = 'json'"
        self.sinks = [
            f"CREATE SINK ka FROM a WITH ({common}, topic = 'a', primary_key = 'who,n')",
            f"CREATE SINK kma FROM ma WITH ({common}, topic = 'ma', primary_key = 'who', type = 'upsert')",
        ]

    def messages(self, topic: str, partitions: int, enough, patience: float):
        """Records at read_committed, until `enough()` for two seconds."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "judge", "isolation.level": "read_committed",
                             "auto.offset.reset": "earliest", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        deadline, quiet = time.monotonic() + patience, None
        while time.monotonic() < deadline and (quiet is None or time.monotonic() < quiet):
            messages = consumer.consume(10_000, 0.5)
            yield from messages
            # All is there: what comes now is too much.
            if not messages and enough():
                quiet = quiet or time.monotonic() + 2
        consumer.close()

    def check(self, server: Server, states: list[dict], patience: float = 60) -> list[str]:
        expected = expected_rows(states)
        seen, wrong, order = collections.Counter(), [], {}
        for message in self.messages("a", PARTITIONS, lambda: len(seen) >= len(expected), patience):
            row = json.loads(message.value())
            seen[row["who"], row["n"]] += 1
            if row["h"] != row["n"] * 7:
                wrong.append(row)
            # A key is in one partition; its records are in the order of their epochs.
            key, epoch = (row["who"], row["n"]), int(dict(message.headers())["tw-epoch"])
            if order.setdefault(key, (message.partition(), epoch)) > (message.partition(), epoch):
                wrong.append(("order", row))
        problems = compared("Kafka", seen, wrong, expected)
        with server.connect() as session:
            view = {row[0]: row[1:] for row in session.execute("SELECT who, c, t, m, h FROM ma")}
        last: dict = {}

        def latest() -> bool:
            return last == view

        for message in self.messages("ma", 1, latest, patience):
            key = json.loads(message.key())["who"]
            value = message.value() and json.loads(message.value())
            last.pop(key, None)
            if value:
                last[key] = tuple(value[name] if name == "c" else int(value[name]) for name in ("c", "t", "m", "h"))
        if last != view:
            problems.append(f"Kafka, the last of each key: {last}, the view: {view}")
        return problems


class Tables(Postgres):
    """A table of table `a`, and one of view `ma`, whose rows are replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.run("CREATE TABLE a (who INT, n BIGINT, h BIGINT)")
        self.run("CREATE TABLE ma (who INT PRIMARY KEY, c BIGINT, t NUMERIC, m BIGINT, h BIGINT)")
        common = f"connector = 'postgres', {self.options}, database = 'postgres'"
        self.sinks = [
            f"CREATE SINK pa FROM a WITH ({common}, table = 'a', type = 'append-only', force_append_only = 'true')",
            f"CREATE SINK pma FROM ma WITH ({common}, table = 'ma', primary_key = 'who')",
        ]

    def check(self, server: Server, states: list[dict], patience: float = 60) -> list[str]:
        expected = expected_rows(states)
        eventually(lambda: self.run("SELECT count(*) FROM a")[0][0] >= len(expected), patience)
        seen, wrong = collections.Counter(), []
        for who, n, h in self.run("SELECT who, n, h FROM a"):
            seen[who, n] += 1
            if h != n * 7:
                wrong.append((who, n, h))
        problems = compared("PostgreSQL", seen, wrong, expected)
        with server.connect() as session:
            view = session.execute("SELECT who, c, t, m, h FROM ma ORDER BY 1").fetchall()
        if not eventually(lambda: self.run("SELECT who, c, t, m, h FROM ma ORDER BY 1") == view, patience):
            problems.append(f"PostgreSQL, by key: {self.run('SELECT * FROM ma ORDER BY 1')}, the view: {view}")
        return problems


class Lake:
    """Parquet files of source `s`, as its log of commits names them."""

    def __init__(self, folder: str) -> None:
        self.folder = pathlib.Path(folder)
        self.sinks = [f"CREATE SINK ls FROM s WITH (connector = 'lake', path = '{folder}')"]

    def files(self) -> list[str]:
        """What the commits name, in their order."""
        commits = sorted((self.folder / "_commits").glob("*.json"))
        return [part["path"] for commit in commits for part in json.loads(commit.read_text())["files"]]

    def rows(self) -> int:
        return sum(pyarrow.parquet.read_metadata(self.folder / file).num_rows for file in self.files())

    def check(self, server: Server, states: list[dict], patience: float = 60) -> list[str]:
        expected = expected_rows(states, pushed=True)
        eventually(lambda: self.rows() >= len(expected), patience)
        seen, files = collections.Counter(), self.files()
        for file in files:
            table = pyarrow.parquet.read_table(self.folder / file, partitioning=None)
            seen.update(zip(table.column("who").to_pylist(), table.column("n").to_pylist()))
        problems = compared("lake", seen, [], expected)
        if len(set(files)) != len(files):
            problems.append("a file of the lake is in two commits")
        return problems

    def remove(self) -> None:
        pass


def all_judges(folder: str, names: list[str]) -> list:
    """Those of `names`."""
    makers = {"kafka": Kafka, "postgres": Tables, "lake": lambda: Lake(folder)}
    return [makers[name]() for name in names]
