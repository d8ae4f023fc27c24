"""Who may do what: a matrix of statements, kinds of objects and privileges; what PostgreSQL allows is allowed, everything
else is refused with 42501.

Each holder in HOLDERS has objects of its own on which it holds exactly one thing. Each case of CASES says which of them
may run it. Where a statement can go wrong in another way as well (`also`), that is as good a refusal.
"""

import base64
import http.client
import sys
import tempfile
import urllib.parse
from dataclasses import dataclass

import psycopg
from harness import Server, Tally, refusal
from wire import Wire, field, query, startup

DENIED = "42501"
# A statement that this kind of object does not take at all.
NEVER = ("0A000", "42809")

# Holder of: the privilege that its role is granted, on its own copies of all objects.
HOLDERS = ("none", "select", "insert", "update", "delete", "truncate", "usage", "create", "public", "owner", "superuser")
ALL = ("owner", "superuser")
S, I, U, D, T = (("select", "public", *ALL), ("insert", *ALL), ("update", *ALL), ("delete", *ALL), ("truncate", *ALL))
ROOT_ALONE = ("superuser",)
EVERYONE = HOLDERS


@dataclass
class Case:
    """`{o}` is the holder's object of `kind`, `{me}` the holder's role, `{n}` something unique, `{f}` a folder."""

    kind: str
    statement: str
    allowed: tuple[str, ...]
    also: tuple[str, ...] = ()
    undo: str = ""
    way: str = "sql"

    @property
    def name(self) -> str:
        return f"{self.kind}: {'' if self.way == 'sql' else self.way + ' '}{self.statement}"


def readings(kind: str, also: tuple[str, ...] = ()) -> list[Case]:
    """Everything that reads rows wants SELECT, however deep the name stands."""
    statements = [
        "SELECT * FROM {o}", "SELECT count(*) FROM {o}", "SELECT 1 FROM {o} LIMIT 0", "SELECT * FROM open_to_all WHERE id IN (SELECT id FROM {o})",
        "SELECT (SELECT count(*) FROM {o})", "SELECT a.id FROM open_to_all a JOIN {o} b ON a.id = b.id",
        "WITH w AS (SELECT * FROM {o}) SELECT * FROM w", "SELECT id FROM open_to_all UNION ALL SELECT id FROM {o}",
        "EXPLAIN SELECT * FROM {o}", "SELECT EXISTS (SELECT 1 FROM {o})",
    ]
    cases = [Case(kind, s, S, also) for s in statements]
    cases.append(Case(kind, "INSERT INTO sink_for_all SELECT id, 0 FROM {o}", S, also))
    cases.append(Case(kind, "SELECT * FROM {o}", S, also, way="prepared"))
    cases.append(Case(kind, "DECLARE c CURSOR FOR SELECT * FROM {o}", S, also, way="transaction"))
    cases.append(Case(kind, "SELECT * FROM {o}", S, also, way="/v1/sql"))
    cases.append(Case(kind, "COPY (SELECT * FROM {o}) TO STDOUT", S, also, way="copy"))
    for make in ("VIEW", "MATERIALIZED VIEW"):
        cases.append(Case(kind, f"CREATE {make} made_{{n}} AS SELECT * FROM {{o}}", S, (), f"DROP {make} made_{{n}}"))
    cases.append(Case(kind, "EXPLAIN CREATE MATERIALIZED VIEW made_{n} AS SELECT * FROM {o}", S))
    cases.append(Case(kind, "CREATE SINK made_{n} AS SELECT count(*) AS c FROM {o} WITH (connector = 'blackhole')", S, (), "DROP SINK made_{n}"))
    cases.append(Case(kind, "SUBSCRIBE TO {o}", S, way="stream"))
    cases.append(Case(kind, "{o}", S, way="/v1/subscribe"))
    cases.append(Case(kind, "SELECT id FROM {o} WHERE id > 0", S, way="/v1/subscribe"))
    return cases


