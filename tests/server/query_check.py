"""What a query costs and how it finds its rows: indexes through changes and restarts, limits of memory."""

import pathlib
import random
import re
import sys
import tempfile
import time

import psycopg
from harness import Server, Tally, refusal


def plan(session, query: str) -> str:
    return "\n".join(line for (line,) in session.execute(f"EXPLAIN {query}").fetchall())


def uses_an_index(server: Server):
    """EXPLAIN names the index, and only where one serves."""
    with server.connect() as session:
        session.execute("CREATE TABLE plans (id BIGINT PRIMARY KEY, a INT, b VARCHAR)")
        session.execute("INSERT INTO plans SELECT i, i % 10, 'b' || i FROM generate_series(1, 1000) AS t(i)")
        session.execute("FLUSH")
        if "IndexScan" in plan(session, "SELECT * FROM plans WHERE a = 3"):
            yield "an index is used before there is one"
        session.execute("CREATE INDEX plans_a ON plans (a)")
        session.execute("CREATE INDEX plans_ab ON plans (b, a)")
        wanted = {
            "SELECT id FROM plans WHERE id = 7": "by=[id], keys=1",
            "SELECT id FROM plans WHERE a = 3": "by=[a], keys=1",
            "SELECT id FROM plans WHERE a IN (1, 2, 3, 4, 5)": "by=[a], keys=5",
            "SELECT id FROM plans WHERE a = 3 AND id > 5": "by=[a], keys=1",
            "SELECT id FROM plans WHERE a IN (1, 2) AND b = 'b1'": "by=[a, b], keys=2",
        }
        for query, by in wanted.items():
            if by not in plan(session, query):
                yield f"{query}: {plan(session, query)}"
        for query in ["SELECT id FROM plans WHERE a > 3", "SELECT id FROM plans WHERE b = 'b1'",
                      "SELECT id FROM plans WHERE a NOT IN (1, 2)", "SELECT id FROM plans WHERE a = 1 OR b = 'b1'"]:
            if "IndexScan" in plan(session, query):
                yield f"an index serves {query}"
        session.execute("DROP INDEX plans_a")
        deadline = time.monotonic() + 10
        while "by=[a]," in plan(session, "SELECT * FROM plans WHERE a = 3") and time.monotonic() < deadline:
            time.sleep(0.05)
        if "by=[a]," in plan(session, "SELECT * FROM plans WHERE a = 3"):
            yield "an index is used after it was dropped"
        if refusal(session, "CREATE UNIQUE INDEX plans_u ON plans (a)") != "0A000":
            yield "a unique index that nothing enforces is not refused"


def finds_what_a_scan_does(server: Server):
    """Random changes; each look-up, prepared or not, against the same condition in words that no index serves."""
    chance = random.Random(7)
    with server.connect(prepare_threshold=0) as session:
        session.execute("CREATE TABLE changing (id BIGINT PRIMARY KEY, a BIGINT, b VARCHAR)")
        session.execute("INSERT INTO changing SELECT i, i % 50, 'b' || (i % 7) FROM generate_series(1, 40000) AS t(i)")
        session.execute("FLUSH")
        session.execute("CREATE INDEX changing_a ON changing (a)")
        session.execute("CREATE INDEX changing_ab ON changing (a, b)")
        for _ in range(60):
            a, b, low = chance.randrange(55), f"b{chance.randrange(8)}", chance.randrange(40000)
            change = chance.choice([
                f"UPDATE changing SET a = {a} WHERE id BETWEEN {low} AND {low + 500}",
                f"DELETE FROM changing WHERE a = {a} AND id > {low}",
                f"INSERT INTO changing SELECT i, {a}, '{b}' FROM generate_series({low}, {low + 50}) AS t(i)",
            ])
            session.execute(change)
            session.execute("FLUSH")
            scan = session.execute(f"SELECT id FROM changing WHERE a + 0 = {a} AND b || '' = '{b}'").fetchall()
            for found in [
                session.execute("SELECT id FROM changing WHERE a = %s AND b = %s", (a, b)).fetchall(),
                session.execute(f"SELECT id FROM changing WHERE a = {a} AND b = '{b}'").fetchall(),
            ]:
                if sorted(found) != sorted(scan):
                    yield f"after {change}: {len(found)} rows for a = {a} and b = {b}, a scan finds {len(scan)}"
            both = session.execute("SELECT count(*), sum(id) FROM changing WHERE a = %s", (a,)).fetchone()
            if both != session.execute(f"SELECT count(*), sum(id) FROM changing WHERE a + 0 = {a}").fetchone():
                yield f"after {change}: a = {a} differs"


