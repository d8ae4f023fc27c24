"""A start when the world is not as it was: a source whose files are gone, and are there again later; a target that has lost what
it had; a target that is out of reach. The server starts, says what waits and why, and the rest goes on."""

import json
import os
import pathlib
import tempfile

import psycopg
from harness import Server, Tally, eventually
from services import Service


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


class Postgres(Service):
    def __init__(self) -> None:
        super().__init__("postgres")
        self.login = {name: self.words[name] for name in ("host", "port", "user", "password")}
        self.options = ", ".join(f"{name} = '{value}'" for name, value in self.login.items())

    def run(self, sql: str) -> list[tuple]:
        with psycopg.connect(**self.login, dbname="postgres", autocommit=True) as session:
            cursor = session.execute(sql)
            return cursor.fetchall() if cursor.description else []


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


def main() -> int:
    tally = Tally()
    for name, check in [("a source's files are gone for a while", source_is_gone), ("a target is not as it was", target_is_not_as_it_was)]:
        with tempfile.TemporaryDirectory(prefix="thalweg-recovery-") as folder:
            tally.run(name, check, folder)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
