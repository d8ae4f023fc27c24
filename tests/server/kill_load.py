"""What writes and reads while the server is killed. Each knows what was acknowledged and what was sent."""

import json
import os
import threading
import time

import psycopg
from harness import Server

ROWS = int(os.environ.get("KILL_ROWS", "200"))
PAIRS, PUSHERS = 3, 2

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

GONE = (psycopg.Error, OSError, json.JSONDecodeError)


class Writer(threading.Thread):
    """Writes n = 1, 2, 3, … under its number until the server is gone."""

    def __init__(self, server: Server, number: int, state: dict) -> None:
        super().__init__(daemon=True)
        self.server, self.number, self.state = server, number, state

    def run(self) -> None:
        try:
            self.push() if self.state["pushes"] else self.pairs()
        except GONE:
            pass  # The server was killed: what was not acknowledged is open.

    def next(self) -> range:
        first = self.state["sent"] + 1
        self.state["sent"] += ROWS
        return range(first, first + ROWS)

    def pairs(self) -> None:
        with self.server.connect(autocommit=False) as session:
            while True:
                numbers = self.next()
                for table in "ab":
                    with session.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                        copy.write("".join(f"{self.number}\t{n}\t{n * 7}\n" for n in numbers))
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

    QUERY = "SELECT ma.who, ma.c, ma.t, ma.m, mb.c, mb.t, both.c FROM ma JOIN mb ON ma.who = mb.who JOIN both ON ma.who = both.who"

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.problems, self.reads = server, [], 0

    def run(self) -> None:
        try:
            with self.server.connect() as session:
                while not self.problems:
                    for who, c, t, m, cb, tb, cj in session.execute(self.QUERY).fetchall():
                        if not (c == m == cb == cj and t == tb == m * (m + 1) // 2):
                            self.problems.append(f"writer {who}: {c} rows to {m}, sum {t}; other table {cb}, {tb}; joined {cj}")
                    self.reads += 1
        except GONE:
            pass


class Churner(threading.Thread):
    """Tables and views come and go. `state["there"]`: those that are certainly there; `state["open"]`: not known."""

    def __init__(self, server: Server, state: dict) -> None:
        super().__init__(daemon=True)
        self.server, self.state = server, state

    def run(self) -> None:
        try:
            with self.server.connect() as session:
                while True:
                    self.turn(session)
        except GONE:
            pass

    def change(self, session: psycopg.Connection, name: str, statement: str, there: bool) -> None:
        self.state["open"] = {name}
        session.execute(statement)
        (self.state["there"].add if there else self.state["there"].discard)(name)
        self.state["open"] = set()

    def turn(self, session: psycopg.Connection) -> None:
        self.state["made"] += 1
        table, view = f"churn_{self.state['made']}", f"churnv_{self.state['made']}"
        self.change(session, table, f"CREATE TABLE {table} (k INT PRIMARY KEY)", True)
        session.execute(f"INSERT INTO {table} VALUES (1), (2)")
        self.state["filled"].add(table)
        self.change(session, view, f"CREATE MATERIALIZED VIEW {view} AS SELECT count(*) AS c FROM {table}", True)
        for old in sorted(self.state["there"] - {table, view}, key=lambda name: "churn_" in name):
            self.change(session, old, f"DROP {'TABLE' if 'churn_' in old else 'MATERIALIZED VIEW'} {old}", False)


def check(server: Server, states: list[dict], churn: dict) -> list[str]:
    """What is wrong with what stands; afterwards the writers go on from it."""
    problems = []
    with server.connect() as session:
        session.execute("FLUSH")
        found = {name: {row[0]: row[1:] for row in session.execute(f"SELECT * FROM {name}")} for name in ("ma", "mb", "both", "ms")}
        plain = {row[0]: row[1:] for row in session.execute("SELECT who, count(*), sum(n), max(n) FROM a GROUP BY who")}
        total = session.execute("SELECT c, t FROM total").fetchone()
        last = session.execute("SELECT who, n FROM last ORDER BY 1, 2").fetchall()
        problems += check_churn(session, churn)
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


def check_churn(session: psycopg.Connection, churn: dict) -> list[str]:
    """The catalog holds what was acknowledged; the rest is dropped, so that it is known again."""
    names = {name for (name,) in session.execute("SELECT relname FROM pg_class WHERE relname LIKE 'churn%' AND relkind IN ('r', 'm')")}
    problems = []
    if lost := churn["there"] - names - churn["open"]:
        problems.append(f"the catalog has lost {sorted(lost)}")
    if back := names - churn["there"] - churn["open"]:
        problems.append(f"the catalog has {sorted(back)}, which were dropped or never made")
    for name in sorted(names & churn["there"] & churn["filled"]):
        if (count := session.execute(f"SELECT count(*) FROM {name}").fetchone()) != (2,):
            problems.append(f"{name} has {count} rows")
        view = name.replace("churn_", "churnv_")
        if view in names and (count := session.execute(f"SELECT c FROM {view}").fetchone()) != (2,):
            problems.append(f"{view} says {count}")
    # It may die in one of them.
    churn.update(there=set(), open=names, filled=set())
    for name in names:
        if "churn_" in name:
            session.execute(f"DROP TABLE {name} CASCADE")
    churn["open"] = set()
    return problems