def survives_a_restart():
    with tempfile.TemporaryDirectory(prefix="thalweg-index-") as data:
        for start in range(2):
            with Server("--data", data) as server, server.connect() as session:
                if start == 0:
                    session.execute("CREATE TABLE kept (id INT PRIMARY KEY, a INT)")
                    session.execute("CREATE INDEX kept_a ON kept (a)")
                    session.execute("INSERT INTO kept SELECT i, i % 100 FROM generate_series(1, 30000) AS t(i)")
                    session.execute("FLUSH")
                if "by=[a]" not in plan(session, "SELECT * FROM kept WHERE a = 1"):
                    yield f"start {start}: the index is not used"
                if session.execute("SELECT count(*) FROM kept WHERE a = 1").fetchone() != (300,):
                    yield f"start {start}: the index finds other rows"
                if server.stop() != 0:
                    yield "the server did not end well"


def highest_kib(server: Server) -> int:
    """The most memory that the server has had so far."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def a_series_is_made_as_it_is_read(server: Server):
    """Fifty million rows, and the parts of a cursor over as many, never stand in memory together."""
    with server.connect() as session:
        before = highest_kib(server)
        if session.execute("SELECT count(*) FROM generate_series(1, 50000000)").fetchone() != (50_000_000,):
            yield "rows are missing"
        grown = (highest_kib(server) - before) // 1024
        if grown >= 64:
            yield f"counting them took {grown} MiB"
        session.execute("BEGIN")
        session.execute("DECLARE many CURSOR FOR SELECT i, 'a text of some length ' || i FROM generate_series(1, 2000000) AS t(i)")
        if session.execute("FETCH 2 FROM many").fetchall()[1][0] != 2:
            yield "the cursor begins elsewhere"
        before = highest_kib(server)
        with session.cursor() as cursor:
            count = sum(1 for _ in cursor.stream("FETCH ALL FROM many"))
        if count != 1_999_998:
            yield f"{count} rows are left of 2,000,000 after two"
        with session.cursor() as cursor, cursor.copy("COPY (SELECT * FROM generate_series(1, 2000000)) TO STDOUT") as rows:
            for _ in rows:
                pass
        grown = (highest_kib(server) - before) // 1024
        if grown >= 64:
            yield f"handing rows out took {grown} MiB"
        session.execute("COMMIT")


def a_query_has_a_limit(server: Server):
    with server.connect() as session:
        greedy = "SELECT count(*) FROM generate_series(1, 1000000) AS a(i) JOIN generate_series(1, 1000000) AS b(i) USING (i)"
        if session.execute(greedy).fetchone() != (1_000_000,):
            yield "a wrong answer"
        session.execute("SET query_memory_limit = '4MB'")
        if session.execute("SHOW query_memory_limit").fetchone() != ("4MB",):
            yield "the setting is shown otherwise"
        try:
            session.execute(greedy)
            yield "more memory was used than the query may"
        except psycopg.errors.OutOfMemory as error:
            said = f"{error.diag.message_primary} {error.diag.message_hint}"
            if "4MB" not in said or "SET query_memory_limit" not in said:
                yield f"the error does not name the limit and the mend: {said}"
        for wrong in ["'much'", "'1kB'", "-1"]:
            if refusal(session, f"SET query_memory_limit = {wrong}") != "22023":
                yield f"{wrong} is taken"
        session.execute("RESET query_memory_limit")
        if session.execute(greedy).fetchone() != (1_000_000,):
            yield "the memory was not given back"


def main() -> int:
    tally = Tally()
    with Server() as server:
        tally.run(a_series_is_made_as_it_is_read.__name__, lambda: list(a_series_is_made_as_it_is_read(server)))
    with Server() as server:
        for check in (uses_an_index, finds_what_a_scan_does, a_query_has_a_limit):
            tally.run(check.__name__, lambda check=check: list(check(server)))
        tally.add("no panics", server.panics())
    tally.run(survives_a_restart.__name__, lambda: list(survives_a_restart()))
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
