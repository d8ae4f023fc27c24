"""Data quality and secrets, through every door: expectations that fail, drop and set aside; a quarantine that is mended and
replayed; its survival of a restart; secrets that appear in no answer, file or log."""

import json
import pathlib
import subprocess
import tempfile

import psycopg
from harness import Server, Tally

CANARY = "c4n4ry-" + "x9" * 8


class Checks(Tally):
    """A tally of plain comparisons."""

    def check(self, name: str, good: bool, found: object = "") -> None:
        self.add(name, [] if good else [repr(found)])

    def equal(self, name: str, found: object, expected: object) -> None:
        self.add(name, [] if found == expected else [f"found    {found!r}", f"expected {expected!r}"])


def rows(server: Server, sql: str) -> list[tuple]:
    with server.connect() as connection:
        return connection.execute(sql).fetchall()


def run(server: Server, sql: str) -> str:
    """The command tag, or the SQLSTATE of the error."""
    with server.connect() as connection:
        try:
            connection.execute("SET rw_implicit_flush = true")
            return connection.execute(sql).statusmessage
        except psycopg.Error as error:
            return error.sqlstate


def ingest(server: Server, relation: str, lines: list[dict]) -> tuple[int, dict]:
    status, text = server.ingest(relation, lines)
    return status, json.loads(text)


def expectations(server: Server, tally: Checks) -> None:
    run(
        server,
        """CREATE TABLE pay (id INT PRIMARY KEY, amount INT, fee INT AS amount / 10)
           EXPECT (positive CHECK (amount > 0), cheap CHECK (fee < 100) ON VIOLATION DROP,
                   allowed CHECK (id <> 13) ON VIOLATION FAIL)""",
    )
    tally.equal("rows that are not as expected are not counted", run(server, "INSERT INTO pay VALUES (1, 5), (2, -5), (3, 9000)"), "INSERT 0 1")
    tally.equal("one that must not be refuses all", run(server, "INSERT INTO pay VALUES (13, 1), (14, 1)"), "23514")
    tally.equal("nothing of it is there", rows(server, "SELECT id FROM pay ORDER BY id"), [(1,)])
    tally.equal("what is set aside", rows(server, "SELECT id, amount, violated FROM pay$quarantine"), [(2, -5, "positive")])
    tally.equal("an update to what is not expected changes nothing", run(server, "UPDATE pay SET amount = -1 WHERE id = 1"), "UPDATE 0")
    tally.equal("the row is as it was", rows(server, "SELECT id, amount FROM pay"), [(1, 5)])
    tally.equal("RETURNING has what went in", rows(server, "INSERT INTO pay VALUES (21, 1), (22, -1) RETURNING id"), [(21,)])
    tally.equal("replay leaves what is still wrong", run(server, "REPLAY QUARANTINE pay"), "REPLAY 0")
    tally.equal("mended", run(server, "UPDATE pay$quarantine SET amount = 7 WHERE id = 2"), "UPDATE 1")
    tally.equal("and replayed", run(server, "REPLAY QUARANTINE pay WHERE id = 2"), "REPLAY 1")
    tally.equal("it is where it belongs", rows(server, "SELECT id, amount, fee FROM pay WHERE id = 2"), [(2, 7, 0)])
    tally.equal("and set aside no more", rows(server, "SELECT count(*) FROM pay$quarantine WHERE id = 2"), [(0,)])
    with server.connect() as connection, connection.cursor() as cursor:
        with cursor.copy("COPY pay (id, amount) FROM STDIN") as copy:
            [copy.write_row((n, n - 33)) for n in range(31, 36)]
        tally.equal("COPY", cursor.statusmessage, "COPY 2")
    tally.equal("a transaction's rows come together", transaction(server), [(41,), (43,)])
    known = "SELECT name, on_violation, violations FROM thalweg_catalog.expectations WHERE relation_name = 'pay' ORDER BY 1"
    # positive: rows 2, 1, 22, 31 to 33 and 42.
    tally.equal("the counters", rows(server, known), [("allowed", "FAIL", 1), ("cheap", "DROP", 1), ("positive", "QUARANTINE", 7)])
    metrics = server.request("GET", "/metrics")[2]
    line = 'thalweg_expectation_violations_total{relation="pay",expectation="positive",action="QUARANTINE"} 7'
    tally.check("the metric", line in metrics, line)


def transaction(server: Server) -> list[tuple]:
    with server.connect(autocommit=False) as connection:
        connection.execute("INSERT INTO pay VALUES (41, 1), (42, -1)")
        connection.execute("INSERT INTO pay VALUES (43, 1)")
    run(server, "FLUSH")
    return rows(server, "SELECT id FROM pay WHERE id > 40 UNION ALL SELECT id FROM pay$quarantine WHERE id = 43 ORDER BY 1")