def owned(kind: str, word: str) -> list[Case]:
    """What only an owner may do; giving away to a stranger only a superuser."""
    comment = [] if kind in ("source", "sink") else [Case(kind, f"COMMENT ON {word} {{o}} IS 'seen'", ALL)]
    return comment + [
        Case(kind, f"ALTER {word} {{o}} RENAME TO renamed_{{n}}", ALL, (), f"ALTER {word} renamed_{{n}} RENAME TO {{o}}"),
        Case(kind, "GRANT SELECT ON {o} TO mate", ALL),
        Case(kind, "REVOKE SELECT ON {o} FROM mate", ALL),
        Case(kind, "GRANT SELECT ON {o} TO {me}", ALL),
        Case(kind, f"ALTER {word} {{o}} OWNER TO mate", ROOT_ALONE, (), f"ALTER {word} {{o}} OWNER TO {{me}}"),
        Case(kind, f"ALTER {word} {{o}} OWNER TO {{me}}", ALL),
    ]


CASES = [
    *readings("table"),
    Case("table", "COPY {o} TO STDOUT", S, way="copy"),
    Case("table", "INSERT INTO {o} VALUES (100, 1)", I),
    Case("table", "INSERT INTO {o} VALUES (101, 1)", I, way="prepared"),
    Case("table", "INSERT INTO {o} VALUES (102, 1)", I, way="/v1/sql"),
    Case("table", "{o}", I, way="/v1/ingest"),
    Case("table", "COPY {o} FROM STDIN", I, way="copy"),
    Case("table", "INSERT INTO {o} VALUES (103, 1) RETURNING id", ALL),
    Case("table", "INSERT INTO {o} SELECT id + 200, v FROM {o} WHERE id < 3", ALL),
    Case("table", "UPDATE {o} SET v = 7", U),
    Case("table", "UPDATE {o} SET v = v + 1", ALL),
    Case("table", "UPDATE {o} SET v = 8 WHERE id = 1", ALL),
    Case("table", "UPDATE {o} SET v = (SELECT max(id) FROM secret)", ROOT_ALONE),
    Case("table", "DELETE FROM {o} WHERE id = 1", ALL),
    Case("table", "DELETE FROM {o} WHERE id IN (SELECT id FROM secret)", ROOT_ALONE),
    Case("table", "DELETE FROM {o}", D),
    Case("table", "TRUNCATE {o}", T),
    Case("table", "CREATE INDEX made_{n} ON {o} (v)", ALL, (), "DROP INDEX made_{n}"),
    *owned("table", "TABLE"),
    *(case for case in readings("source", NEVER)),
    Case("source", "INSERT INTO {o} VALUES (1, 1)", I, NEVER),
    Case("source", "{o}", I, way="/v1/ingest"),
    Case("source", "UPDATE {o} SET v = 7", U, NEVER),
    Case("source", "DELETE FROM {o}", D, NEVER),
    Case("source", "TRUNCATE {o}", T, NEVER),
    *owned("source", "SOURCE"),
    *readings("view"),
    Case("view", "INSERT INTO {o} VALUES (1, 1)", I, NEVER),
    Case("view", "UPDATE {o} SET v = 7", U, NEVER),
    Case("view", "DELETE FROM {o}", D, NEVER),
    Case("view", "{o}", I, way="/v1/ingest", also=("400", "404", "409", "422")),
    *owned("view", "VIEW"),
    *readings("mview"),
    Case("mview", "COPY {o} TO STDOUT", S, way="copy"),
    Case("mview", "INSERT INTO {o} VALUES (1, 1)", I, NEVER),
    Case("mview", "UPDATE {o} SET v = 7", U, NEVER),
    Case("mview", "DELETE FROM {o}", D, NEVER),
    Case("mview", "TRUNCATE {o}", T, NEVER),
    Case("mview", "{o}", I, way="/v1/ingest", also=("400", "404", "409", "422")),
    Case("mview", "CREATE INDEX made_{n} ON {o} (v)", ALL, (), "DROP INDEX made_{n}"),
    *owned("mview", "MATERIALIZED VIEW"),
    Case("sink", "SELECT * FROM {o}", S, NEVER),
    Case("sink", "INSERT INTO {o} VALUES (1)", I, NEVER),
    *owned("sink", "SINK"),
    Case("index", "ALTER INDEX {o} RENAME TO renamed_{n}", ALL, (), "ALTER INDEX renamed_{n} RENAME TO {o}"),
    # Roles and schemas, and what reaches the server's files or other machines.
    Case("user", "CREATE ROLE made_{n}", ROOT_ALONE, (), "DROP ROLE made_{n}"),
    Case("user", "CREATE ROLE made_{n} WITH SUPERUSER", ROOT_ALONE, (), "DROP ROLE made_{n}"),
    Case("user", "ALTER ROLE mate WITH PASSWORD 'x'", ROOT_ALONE, (), "ALTER ROLE mate WITH PASSWORD NULL"),
    Case("user", "ALTER ROLE {me} WITH SUPERUSER", ROOT_ALONE),
    Case("user", "ALTER ROLE {me} WITH PASSWORD NULL", EVERYONE),
    Case("user", "DROP ROLE spare", ROOT_ALONE, (), "CREATE ROLE spare"),
    Case("user", "CREATE SCHEMA made_{n}", ROOT_ALONE, (), "DROP SCHEMA made_{n}"),
    Case("user", "CREATE TABLE made_{n} (id INT PRIMARY KEY)", EVERYONE, (), "DROP TABLE made_{n}"),
    Case("user", "SELECT count(*) FROM pg_class", EVERYONE),
    Case("files", "CREATE SOURCE made_{n} (a VARCHAR) WITH (connector = 'file', path = '/etc/passwd', format = 'ndjson')", ROOT_ALONE, (), "DROP SOURCE made_{n}"),
    Case("files", "CREATE SINK made_{n} AS SELECT id FROM open_to_all WITH (connector = 'file', path = '{f}/out.json', format = 'json')",
         ROOT_ALONE, ("42P10", "0A000", "42601"), "DROP SINK IF EXISTS made_{n}"),
    # A schema; its table may be read by all who may look into it.
    Case("schema", "SELECT * FROM {o}.t", ("usage", *ALL)),
    Case("schema", "INSERT INTO {o}.t VALUES (9)", ("usage", *ALL)),
    Case("schema", "{o}.t", ("usage", *ALL), way="/v1/subscribe"),
    Case("schema", "{o}.t", ("usage", *ALL), way="/v1/ingest"),
    Case("schema", "CREATE VIEW made_{n} AS SELECT * FROM {o}.t", ("usage", *ALL), (), "DROP VIEW made_{n}"),
    Case("schema", "CREATE TABLE {o}.made_{n} (id INT PRIMARY KEY)", ("create", *ALL), (), "DROP TABLE {o}.made_{n}"),
    Case("schema", "CREATE VIEW {o}.made_{n} AS SELECT * FROM open_to_all", ("create", *ALL), (), "DROP VIEW {o}.made_{n}"),
    Case("schema", "CREATE SOURCE {o}.made_{n} (id INT) WITH (connector = 'push')", ("create", *ALL), (), "DROP SOURCE {o}.made_{n}"),
    Case("schema", "GRANT USAGE ON SCHEMA {o} TO mate", ALL),
    Case("schema", "GRANT SELECT ON ALL TABLES IN SCHEMA {o} TO mate", ALL),
    # The end of everything, what is made of others first.
    Case("index", "DROP INDEX {o}", ALL),
    Case("sink", "DROP SINK {o}", ALL),
    Case("mview", "DROP MATERIALIZED VIEW {o}", ALL),
    Case("view", "DROP VIEW {o}", ALL),
    Case("source", "DROP SOURCE {o}", ALL),
    Case("table", "DROP TABLE {o}", ALL),
    Case("schema", "DROP SCHEMA {o} CASCADE", ALL),
]

