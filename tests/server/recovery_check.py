"""A start when the world is not as it was: a source whose files are gone, and are there again later; a target that has lost what
it had; a target that is out of reach; a row that a view cannot take. The server starts, says what waits or has failed and
why, and the rest goes on."""

import json
import os
import pathlib
import tempfile

import psycopg
from harness import Server, Tally, eventually
from services import Postgres


def jobs(server: Server) -> dict[str, tuple[str, str | None]]:
    """State and error of each job."""
    with server.connect() as session:
        return {row[1]: row[2:] for row in session.execute("SHOW JOBS").fetchall()}


def one(server: Server, sql: str) -> tuple:
    with server.connect() as session:
        return session.execute(sql).fetchone()


def source_is_gone(folder: str) -> list[str]:
    data, file, away = (str(pathlib.Path(folder) / name) for name in ("data", "in.json", "away.json"))
    pathlib.Path(file).write_text("".join(json.dumps({"n": n, "name": f"x{n}"}) + "\n" for n in range(100)))
    with Server("--data", data) as server, server.connect() as session:
        # Its columns are found in the file.
        session.execute(f"CREATE SOURCE f WITH (connector = 'file', path = '{file}', format = 'json')")
        session.execute("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS c, sum(n) AS t FROM f")
        session.execute("CREATE TABLE t (k INT PRIMARY KEY)")
        session.execute("INSERT INTO t VALUES (1)")
        if not eventually(lambda: one(server, "SELECT c FROM v") == (100,)):
            return ["the file was not read"]
        server.stop()
    os.rename(file, away)
    with Server("--data", data) as server:
        problems = []
        if one(server, "SELECT c, t FROM v") != (100, 4950):
            problems.append(f"the view has {one(server, 'SELECT c, t FROM v')}")
        state, error = jobs(server)["v"]
        if state != "retrying" or "in.json" not in (error or ""):
            problems.append(f"the job is {state}: {error}")
        problems += goes_on(server, "INSERT INTO t VALUES (2)", 2)
        with server.connect() as session:
            # What it knew of the columns holds.
            session.execute("CREATE MATERIALIZED VIEW w AS SELECT max(c) AS c FROM v")
        os.rename(away, file)
        if not eventually(lambda: jobs(server)["v"] == ("live", None)):
            problems.append(f"when the file is back the job is {jobs(server)['v']}")
        for view in ("v", "w"):
            if one(server, f"SELECT c FROM {view}") != (100,):
                problems.append(f"{view} has {one(server, f'SELECT c FROM {view}')}")
        return problems + server.panics()


def goes_on(server: Server, insert: str, rows: int) -> list[str]:
    """A table beside what waits."""
    with server.connect() as session:
        session.execute("SET rw_implicit_flush = true")
        session.execute(insert)
        found = session.execute("SELECT count(*) FROM t").fetchone()
    return [] if found == (rows,) else [f"the table stands still: {found}"]


def target_is_not_as_it_was(folder: str) -> list[str]:
    target, problems = Postgres(), []
    target.run("CREATE TABLE t (k INT PRIMARY KEY, v INT)")
    with Server("--data", folder) as server, server.connect() as session:
        session.execute("CREATE TABLE t (k INT PRIMARY KEY, v INT)")
        session.execute(f"CREATE SINK s FROM t WITH (connector = 'postgres', {target.options}, database = 'postgres', table = 't')")
        session.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
        if not eventually(lambda: target.run("SELECT count(*) FROM t") == [(2,)]):
            return [f"nothing was delivered: {jobs(server)}"]
        # Until a checkpoint says so.
        session.execute("INSERT INTO t VALUES (3, 3)")
        eventually(lambda: target.run("SELECT count(*) FROM t") == [(3,)])
        server.stop()
    target.script("stop")
    with Server("--data", folder) as server:
        if not eventually(lambda: jobs(server)["s"][0] == "retrying"):
            problems.append(f"without its target the job is {jobs(server)['s']}")
        with server.connect() as session:
            session.execute("INSERT INTO t VALUES (4, 4)")
        target.start()
        if not eventually(lambda: target.run("SELECT count(*) FROM t") == [(4,)] and jobs(server)["s"] == ("live", None)):
            problems.append(f"when the target is back the job is {jobs(server)['s']}")
        server.stop()
    [(progress,)] = target.run("SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE tablename LIKE '%progress%'")
    target.run(f"DELETE FROM {progress}")
    with Server("--data", folder, log="error") as server:
        if not eventually(lambda: jobs(server)["s"][0] == "failed"):
            problems.append(f"when the target has lost its progress the job is {jobs(server)['s']}")
        elif "SINK_REWOUND" not in jobs(server)["s"][1]:
            problems.append(jobs(server)["s"][1])
        problems += goes_on(server, "INSERT INTO t VALUES (5, 5)", 5)
        with server.connect() as session:
            # The mend that the error names.
            target.run("TRUNCATE t")
            session.execute("DROP SINK s")
            session.execute(f"CREATE SINK s FROM t WITH (connector = 'postgres', {target.options}, database = 'postgres', table = 't')")
        if not eventually(lambda: target.run("SELECT count(*), sum(v) FROM t") == [(5, 15)]):
            problems.append(f"the new sink has delivered {target.run('SELECT * FROM t')}, {jobs(server)}")
        problems += server.panics()
    target.remove()
    return problems