def sources(server: Server, tally: Checks) -> None:
    run(server, "CREATE SOURCE clicks (who TEXT, n INT) EXPECT (counted CHECK (n >= 0), named CHECK (who <> 'nobody') ON VIOLATION FAIL)")
    run(server, "CREATE MATERIALIZED VIEW total AS SELECT who, sum(n) AS n FROM clicks GROUP BY who")
    status, answer = ingest(server, "clicks", [{"who": "ann", "n": 2}, {"who": "bob", "n": -1}, {"who": "ann", "n": 3}])
    tally.equal("ingest says what it set aside", (status, answer["accepted"], answer["set_aside"]), (200, 2, 1))
    status, answer = ingest(server, "clicks", [{"who": "eve", "n": 2}, {"who": "nobody", "n": 1}])
    tally.check("and refuses what must not be", status in (400, 422) and "named" in json.dumps(answer), (status, answer))
    run(server, "FLUSH")
    tally.equal("the view has the good rows", rows(server, "SELECT * FROM total"), [("ann", 5)])
    tally.equal("the rest is kept", rows(server, "SELECT who, n, violated FROM clicks$quarantine"), [("bob", -1, "counted")])
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson") as file:
        file.writelines(json.dumps({"id": n, "v": n % 3}) + "\n" for n in range(9))
        file.flush()
        run(server, f"CREATE SOURCE numbers (id INT, v INT) EXPECT (even CHECK (v <> 1)) WITH (connector = 'file', path = '{file.name}', format = 'json')")
        tally.equal("a source that is read", rows(server, "SELECT count(*), sum(id) FROM numbers"), [(6, 24)])
        tally.equal("and its quarantine", rows(server, "SELECT id, violated FROM numbers$quarantine ORDER BY id"), [(1, "even"), (4, "even"), (7, "even")])
        tally.equal("that cannot be replayed", run(server, "REPLAY QUARANTINE numbers"), "42809")
        run(server, "DROP SOURCE numbers")


def objects(server: Server, tally: Checks) -> None:
    tally.equal("a quarantine goes with its table", run(server, "DROP TABLE pay$quarantine"), "2BP01")
    run(server, "CREATE MATERIALIZED VIEW why AS SELECT violated, count(*) AS n FROM pay$quarantine GROUP BY violated")
    tally.equal("views of it hold it", run(server, "DROP TABLE pay"), "2BP01")
    tally.equal("a new name", run(server, "ALTER TABLE pay RENAME TO paid"), "ALTER TABLE")
    tally.check("is the quarantine's too", len(rows(server, "SELECT id FROM paid$quarantine")) > 0)
    run(server, "CREATE USER stranger PASSWORD 'stranger'")
    denied = server.connect("stranger", password="stranger")
    for sql in ("SELECT * FROM paid$quarantine", "REPLAY QUARANTINE paid"):
        try:
            denied.execute(sql)
            tally.check(f"{sql} is refused", False)
        except psycopg.errors.InsufficientPrivilege:
            tally.check(f"{sql} is refused", True)
    denied.close()