WORDS = {"table": "TABLE", "source": "SOURCE", "view": "VIEW", "mview": "MATERIALIZED VIEW", "sink": "SINK"}
MAKE = {
    "table": "CREATE TABLE table_{h} (id INT PRIMARY KEY, v INT)",
    "source": "CREATE SOURCE source_{h} (id INT, v INT) WITH (connector = 'push')",
    "view": "CREATE VIEW view_{h} AS SELECT id, v FROM behind",
    "mview": "CREATE MATERIALIZED VIEW mview_{h} AS SELECT id, v FROM behind",
    "sink": "CREATE SINK sink_{h} AS SELECT id FROM hidden_source WITH (connector = 'blackhole')",
}


def prepare(root: psycopg.Connection) -> None:
    """Roles, and for each of them a set of objects."""
    for statement in (
        "CREATE TABLE secret (id INT PRIMARY KEY, v INT)", "INSERT INTO secret VALUES (1, 1), (2, 2)",
        "CREATE TABLE behind (id INT PRIMARY KEY, v INT)", "INSERT INTO behind VALUES (1, 1), (2, 2)",
        "CREATE SOURCE hidden_source (id INT) WITH (connector = 'push')",
        "CREATE TABLE open_to_all (id INT PRIMARY KEY)", "INSERT INTO open_to_all VALUES (1)", "GRANT SELECT ON open_to_all TO PUBLIC",
        "CREATE TABLE sink_for_all (id INT, v INT)", "GRANT INSERT ON sink_for_all TO PUBLIC",
        "CREATE ROLE mate WITH LOGIN", "CREATE ROLE spare WITH LOGIN",
    ):
        root.execute(statement)
    for holder in HOLDERS:
        root.execute(f"CREATE ROLE role_{holder} WITH LOGIN {'SUPERUSER' if holder == 'superuser' else ''}")
        for kind, statement in MAKE.items():
            root.execute(statement.format(h=holder))
            hand_over(root, holder, f"{kind}_{holder}", WORDS[kind], kind)
        if holder == "owner":
            # A view lends its owner's rights: this one has some.
            root.execute("GRANT SELECT ON behind TO role_owner")
        root.execute(f"INSERT INTO table_{holder} VALUES (1, 1), (2, 2)")
        root.execute(f"CREATE INDEX index_{holder} ON table_{holder} (v)")
        if holder != "owner":
            root.execute(f"CREATE SCHEMA schema_{holder}")
    root.execute("FLUSH")