def poisoned(server: Server, rows: int) -> list[str]:
    """The view that cannot take a row has failed, what reads it as well; the others say what is right."""
    problems, found = [], jobs(server)
    for name in ("bad", "behind"):
        if found[name][0] != "failed" or "zero" not in (found[name][1] or ""):
            problems.append(f"{name} is {found[name]}")
    if found["good"] != ("live", None) or one(server, "SELECT c FROM good") != (rows,):
        problems.append(f"the other view is {found['good']} and has {one(server, 'SELECT c FROM good')}")
    with server.connect() as session:
        try:
            session.execute("SELECT * FROM bad")
            problems.append("a view that has failed is read")
        except psycopg.Error:
            pass
    return problems


def epoch_is_poisoned(folder: str) -> list[str]:
    """A row that a view cannot take stops that view, at every start again, and nothing else."""
    with Server("--data", folder, "--checkpoint-interval", "100ms") as server, server.connect() as session:
        session.execute("CREATE TABLE t (k INT PRIMARY KEY)")
        session.execute("CREATE MATERIALIZED VIEW good AS SELECT count(*) AS c FROM t")
        session.execute("CREATE MATERIALIZED VIEW bad AS SELECT k, 100 / k AS q FROM t")
        session.execute("CREATE MATERIALIZED VIEW behind AS SELECT sum(q) AS q FROM bad")
        session.execute("INSERT INTO t VALUES (1), (2); FLUSH")
        session.execute("INSERT INTO t VALUES (0)")
        if not eventually(lambda: jobs(server)["bad"][0] == "failed"):
            return [f"the view is {jobs(server)['bad']}"]
        problems = poisoned(server, 3) + goes_on(server, "INSERT INTO t VALUES (4)", 4)
        server.kill()
    for rows in (4, 5):
        with Server("--data", folder, "--checkpoint-interval", "100ms") as server:
            if not eventually(lambda: jobs(server)["bad"][0] == "failed"):
                return [*problems, f"after a start the view is {jobs(server)['bad']}"]
            problems += poisoned(server, rows) + goes_on(server, f"INSERT INTO t VALUES ({rows + 1})", rows + 1)
            server.kill()
    with Server("--data", folder) as server, server.connect() as session:
        session.execute("DROP MATERIALIZED VIEW bad CASCADE")
        session.execute("DELETE FROM t WHERE k = 0")
        session.execute("CREATE MATERIALIZED VIEW bad AS SELECT sum(100 / k) AS q FROM t")
        if one(server, "SELECT q FROM bad") != (100 + 50 + 25 + 20 + 16,):
            problems.append(f"the mended view has {one(server, 'SELECT q FROM bad')}")
        problems += server.panics()
    return problems


CHECKS = {
    "a source's files are gone for a while": source_is_gone,
    "a target is not as it was": target_is_not_as_it_was,
    "a row that a view cannot take": epoch_is_poisoned,
}


def main() -> int:
    tally = Tally()
    for name, check in CHECKS.items():
        with tempfile.TemporaryDirectory(prefix="thalweg-recovery-") as folder:
            tally.run(name, check, folder)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
