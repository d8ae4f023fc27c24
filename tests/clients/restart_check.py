"""What is created survives a restart: tables, rows, views, indexes, users and comments."""

import datetime
import pathlib
import tempfile

import psycopg

from harness import Server, Suite, same

suite = Suite("restart")
check = suite.check

CREATE = """
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price numeric, at timestamp, tags text[], raw bytea, j jsonb)
CREATE TABLE keyless (v int)
INSERT INTO keyless VALUES (1), (1), (2), (NULL)
FLUSH
CREATE VIEW dear AS SELECT * FROM item WHERE price > 600
CREATE MATERIALIZED VIEW hourly AS SELECT date_trunc('day', at) AS day, count(*) AS n, sum(price) AS total FROM item GROUP BY 1
CREATE MATERIALIZED VIEW busiest AS SELECT max(n) AS top FROM hourly
CREATE INDEX item_name ON item (name)
CREATE SCHEMA other
CREATE TABLE other.item (id int PRIMARY KEY)
INSERT INTO other.item VALUES (42)
CREATE USER keeper WITH PASSWORD 'secret'
COMMENT ON TABLE item IS 'things'
COMMENT ON COLUMN item.name IS 'what it is called'
COMMENT ON COLUMN item.id IS 'its number'
COMMENT ON COLUMN item.id IS NULL
DELETE FROM item WHERE id > 490
FLUSH
UPDATE item SET name = 'changed' WHERE id = 7
FLUSH
"""

QUESTIONS = [
    "SELECT * FROM item ORDER BY id",
    "SELECT * FROM keyless ORDER BY v",
    "SELECT id FROM dear ORDER BY id",
    "SELECT * FROM hourly ORDER BY day",
    "SELECT * FROM busiest",
    "SELECT * FROM other.item",
    "SELECT id FROM item WHERE name = 'changed'",
    "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'other') ORDER BY 1, 2",
    "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public' ORDER BY 1",
    "SELECT matviewname, definition FROM pg_matviews WHERE schemaname = 'public' ORDER BY 1",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
    "SELECT rolname FROM pg_roles WHERE rolname IN ('root', 'keeper') ORDER BY 1",
    "SELECT obj_description('item'::regclass, 'pg_class')",
    "SELECT col_description('item'::regclass, ordinal_position), column_name FROM information_schema.columns "
    "WHERE table_schema = 'public' AND table_name = 'item' ORDER BY ordinal_position",
    "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
    "WHERE table_schema = 'public' ORDER BY 1, ordinal_position",
]


class Life:
    """One data folder and the server on it."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="thalweg-restart-")
        self.start()

    def start(self) -> None:
        suite.server = Server(pathlib.Path(self.folder.name))

    def connect(self):
        return psycopg.connect(suite.server.url, autocommit=True, connect_timeout=5)

    def restart(self) -> None:
        same(suite.server.stop(), 0, "exit code of the server")
        self.start()

    def answers(self) -> dict:
        with self.connect() as connection:
            return {question: connection.execute(question).fetchall() for question in QUESTIONS}


life = None


@check
def creates():
    global life
    life = Life()
    with life.connect() as connection:
        first, *others = CREATE.strip().splitlines()
        connection.execute(first)
        rows = ", ".join(f"({n}, 'item {n}', {n * 1.25}, '2024-01-{1 + n // 24:02} {n % 24:02}:00', ARRAY['a', NULL], "
                         f"'\\x00ff', '{{\"a\": 1}}')" for n in range(1, 501))
        connection.execute(f"INSERT INTO item VALUES {rows}")
        for statement in others:
            connection.execute(statement)
    found = life.answers()
    same(len(found[QUESTIONS[0]]), 490)
    same(len(found[QUESTIONS[1]]), 4)


def compare(before: dict, after: dict) -> None:
    wrong = [f"{question}\n  before {before[question]!r:.500}\n  after  {after[question]!r:.500}"
             for question in QUESTIONS if before[question] != after[question]]
    assert not wrong, "\n".join(wrong)


@check
def checkpoints_are_told_in_sql():
    with life.connect() as connection:
        rows = connection.execute("SELECT epoch, durable_at, interval_ms, duration_ms, written_bytes, state_bytes "
                                  "FROM thalweg_catalog.checkpoints ORDER BY epoch").fetchall()
    assert rows and rows[0][2] is None, rows[:1]
    now = datetime.datetime.now(datetime.timezone.utc)
    assert all(now - datetime.timedelta(minutes=10) < row[1] <= now + datetime.timedelta(seconds=1) for row in rows), rows
    assert all(before[1] <= row[1] and row[2] >= 0 for before, row in zip(rows, rows[1:])), rows
    assert all(row[3] > 0 for row in rows) and rows[-1][5] > 490 and max(row[4] for row in rows) > 490, rows


@check
def everything_is_there_after_a_restart():
    before = life.answers()
    life.restart()
    compare(before, life.answers())


@check
def views_go_on_after_a_restart():
    with life.connect() as connection:
        connection.execute("INSERT INTO item (id, name, price, at) VALUES (1000, 'late', 1, '2024-06-01')")
        connection.execute("FLUSH")
        same(connection.execute("SELECT n, total FROM hourly WHERE day = '2024-06-01'").fetchall(), [(1, 1)])
        connection.execute("DELETE FROM item WHERE id <= 24")
        connection.execute("FLUSH")
        same(connection.execute("SELECT sum(n), sum(total) = (SELECT sum(price) FROM item) FROM hourly").fetchone(),
             (467, True))


@check
def keyless_rows_are_kept_apart_after_a_restart():
    with life.connect() as connection:
        connection.execute("INSERT INTO keyless VALUES (1)")
        connection.execute("FLUSH")
        same(connection.execute("SELECT count(*) FROM keyless").fetchone(), (5,))


@check
def user_logs_in_after_a_restart():
    url = suite.server.url.replace("root@", "keeper:secret@")
    with psycopg.connect(url, connect_timeout=5) as connection:
        same(connection.execute("SELECT current_user").fetchone(), ("keeper",))


@check
def twice():
    before = life.answers()
    life.restart()
    compare(before, life.answers())


@check
def what_is_dropped_stays_dropped():
    with life.connect() as connection:
        for statement in ("DROP MATERIALIZED VIEW busiest", "DROP MATERIALIZED VIEW hourly", "DROP VIEW dear",
                          "DROP INDEX item_name", "DROP TABLE item", "DROP USER keeper"):
            connection.execute(statement)
    life.restart()
    with life.connect() as connection:
        same(connection.execute("SELECT tablename FROM pg_tables WHERE schemaname IN ('public', 'other') ORDER BY 1").fetchall(),
             [("item",), ("keyless",)])
        same(connection.execute("SELECT count(*) FROM pg_roles WHERE rolname = 'keeper'").fetchone(), (0,))
        connection.execute("CREATE TABLE item (id int PRIMARY KEY)")
        same(connection.execute("SELECT * FROM public.item").fetchall(), [])
        same(connection.execute("SELECT * FROM other.item").fetchall(), [(42,)])


if __name__ == "__main__":
    suite.main(server=False)