def hand_over(root: psycopg.Connection, holder: str, name: str, word: str, kind: str) -> None:
    """Gives a holder what it holds on `name`."""
    if holder in ("select", "insert", "update", "delete", "truncate"):
        root.execute(f"GRANT {holder.upper()} ON {name} TO role_{holder}")
    elif holder == "public":
        root.execute(f"GRANT SELECT ON {name} TO PUBLIC")
    elif holder == "owner":
        root.execute(f"ALTER {word} {name} OWNER TO role_owner")


def prepare_schemas(server: Server, root: psycopg.Connection) -> None:
    # The owner makes its own: CREATE SCHEMA gives it to whoever makes it.
    root.execute("ALTER ROLE role_owner WITH CREATEDB")
    with server.connect("role_owner") as session:
        session.execute("CREATE SCHEMA schema_owner")
    root.execute("ALTER ROLE role_owner WITH NOCREATEDB")
    for holder in HOLDERS:
        root.execute(f"CREATE TABLE schema_{holder}.t (id INT PRIMARY KEY)")
        root.execute(f"GRANT SELECT, INSERT ON schema_{holder}.t TO PUBLIC")
        if holder in ("usage", "create"):
            root.execute(f"GRANT {holder.upper()} ON SCHEMA schema_{holder} TO role_{holder}")


def state_of_stream(server: Server, user: str, statement: str) -> str | None:
    """The state of a statement that does not end: it may when its columns come."""
    with Wire(server.pg) as wire:
        wire.send(startup(b"user", user.encode(), b"database", b"dev")).until(b"Z", b"E")
        kind, body = wire.send(query(statement)).until(b"T", b"E", b"H")[-1]
        return field(body, b"C") if kind == b"E" else None if kind else "gone"


def http_state(status: int, text: str) -> str | None:
    if status in (200, 202):
        return None
    return DENIED if status == 403 and DENIED in text else str(status)