def secrets(server: Server, tally: Checks) -> None:
    for sql, tag in [
        (f"CREATE SECRET pass WITH (backend = 'meta') AS '{CANARY}'", "CREATE SECRET"),
        (f"CREATE SECRET pass AS '{CANARY}'", "42P07"),
        (f"CREATE SECRET IF NOT EXISTS pass AS '{CANARY}'", "CREATE SECRET"),
        (f"ALTER SECRET pass AS '{CANARY}2'", "ALTER SECRET"),
        (f"CREATE SECRET other AS '{CANARY}' nonsense", "42601"),
        (
            "CREATE SOURCE feed (n INT) WITH (connector = 'kafka', topic = 't', properties.bootstrap.server = '127.0.0.1:1',"
            " properties.security.protocol = 'sasl_plaintext', properties.sasl.mechanism = 'PLAIN', properties.sasl.username = 'u',"
            " properties.sasl.password = SECRET pass) FORMAT PLAIN ENCODE JSON",
            "CREATE SOURCE",
        ),
        ("CREATE SECRET seed AS '7'", "CREATE SECRET"),
        ("CREATE SOURCE wrong (n INT) WITH (connector = 'datagen', rows = SECRET pass)", "42P10"),
        ("SELECT * FROM feed", None),
        ("CREATE CONNECTION gen WITH (type = 'datagen', rows = '4', seed = '1')", "CREATE CONNECTION"),
        ("CREATE SOURCE four (n INT) WITH (connection = gen)", "CREATE SOURCE"),
        ("CREATE SOURCE wrong (n INT) WITH (connector = 'nexmark', connection = gen)", "42809"),
        ("DROP SECRET pass", "2BP01"),
        ("DROP CONNECTION gen", "2BP01"),
        ("SELECT * FROM pass", "42809"),
    ]:
        got = run(server, sql)
        tally.check(f"{sql.replace(CANARY, '…')[:60]}: {tag or 'an error'}", got == tag or (tag is None and got != "00000"), got)
    tally.equal("a connection's options reach the source", rows(server, "SELECT count(*) FROM four"), [(4,)])
    tally.equal("secrets are listed", rows(server, "SHOW SECRETS"), [("pass",), ("seed",)])
    tally.equal("connections are listed", rows(server, "SHOW CONNECTIONS"), [("gen",)])
    run(server, "CREATE USER guest PASSWORD 'guest'")
    with server.connect("guest", password="guest") as guest:
        sql = "CREATE SOURCE mine (n INT) WITH (connector = 'datagen', seed = SECRET seed)"
        try:
            guest.execute(sql)
            tally.check("a secret is of use to those who were granted it", False)
        except psycopg.errors.InsufficientPrivilege:
            tally.check("a secret is of use to those who were granted it", True)
        tally.equal("the grant", run(server, "GRANT USAGE ON SECRET seed TO guest"), "GRANT")
        guest.execute(sql)
        tally.check("and then it is", True)
        # Whoever changes the own password does so again when the catalog is redone.
        guest.execute("ALTER USER guest PASSWORD 'another'")
    seen = []
    for sql in (
        "SHOW CREATE SOURCE feed", "SHOW CREATE pass", "SHOW CREATE CONNECTION gen", "SHOW ALL", "SHOW JOBS",
        "SELECT * FROM thalweg_catalog.sources", "SELECT * FROM thalweg_catalog.secrets", "SELECT * FROM rw_catalog.rw_connections",
        "SELECT * FROM pg_catalog.pg_stat_activity", "SELECT * FROM thalweg_catalog.relations", "EXPLAIN SELECT * FROM feed",
    ):
        try:
            seen.append(repr(rows(server, sql)))
        except psycopg.Error as error:
            seen.append(str(error))
    for sql in ("SELECT * FROM feed", f"CREATE SECRET 1 AS '{CANARY}'", f"CREATE SECRET a AS '{CANARY}' '", f"CREATE SECRET a WITH (x='{CANARY}') AS"):
        try:
            rows(server, sql)
        except psycopg.Error as error:
            # What a client shows of its own statement is the client's business.
            seen.append(" ".join(str(part) for part in (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)))
    seen.append(server.request("GET", "/metrics")[2])
    tally.check("no answer shows a secret", not any(CANARY in text for text in seen), [t for t in seen if CANARY in t])


def restart(data: str, log: list[str], tally: Checks) -> None:
    with Server("--data", data, log="debug") as server:
        tally.equal("a quarantine survives", rows(server, "SELECT who, violated FROM clicks$quarantine"), [("bob", "counted")])
        tally.equal("the next is set aside as well", run(server, "INSERT INTO paid VALUES (77, -1)"), "INSERT 0 0")
        with server.connect("guest", password="another") as guest:
            tally.equal("a password that a role gave itself survives", guest.execute("SELECT 1").fetchall(), [(1,)])
        tally.equal("a secret survives", rows(server, "SHOW SECRETS"), [("pass",), ("seed",)])
        tally.equal("a connection survives", rows(server, "SELECT count(*) FROM four"), [(4,)])
        for sql in ("DROP SOURCE feed", "DROP SOURCE mine", "DROP SECRET pass", "DROP SOURCE four", "DROP CONNECTION gen"):
            tally.equal(sql, run(server, sql), " ".join(sql.split()[:2]))
        log.append(server.log())
    found = subprocess.run(["grep", "-rl", CANARY, data], capture_output=True, text=True).stdout
    tally.equal("no file holds the secret", found, "")
    tally.check("nor does the log", not any(CANARY in text for text in log))
    mode = pathlib.Path(data, "secrets.key").stat().st_mode & 0o777
    tally.equal("the key is its owner's", oct(mode), "0o600")


def main() -> int:
    tally, log = Checks(), []
    with tempfile.TemporaryDirectory() as data:
        with Server("--data", data, log="debug") as server:
            expectations(server, tally)
            sources(server, tally)
            objects(server, tally)
            secrets(server, tally)
            log.append(server.log())
        restart(data, log, tally)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