def attempt(server: Server, session: psycopg.Connection, user: str, case: Case, statement: str) -> str | None:
    """The state that a case is refused with, `None` when it works."""
    credentials = {"Authorization": "Basic " + base64.b64encode(f"{user}:".encode()).decode()}
    if case.way == "/v1/sql":
        status, answer = server.sql(statement, credentials)
        return None if status == 200 else answer["error"]["code"]
    if case.way == "/v1/ingest":
        row = {"id": 55} if case.kind == "schema" else {"id": 55, "v": 1}
        return http_state(*server.ingest(statement, [row], credentials))
    if case.way == "/v1/subscribe":
        return subscribe_state(server, statement, credentials)
    if case.way == "stream":
        return state_of_stream(server, user, statement)
    if case.way == "copy":
        return copy_state(session, statement)
    if case.way == "prepared":
        try:
            session.execute(statement, prepare=True)
        except psycopg.Error as error:
            return error.sqlstate or "gone"
        return None
    if case.way == "transaction":
        session.execute("BEGIN")
        state = refusal(session, statement)
        session.execute("ROLLBACK")
        return state
    return refusal(session, statement)


def copy_state(session: psycopg.Connection, statement: str) -> str | None:
    try:
        with session.cursor() as cursor, cursor.copy(statement) as copy:
            if "STDIN" in statement:
                copy.write("300\t1\n")
            else:
                list(copy)
    except psycopg.Error as error:
        return error.sqlstate or "gone"
    return None


def subscribe_state(server: Server, text: str, headers: dict[str, str]) -> str | None:
    """The state of a subscription over HTTP; one that begins is left at once."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=60)
    try:
        connection.request("GET", "/v1/subscribe?query=" + urllib.parse.quote(text), headers=headers)
        answer = connection.getresponse()
        return None if answer.status == 200 else http_state(answer.status, answer.read().decode())
    finally:
        connection.close()


def judge(case: Case, holder: str, state: str | None) -> list[str]:
    if holder in case.allowed:
        return [] if state is None or state in case.also else [f"{holder} is refused: {state}"]
    if state == DENIED or state in case.also:
        return []
    return [f"{holder} " + ("may" if state is None else f"gets {state}, not {DENIED}")]


def matrix(server: Server, tally: Tally, root: psycopg.Connection, folder: str) -> None:
    sessions = {holder: server.connect(f"role_{holder}") for holder in HOLDERS}
    for number, case in enumerate(CASES):
        problems = []
        for holder, session in sessions.items():
            names = {"o": f"{case.kind}_{holder}", "me": f"role_{holder}", "n": f"{number}_{holder}", "f": folder}
            try:
                if session.closed:
                    sessions[holder] = session = server.connect(f"role_{holder}")
                state = attempt(server, session, f"role_{holder}", case, case.statement.format(**names))
                problems += judge(case, holder, state)
                if state is None and case.undo:
                    root.execute(case.undo.format(**names))
            except Exception as error:  # noqa: BLE001 - the others shall be tried, too
                problems.append(f"{holder}: {type(error).__name__}: {error}")
        tally.add(case.name, problems)
    for session in sessions.values():
        session.close()


# --- views lend their owner's rights --------------------------------------------------------------------------------


def views(server: Server, tally: Tally, root: psycopg.Connection) -> None:
    for role in ("ann", "bob", "carl"):
        root.execute(f"CREATE ROLE {role} WITH LOGIN")
    root.execute("CREATE TABLE base (id INT PRIMARY KEY, v INT)")
    root.execute("INSERT INTO base VALUES (1, 10)")
    root.execute("GRANT SELECT ON base TO ann")
    with server.connect("ann") as ann, server.connect("bob") as bob, server.connect("carl") as carl:
        ann.execute("CREATE VIEW narrow AS SELECT id FROM base")
        ann.execute("CREATE MATERIALIZED VIEW kept AS SELECT id FROM base")
        ann.execute("GRANT SELECT ON narrow TO bob")
        ann.execute("GRANT SELECT ON kept TO bob")
        bob.execute("CREATE VIEW above AS SELECT id FROM narrow")
        bob.execute("GRANT SELECT ON above TO carl")
        root.execute("FLUSH")

        def state(session: psycopg.Connection, relation: str, want: str | None):
            got = refusal(session, f"SELECT * FROM {relation}")
            return [] if got == want else [f"{relation}: {got}, not {want}"]

        tally.run("a view lends its owner's rights", lambda: state(bob, "narrow", None) + state(bob, "base", DENIED))
        tally.run("a materialized view does, too", lambda: state(bob, "kept", None))
        tally.run("a view of a view", lambda: state(carl, "above", None) + state(carl, "narrow", DENIED) + state(carl, "base", DENIED))
        root.execute("REVOKE SELECT ON narrow FROM bob")
        tally.run("what its owner has lost a view cannot lend: a view", lambda: state(carl, "above", DENIED) + state(bob, "above", DENIED))
        root.execute("GRANT SELECT ON narrow TO bob")
        root.execute("REVOKE SELECT ON base FROM ann")
        tally.run("what its owner has lost a view cannot lend: a table", lambda: state(bob, "narrow", DENIED) + state(ann, "narrow", DENIED) + state(carl, "above", DENIED))
        tally.run("what a materialized view holds it keeps", lambda: state(bob, "kept", None))
        tally.run("a subscription to a view asks its owner's rights", lambda: (
            [] if (got := state_of_stream(server, "bob", "SUBSCRIBE TO narrow")) == DENIED else [f"{got}"]))
        tally.run("a view is not given to who could read more", lambda: (
            [] if refusal(ann, "ALTER VIEW narrow OWNER TO root") == DENIED else ["it was"]) + state(ann, "narrow", DENIED))


# --- REVOKE is felt at once -----------------------------------------------------------------------------------------


def revoked(server: Server, tally: Tally, root: psycopg.Connection) -> None:
    root.execute("CREATE ROLE eve WITH LOGIN PASSWORD 'eve-Secret1'")
    root.execute("CREATE TABLE lent (id INT PRIMARY KEY, v INT)")
    root.execute("INSERT INTO lent VALUES " + ", ".join(f"({n}, 0)" for n in range(100)))
    root.execute("GRANT ALL ON lent TO eve")
    root.execute("FLUSH")
    basic = {"Authorization": "Basic " + base64.b64encode(b"eve:eve-Secret1").decode()}
    token = server.request("POST", "/v1/token", headers=basic)[2].split('"token":"')[1].split('"')[0]
    bearer = {"Authorization": f"Bearer {token}"}
    eve = server.connect("eve", password="eve-Secret1")
    block = server.connect("eve", password="eve-Secret1")
    eve.execute("PREPARE reads AS SELECT count(*) FROM lent")
    eve.execute("PREPARE writes AS INSERT INTO lent VALUES (9000, 1)")
    for _ in range(3):
        eve.execute("SELECT v FROM lent WHERE id = %s", (1,), prepare=True)
        eve.execute("UPDATE lent SET v = %s WHERE id = 1", (1,), prepare=True)
    block.execute("BEGIN")
    block.execute("SELECT count(*) FROM lent")
    before = server.sql("SELECT count(*) FROM lent", bearer)[0]
    root.execute("REVOKE ALL ON lent FROM eve")

    def denied(session: psycopg.Connection, statement: str, *args: object, **more: object):
        try:
            session.execute(statement, *args, **more)
        except psycopg.Error as error:
            return [] if error.sqlstate == DENIED else [f"{error.sqlstate}: {error}"]
        return ["it still works"]

    tally.run("REVOKE: SELECT", denied, eve, "SELECT * FROM lent")
    tally.run("REVOKE: EXECUTE of a query", denied, eve, "EXECUTE reads")
    tally.run("REVOKE: EXECUTE of a write", denied, eve, "EXECUTE writes")
    tally.run("34 REVOKE: prepared query of the protocol", lambda: denied(eve, "SELECT v FROM lent WHERE id = %s", (1,), prepare=True))
    tally.run("34 REVOKE: prepared write of the protocol", lambda: denied(eve, "UPDATE lent SET v = %s WHERE id = 1", (1,), prepare=True))
    tally.run("REVOKE: within a transaction", denied, block, "SELECT count(*) FROM lent")
    tally.run("REVOKE: over HTTP with a token from before", lambda: (
        [] if before == 200 and (s := server.sql("SELECT count(*) FROM lent", bearer)[0]) == 403 else [f"{before}, then {s}"]))
    tally.run("REVOKE: ingest", lambda: [] if (s := http_state(*server.ingest("lent", [{"id": 1, "v": 1}], bearer))) == DENIED else [f"{s}"])
    tally.run("REVOKE: a new subscription", lambda: [] if (s := subscribe_state(server, "lent", bearer)) == DENIED else [f"{s}"])
    block.execute("ROLLBACK")
    root.execute("GRANT SELECT ON lent TO PUBLIC")
    tally.run("GRANT is felt at once, too", lambda: [] if refusal(eve, "EXECUTE reads") is None else ["it is not"])
    root.execute("REVOKE SELECT ON lent FROM PUBLIC")
    tally.run("REVOKE from PUBLIC", denied, eve, "EXECUTE reads")
    eve.close()
    block.close()


def running_subscription(server: Server, root: psycopg.Connection, way: str, take: str):
    """What is written after the right is gone does not arrive."""
    root.execute("CREATE ROLE fan WITH LOGIN")
    root.execute("CREATE TABLE news (id INT PRIMARY KEY, text VARCHAR)")
    root.execute("GRANT SELECT ON news TO fan")
    try:
        with Wire(server.pg if way == "wire" else server.http, timeout=3) as wire:
            if way == "wire":
                wire.send(startup(b"user", b"fan", b"database", b"dev")).until(b"Z", b"E")
                wire.send(query("SUBSCRIBE TO news")).until(b"T", b"E")
            else:
                login = base64.b64encode(b"fan:").decode()
                wire.send(f"GET /v1/subscribe?query=news HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n\r\n".encode())
            wire_got = until_text(wire, b"", 1)
            root.execute("INSERT INTO news VALUES (1, 'headline-one')")
            root.execute("FLUSH")
            if b"headline-one" not in until_text(wire, b"headline-one", 3):
                return [f"nothing comes while it is allowed: {wire_got[:200]}"]
            root.execute(take)
            root.execute("INSERT INTO news VALUES (2, 'headline-two')")
            root.execute("FLUSH")
            return ["rows still come"] if b"headline-two" in until_text(wire, b"headline-two", 2) else []
    finally:
        root.execute("DROP TABLE news CASCADE")
        root.execute("DROP ROLE IF EXISTS fan")


def until_text(wire: Wire, text: bytes, patience: float) -> bytes:
    """What comes until `text` has, or for so long."""
    wire.socket.settimeout(patience)
    try:
        while not text or text not in wire.got:
            more = wire.socket.recv(65536)
            if not more:
                break
            wire.got += more
    except OSError:
        pass
    got, wire.got = wire.got, b""
    return got


def transaction_of_a_loser(server: Server, root: psycopg.Connection):
    """What was written in a transaction is not kept when the right is gone at COMMIT, or it was allowed then: never more."""
    root.execute("CREATE TABLE due (id INT PRIMARY KEY)")
    root.execute("GRANT INSERT ON due TO eve")
    with server.connect("eve", password="eve-Secret1") as eve:
        eve.execute("BEGIN")
        eve.execute("INSERT INTO due VALUES (1)")
        root.execute("REVOKE INSERT ON due FROM eve")
        if refusal(eve, "INSERT INTO due VALUES (2)") != DENIED:
            return ["the second INSERT works"]
        eve.execute("ROLLBACK")
    root.execute("FLUSH")
    return [] if root.execute("SELECT count(*) FROM due").fetchone() == (0,) else ["rows of a rolled back transaction"]


def main() -> int:
    tally = Tally()
    with Server() as server, server.connect() as root:
        prepare(root)
        prepare_schemas(server, root)
        with tempfile.TemporaryDirectory(prefix="thalweg-grant-") as folder:
            matrix(server, tally, root, folder)
        views(server, tally, root)
        revoked(server, tally, root)
        tally.run("REVOKE: between a write and its COMMIT", transaction_of_a_loser, server, root)
        for way in ("wire", "sse"):
            for take in ("REVOKE SELECT ON news FROM fan", "DROP ROLE fan"):
                tally.run(f"{take}: a running subscription over {way}", running_subscription, server, root, way, take)
        tally.add("it still answers", server.answers())
        tally.add("no panic", server.panics())
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
