"""Attempts to come in without the right to: every one is refused, and the server answers afterwards.

In order: bytes on the PostgreSQL door before and during the login, what a session tries after it, credentials over HTTP,
pages of other origins, addresses beyond loopback, and where a password must never be seen.
"""

import base64
import json
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

import psycopg
from harness import BINARY, Server, Tally, refusal
from wire import GSS_REQUEST, SSL_REQUEST, Scram, Wire, message, query, sasl_initial, startup

PASSWORD = "correct-Horse7"
SCRAM = b"SCRAM-SHA-256"
# A door slows an address down after five failures; a good login makes it forget them.
FORGIVE_AFTER = 3
# Refused: a wrong request, wrong credentials, or too many of them.
OUT = (400, 401, 429)


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Attempts:
    """Runs attempts one by one; after each the server must answer."""

    def __init__(self, tally: Tally, server: Server) -> None:
        self.tally, self.server, self.since = tally, server, 0

    def __call__(self, name: str, check, *args) -> None:
        self.since += 1
        if self.since >= FORGIVE_AFTER:
            self.since = 0
            self.server.connect("ann", password=PASSWORD).close()
        self.tally.run(name, lambda: (check(self.server, *args) or []) or self.server.answers())


# --- PostgreSQL, before a session -----------------------------------------------------------------------------------


def refused_bytes(server: Server, *parts: bytes):
    """What is sent must not lead to a session."""
    with Wire(server.pg) as wire:
        for part in parts:
            wire.send(part)
            time.sleep(0.02)
        wire.no_more()
        seen = wire.until()
        inside = [kind for kind, body in seen if kind in b"ZKTD" and kind]
        return [f"the server went on: {inside}"] if inside else []


def scram(server: Server, user: bytes = b"ann", password: str = PASSWORD, mechanism: bytes = SCRAM, **bend):
    """Logs in with something bent; returns how it ended: `in`, `gone` or a SQLSTATE."""
    with Wire(server.pg) as wire:
        wire.send(startup(b"user", user, b"database", b"dev"))
        kind, body = wire.message()
        if kind != b"R" or struct.unpack("!i", body[:4])[0] != 10:
            return f"not asked for SCRAM but {kind}{body[:12]}"
        client = Scram(password, bend.get("gs2", "n,,"))
        first = bend["first"](client) if "first" in bend else client.first()
        wire.send(sasl_initial(mechanism, first))
        kind, body = wire.message()
        if kind != b"R":
            return body.split(b"\0C")[1][:5].decode() if kind == b"E" else "gone"
        if "between" in bend:
            wire.send(bend["between"])
        if "final" in bend:
            wire.send(message(b"p", bend["final"](client, body[4:])))
        else:
            wire.send(message(b"p", client.final(body[4:])))
        return wire.state()


def expect_out(server: Server, **bend):
    how = scram(server, **bend)
    return [] if how == "gone" or (len(how) == 5 and how[:2] in ("28", "08", "0A")) else [f"ended with {how}"]


def replayed_final(server: Server):
    """A client-final that was good for another connection."""
    seen: list[bytes] = []

    def keep(client: Scram, server_first: bytes) -> bytes:
        seen.append(client.final(server_first))
        return seen[-1]

    if (how := scram(server, final=keep)) != "in":
        return [f"the right login ended with {how}"]
    return expect_out(server, final=lambda *_: seen[0])


def unknown_looks_known(server: Server):
    """The challenge of a user that does not exist is like that of one who does, and stays the same."""
    challenges: dict[bytes, list[dict[str, str]]] = {}
    for user in (b"ann", b"nobody-here") * 2:
        with Wire(server.pg) as wire:
            wire.send(startup(b"user", user, b"database", b"dev"))
            asked = wire.message()
            wire.send(sasl_initial(SCRAM, Scram("x").first()))
            kind, body = wire.message()
            if kind != b"R":
                return [f"{user}: no challenge but {kind}{body}"]
            fields = dict(part.split("=", 1) for part in body[4:].decode().split(","))
            challenges.setdefault(user, []).append({"asked": repr(asked), **fields})
    known, unknown = challenges.values()
    problems = []
    for name in ("asked", "i"):
        if known[0][name] != unknown[0][name]:
            problems.append(f"{name} differs: {known[0][name]} and {unknown[0][name]}")
    if len(known[0]["s"]) != len(unknown[0]["s"]):
        problems.append("the salts' lengths differ")
    if unknown[0]["s"] != unknown[1]["s"]:
        problems.append("the salt of an unknown user changes")
    texts = []
    for user in ("ann", "nobody-here"):
        try:
            server.connect(user, password="wrong").close()
            problems.append(f"{user} came in")
        except psycopg.OperationalError as error:
            texts.append(str(error).replace(user, "USER").split("FATAL:")[-1])
    if texts[0] != texts[-1]:
        problems.append(f"the refusals differ: {texts}")
    return problems


def may_not_log_in(server: Server, user: str, password: str = PASSWORD, **more):
    try:
        server.connect(user, password=password, **more).close()
    except psycopg.OperationalError:
        return []
    return [f"{user!r} came in"]


def startup_admin(server: Server):
    """Options of the start-up message change no role."""
    problems = []
    for options in ("-c role=root", "-c session_authorization=root"):
        try:
            with server.connect("ann", password=PASSWORD, options=options) as session:
                row = session.execute("SELECT current_user, session_user").fetchone()
                if row != ("ann", "ann"):
                    problems.append(f"{options}: now {row}")
                if refusal(session, "SELECT * FROM secret") != "42501":
                    problems.append(f"{options}: reads what ann may not")
        except psycopg.OperationalError:
            pass
    return problems


def direct_tls_without_alpn(server: Server):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", server.pg), timeout=10) as plain:
            with context.wrap_socket(plain) as tls:
                tls.sendall(startup(b"user", b"root", b"database", b"dev"))
                if tls.recv(1):
                    return ["the server talks without ALPN"]
    except OSError:
        pass
    return []


def before_a_session(attempt: Attempts) -> None:
    hello = startup(b"user", b"ann", b"database", b"dev")
    attempt("01 query without start-up", refused_bytes, query("SELECT 1"))
    attempt("02 query between SASL messages", expect_out_between, query("SELECT 1"))
    attempt("03 second start-up after the login", second_startup)
    attempt("04 AuthenticationOk from the client", refused_bytes, hello, message(b"R", struct.pack("!i", 0)), query("SELECT 1"))
    attempt("05 empty password", lambda s: expect_out(s, password="") + may_not_log_in(s, "ann", ""))
    attempt("06 empty user", refused_bytes, startup(b"user", b"", b"database", b"dev"), query("SELECT 1"))
    attempt("07 user with NUL inside", refused_bytes, startup(b"user", b"root\0x", b"database", b"dev"), query("SELECT 1"))
    attempt("08 user that is no UTF-8", refused_bytes, startup(b"user", b"root\xff", b"database", b"dev"), query("SELECT 1"))
    for name in ("root ", " root", "ｒｏｏｔ", "root\u200b"):
        attempt(f"09 look-alike {name!r}", may_not_log_in, name, "")
    for name in ("ROOT", "Ann", "mixed", "MIXED"):
        attempt(f"10 another case: {name}", may_not_log_in, name)
    attempt("11 unknown user", unknown_looks_known)
    attempt("12 another nonce", lambda s: expect_out(s, final=lambda c, f: c.final(f, nonce=c.nonce + "AAAA")))
    attempt("13 replayed final message", replayed_final)
    for name, bend in (("31 bytes", lambda p: p[:31]), ("33 bytes", lambda p: p + b"\0"), ("empty", lambda p: b"")):
        attempt(f"14 proof of {name}", lambda s, b=bend: expect_out(s, final=lambda c, f: c.final(f, proof=b)))
    attempt("16 p=tls-unique", lambda s: expect_out(s, gs2="p=tls-unique,,"))
    attempt("17 channel binding data without one", lambda s: expect_out(s, final=lambda c, f: c.final(f, binding=b"p=tls-server-end-point,,abc")))
    attempt("18 another iteration count", lambda s: expect_out(s, final=one_iteration))
    for mechanism in (b"PLAIN", b"SCRAM-SHA-1", b"SCRAM-SHA-256-PLUS", b""):
        attempt(f"19 mechanism {mechanism!r}", lambda s, m=mechanism: expect_out(s, mechanism=m))
    attempt("20 an MD5 answer", refused_bytes, hello, message(b"p", b"md5" + b"0" * 32 + b"\0"), query("SELECT 1"))
    attempt("20 a clear password", refused_bytes, hello, message(b"p", PASSWORD.encode() + b"\0"), query("SELECT 1"))
    attempt("22 bytes behind SSLRequest", behind_ssl_request)
    attempt("24 options that name another role", startup_admin)
    for value in (b"database", b"true", b"1"):
        attempt(f"24 replication={value.decode()}", refused_bytes,
                startup(b"user", b"root", b"database", b"dev", b"replication", value), query("SELECT 1"))


def expect_out_between(server: Server, data: bytes):
    return expect_out(server, between=data)


def one_iteration(client: Scram, server_first: bytes) -> bytes:
    return client.final(b",".join(b"i=1" if p[:2] == b"i=" else p for p in server_first.split(b",")))


def second_startup(server: Server):
    with Wire(server.pg) as wire:
        wire.send(startup(b"user", b"root", b"database", b"dev")).until(b"Z", b"E")
        wire.send(startup(b"user", b"ann", b"database", b"dev"))
        state = wire.state()
        return [] if state in ("gone", "08P01") else [f"ended with {state}"]


def behind_ssl_request(server: Server):
    """Plain text that follows an SSLRequest is not taken for what comes after TLS."""
    with Wire(server.pg) as wire:
        wire.send(SSL_REQUEST + startup(b"user", b"root", b"database", b"dev") + query("SELECT 1"))
        wire.no_more()
        answer = wire.exactly(1)
        if answer == b"S" and wire.until()[-1][0]:
            return ["the server answers in plain text after S"]
    return []


# --- PostgreSQL, within a session -----------------------------------------------------------------------------------


def statements_refused(server: Server, *statements: str):
    problems = []
    with server.connect("ann", password=PASSWORD) as session:
        for statement in statements:
            if refusal(session, statement) is None:
                problems.append(f"accepted: {statement}")
        if session.execute("SELECT current_user, session_user").fetchone() != ("ann", "ann"):
            problems.append("is another user now")
        if refusal(session, "SELECT * FROM secret") != "42501":
            problems.append("reads what ann may not")
    return problems


def harmless_resets(server: Server):
    with server.connect("ann", password=PASSWORD) as session:
        for statement in ("RESET ROLE", "RESET SESSION AUTHORIZATION", "SET ROLE NONE", "DISCARD ALL", "RESET ALL"):
            refusal(session, statement)
            if session.execute("SELECT current_user").fetchone() != ("ann",):
                return [f"{statement} has changed the user"]
            if refusal(session, "SELECT * FROM secret") != "42501":
                return [f"{statement} has given rights"]
    return []


def made_again(server: Server):
    """A session of a role that was dropped has not the rights of the next one with its name."""
    with server.connect() as root:
        root.execute(f"CREATE ROLE phoenix WITH LOGIN PASSWORD '{PASSWORD}'")
        with server.connect("phoenix", password=PASSWORD) as old:
            root.execute("DROP ROLE phoenix")
            problems = [] if refusal(old, "SELECT * FROM secret") else ["a dropped role reads"]
            root.execute(f"CREATE ROLE phoenix WITH SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
            if refusal(old, "SELECT * FROM secret") is None:
                problems.append("the old session has the new role's rights")
            if refusal(old, "CREATE ROLE crony WITH SUPERUSER LOGIN") is None:
                problems.append("the old session makes superusers")
        root.execute("DROP ROLE phoenix")
        root.execute("DROP ROLE IF EXISTS crony")
    return problems


def password_changed(server: Server):
    """The new password lets in and the old one does not, over both doors; tokens of the old one end."""
    with server.connect() as root:
        root.execute("CREATE ROLE carl WITH LOGIN PASSWORD 'old-Secret1'")
        status, _, text = server.request("POST", "/v1/token", headers=basic("carl", "old-Secret1"))
        token = {"Authorization": f"Bearer {json.loads(text).get('token')}"}
        problems = [] if server.sql("SELECT 1", token)[0] == 200 else [f"the token is refused ({status})"]
        root.execute("ALTER ROLE carl WITH PASSWORD 'new-Secret2'")
        problems += may_not_log_in(server, "carl", "old-Secret1")
        server.connect("carl", password="new-Secret2").close()
        for what, headers in (("password", basic("carl", "old-Secret1")), ("token", token)):
            if (status := server.sql("SELECT 1", headers)[0]) != 401:
                problems.append(f"the old {what} over HTTP: {status}")
        if server.sql("SELECT 1", basic("carl", "new-Secret2"))[0] != 200:
            problems.append("the new password is refused over HTTP")
        with server.connect("carl", password="new-Secret2") as own:
            own.execute("ALTER ROLE carl WITH PASSWORD 'own-Secret3'")
        problems += may_not_log_in(server, "carl", "new-Secret2")
        server.connect("carl", password="own-Secret3").close()
        root.execute("DROP ROLE carl")
    return problems


def enforced_or_refused(server: Server, options: str, check):
    """An option that limits a role is kept to, or refused when the role is made."""
    with server.connect() as root:
        root.execute("DROP ROLE IF EXISTS dora")
        if refusal(root, f"CREATE ROLE dora WITH LOGIN PASSWORD '{PASSWORD}' {options}"):
            return []
        return check(server)


def over_the_limit(server: Server):
    came, lock = [], threading.Lock()

    def come() -> None:
        try:
            session = server.connect("dora", password=PASSWORD)
        except psycopg.OperationalError:
            return
        with lock:
            came.append(session)

    threads = [threading.Thread(target=come) for _ in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    [session.close() for session in came]
    return [] if len(came) <= 1 else [f"{len(came)} sessions with CONNECTION LIMIT 1"]


def passwords_of_every_spelling(server: Server):
    """However the literal is written, the role has the password or is not made."""
    problems = []
    with server.connect() as root:
        for n, literal in enumerate(("$$Spelled-9$$", "E'Spelled-9'", "$x$Spelled-9$x$", "U&'Spelled-9'", "9", "Spelled")):
            if refusal(root, f"CREATE ROLE spelled{n} WITH LOGIN PASSWORD {literal}") is None:
                problems += [f"PASSWORD {literal}: {p}" for p in may_not_log_in(server, f"spelled{n}", "not-that")]
                root.execute(f"DROP ROLE spelled{n}")
    return problems


def spellings_of_a_user(server: Server):
    """CREATE USER is CREATE ROLE with LOGIN, WITH may be left out, and ALTER USER is ALTER ROLE."""
    problems = []
    with server.connect() as root:
        for number, statement in enumerate(("CREATE USER {} PASSWORD 'Pass-1'", "CREATE USER {} WITH PASSWORD 'Pass-1'", "CREATE ROLE {} LOGIN PASSWORD 'Pass-1'",
                                            "CREATE USER {} WITH ENCRYPTED PASSWORD 'Pass-1'", "create user {} with nosuperuser login password 'Pass-1'")):
            if state := refusal(root, statement.format(f"spelt{number}")):
                problems.append(f"{statement}: {state}")
                continue
            try:
                server.connect(f"spelt{number}", password="Pass-1").close()
                root.execute(f"ALTER USER spelt{number} PASSWORD 'Pass-2'")
                server.connect(f"spelt{number}", password="Pass-2").close()
            except psycopg.Error as error:
                problems.append(f"{statement}: {error}")
            root.execute(f"DROP USER spelt{number}")
    return problems


def owner_of_a_schema(server: Server):
    """A role that owns something is not dropped; AUTHORIZATION gives what it says, or is refused."""
    with server.connect() as root:
        root.execute("CREATE ROLE squire WITH LOGIN")
        if refusal(root, "CREATE SCHEMA estate AUTHORIZATION squire"):
            root.execute("DROP ROLE squire")
            return []
        with server.connect("squire") as squire:
            problems = [] if refusal(squire, "CREATE TABLE estate.field (id INT PRIMARY KEY)") is None else ["the schema is not the role's"]
        if refusal(root, "DROP ROLE squire") is None:
            problems.append("the owner of a schema was dropped")
        root.execute("DROP SCHEMA estate CASCADE")
        root.execute("DROP ROLE IF EXISTS squire")
    return problems


def guessed_cancel(server: Server):
    """Guessed keys cancel nothing; the right one does."""
    with Wire(server.pg) as wire:
        seen = wire.send(startup(b"user", b"root", b"database", b"dev", version=0x30002)).until(b"Z", b"E")
        key = next((body for kind, body in seen if kind == b"K"), b"")
        problems = [] if len(key) >= 36 else [f"with protocol 3.2 the key has {len(key) - 4} bytes"]

        def cancel(secret: bytes) -> None:
            with Wire(server.pg) as other:
                other.send(struct.pack("!ii", 12 + len(secret), 80877102) + key[:4] + secret)
                other.exactly(1)

        # It does not end by itself.
        wire.send(query("SUBSCRIBE TO secret")).until(b"T", b"E")
        for guess in (b"\0" * 32, b"\0\0\0\0", key[4:8], key[4:-1] + bytes([key[-1] ^ 1]), key[4:] + b"\0", b""):
            cancel(guess)
        wire.socket.settimeout(1)
        try:
            problems.append(f"a guessed key has ended a statement: {wire.until(b'E', b'Z')[-1]}")
        except TimeoutError:
            wire.socket.settimeout(15)
            cancel(key[4:])
            if (state := wire.state()) != "57014":
                problems.append(f"the right key does not cancel: {state}")
        return problems


def within_a_session(attempt: Attempts) -> None:
    attempt("25 SET SESSION AUTHORIZATION", statements_refused, "SET SESSION AUTHORIZATION root", "SET SESSION AUTHORIZATION 'root'",
            "SET LOCAL SESSION AUTHORIZATION root", "SET session_authorization = root")
    attempt("26 SET ROLE to a stranger", statements_refused, "SET ROLE root", "SET ROLE 'root'", "SET LOCAL ROLE root",
            "SET role = root", "SELECT set_config('role', 'root', false)")
    attempt("27 RESET ROLE", harmless_resets)
    attempt("28 role dropped and made again", made_again)
    attempt("29 password changed", password_changed)
    attempt("30 VALID UNTIL", enforced_or_refused, "VALID UNTIL '2001-01-01'", lambda s: may_not_log_in(s, "dora"))
    attempt("31 NOLOGIN", enforced_or_refused, "NOLOGIN", lambda s: may_not_log_in(s, "dora") + (
        ["HTTP lets in"] if s.sql("SELECT 1", basic("dora", PASSWORD))[0] != 401 else []))
    attempt("32 connection limit", enforced_or_refused, "CONNECTION LIMIT 1", over_the_limit)
    attempt("33 guessed cancel keys", guessed_cancel)
    attempt("spellings of a password", passwords_of_every_spelling)
    attempt("spellings of a user", spellings_of_a_user)
    attempt("the owner of a schema", owner_of_a_schema)
    attempt("becoming more by ALTER ROLE", statements_refused, "ALTER ROLE ann WITH SUPERUSER", "ALTER ROLE ann WITH CREATEROLE",
            "ALTER ROLE root WITH PASSWORD 'mine'", "CREATE ROLE crony WITH LOGIN", "DROP ROLE mixed")
    attempt("a role that makes roles makes no superusers", role_maker)


def role_maker(server: Server):
    with server.connect() as root:
        root.execute(f"CREATE ROLE maker WITH LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
        root.execute("CREATE ROLE boss WITH LOGIN SUPERUSER PASSWORD 'boss-Secret1'")
        problems = []
        with server.connect("maker", password=PASSWORD) as maker:
            for statement in ("CREATE ROLE crony WITH SUPERUSER LOGIN", "ALTER ROLE maker WITH SUPERUSER", "DROP ROLE boss",
                              "ALTER ROLE boss WITH PASSWORD 'mine'", "ALTER ROLE root WITH PASSWORD 'mine'"):
                state = refusal(maker, statement)
                if statement == "DROP ROLE boss" and state is None:
                    root.execute("CREATE ROLE boss WITH LOGIN SUPERUSER PASSWORD 'boss-Secret1'")
                if state != "42501":
                    problems.append(f"{statement}: {state}")
        for role in ("maker", "boss", "crony"):
            root.execute(f"DROP ROLE IF EXISTS {role}")
    return problems


# --- HTTP -----------------------------------------------------------------------------------------------------------


def http_status(server: Server, headers: dict[str, str], allowed: tuple[int, ...], path: str = "/v1/sql", method: str = "POST"):
    body = json.dumps({"sql": "SELECT 1"}) if method == "POST" else None
    more = {"Content-Type": "application/json"} if body else {}
    status, _, text = server.request(method, path, body, {**more, **headers})
    return [] if status in allowed else [f"{status}: {text[:200]}"]


def raw_http(server: Server, head: str) -> int:
    """A request that a library would not send; its status."""
    with socket.create_connection(("127.0.0.1", server.http), timeout=15) as plain:
        plain.sendall(head.encode())
        answer = plain.recv(4096)
    return int(answer.split()[1]) if answer else 0


def two_credentials(server: Server):
    body = '{"sql":"SELECT 1"}'
    good = basic("ann", PASSWORD)["Authorization"]
    for first, second in ((good, "Bearer x"), ("Bearer x", good), (good, good)):
        status = raw_http(server, f"POST /v1/sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                                  f"Authorization: {first}\r\nAuthorization: {second}\r\nConnection: close\r\n\r\n{body}")
        if status not in (400, 401):
            return [f"{status}"]
    return []


def forged(algorithm: str, **claims: object) -> dict[str, str]:
    """A JWT that nobody has signed."""
    part = lambda o: base64.urlsafe_b64encode(json.dumps(o).encode()).rstrip(b"=").decode()  # noqa: E731
    head = {"alg": algorithm, "typ": "JWT", **{k: v for k, v in claims.items() if k in ("kid", "jku")}}
    body = {"sub": "root", "exp": 9_999_999_999, **{k: v for k, v in claims.items() if k not in ("kid", "jku")}}
    return {"Authorization": f"Bearer {part(head)}.{part(body)}.{'' if algorithm == 'none' else 'AAAA'}"}


def forwarded_user(server: Server):
    """Headers that a proxy might set name nobody: ann stays ann."""
    for name in ("X-Forwarded-User", "X-Remote-User", "Remote-User", "X-User", "X-Forwarded-For"):
        status, answer = server.sql("SELECT current_user", {**basic("ann", PASSWORD), name: "root"})
        if status != 200 or answer["rows"] != [["ann"]]:
            return [f"{name}: {status} {answer}"]
    return []


def token_in_query(server: Server):
    _, _, text = server.request("POST", "/v1/token", headers=basic("ann", PASSWORD))
    token = json.loads(text)["token"]
    problems = []
    for parameter in ("access_token", "token", "Bearer", "api_key", "acc%65ss_token"):
        path = f"/v1/subscribe?query=SELECT%201&{parameter}={token}"
        problems += [f"{parameter}: {p}" for p in http_status(server, {}, (400, 401), path, "GET")]
    return problems


def token_makes_no_token(server: Server):
    _, _, text = server.request("POST", "/v1/token", headers=basic("ann", PASSWORD))
    bearer = {"Authorization": f"Bearer {json.loads(text)['token']}"}
    status = server.request("POST", "/v1/token", headers=bearer)[0]
    return [] if status == 401 else [f"a token gets a token: {status}"]


def over_http(attempt: Attempts) -> None:
    attempt("50 two Authorization headers", two_credentials)
    attempt("51 token in the query string", token_in_query)
    attempt("52 X-Forwarded-User", forwarded_user)
    attempt("a token makes no further token", token_makes_no_token)

    for name, headers in (
        ("41 alg none", forged("none")),
        ("42 HS256", forged("HS256")),
        ("43 exp as text", forged("HS256", exp="9999999999")),
        ("44 nbf as text", forged("HS256", nbf="0")),
        ("46 aud as a mix", forged("none", aud=["thalweg", 1, None])),
        ("48 kid that is a path", forged("HS256", kid="../../dev/null")),
        ("49 jku to loopback", forged("RS256", jku="http://127.0.0.1/keys")),
        ("an empty token", {"Authorization": "Bearer "}),
        ("a long token", {"Authorization": "Bearer " + "A" * 20_000}),
        ("a wrong password", basic("ann", "wrong")),
        ("an empty password", basic("ann", "")),
        ("an unknown user", basic("nobody-here", PASSWORD)),
        ("a role without login", basic("mute", PASSWORD)),
        ("an empty user", basic("", "")),
    ):
        attempt(f"HTTP {name}", http_status, headers, OUT)
    for value in ("Basic", "Basic !!!", "Basic cm9vdA==", "Negotiate x", "Digest username=root", "root", "\t"):
        attempt(f"HTTP Authorization: {value!r}", http_status, {"Authorization": value}, OUT)

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}


def other_origins(attempt: Attempts) -> None:
    port = attempt.server.http
    origins = ("null", f"http://127.0.0.1.evil.example:{port}", f"http://localhost:{port}.evil.example", "https://good.example.evil",
               f"http://localhost:{port + 1}", f"http://evil.example:{port}", "file://", f"http://127.0.0.1:{port}@evil.example")
    for origin in origins:
        attempt(f"53/54 SQL from origin {origin}", http_status, {"Origin": origin}, (400, 403))
        attempt(f"53/54 WebSocket from origin {origin}", http_status, {"Origin": origin, **UPGRADE}, (400, 403),
                "/v1/subscribe?query=secret", "GET")
    attempt("55 a form of another site", http_status, {"Origin": "http://evil.example", "Content-Type": "text/plain"}, (400, 403))
    attempt("55 Sec-Fetch-Site: cross-site", http_status, {"Sec-Fetch-Site": "cross-site"}, (400, 403))
    attempt("58 no session cookie", sets_no_cookie)
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "2130706433", ""):
        attempt(f"59 Host: {host}", host_refused, host)
    attempt("59 two Host headers", two_hosts)


def host_refused(server: Server, host: str):
    body = '{"sql":"SELECT 1"}'
    status = raw_http(server, f"POST /v1/sql HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                              f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}")
    return [] if status in (0, 400, 403, 421) else [f"{status}"]


def two_hosts(server: Server):
    status = raw_http(server, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    return [] if status in (0, 400, 403, 421) else [f"{status}"]


def sets_no_cookie(server: Server):
    for path in ("/", "/status", "/docs", "/metrics", "/healthz"):
        if server.request("GET", path)[1].get("Set-Cookie"):
            return [f"{path} sets a cookie"]
    return []


# --- beyond loopback ------------------------------------------------------------------------------------------------


def does_not_start(*flags: str, words: tuple[str, ...]):
    done = subprocess.run([str(BINARY), "serve", *flags], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    said = done.stderr + done.stdout
    if done.returncode == 0:
        return ["it ended with success"]
    missing = [word for word in words if word.lower() not in said.lower()]
    return [f"the message does not say {missing}: {said[-600:]}"] if missing else []


def certificate(folder: pathlib.Path) -> tuple[str, str]:
    """A certificate for localhost and its key."""
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


def beyond_loopback(tally: Tally) -> None:
    words = ("TLS", "tls-certificate")
    tally.run("0.0.0.0 without TLS: PostgreSQL", lambda: does_not_start("--pg", "0.0.0.0:0", "--http", "127.0.0.1:0", words=words))
    tally.run("0.0.0.0 without TLS: HTTP", lambda: does_not_start("--pg", "127.0.0.1:0", "--http", "0.0.0.0:0", words=words))
    with tempfile.TemporaryDirectory(prefix="thalweg-auth-") as name:
        folder = pathlib.Path(name)
        cert, key = certificate(folder)
        data = str(folder / "data")
        tally.run("a certificate without its key", lambda: does_not_start(
            "--pg", "127.0.0.1:0", "--http", "127.0.0.1:0", "--tls-certificate", cert, words=("key",)))
        with Server("--data", data) as server:
            with server.connect() as root:
                root.execute("CREATE ROLE open WITH LOGIN")
                root.execute(f"CREATE ROLE ann WITH LOGIN PASSWORD '{PASSWORD}'")
                root.execute("CREATE TABLE secret(id BIGINT PRIMARY KEY)")
            tally.run("it ends when asked", lambda: [] if (code := server.stop()) == 0 else [f"exit code {code}"])
        tls_flags = ("--tls-certificate", cert, "--tls-key", key, "--data", data)
        with Server(*tls_flags, host="0.0.0.0") as server:
            trust = ssl.create_default_context(cafile=cert)
            for user in ("root", "open"):
                tally.run(f"outside, {user} without password", lambda u=user: may_not_log_in(server, u, "", sslmode="require"))
                tally.run(f"outside, {user} with any password", lambda u=user: may_not_log_in(server, u, "x", sslmode="require"))
            tally.run("outside, plain text", lambda: may_not_log_in(server, "ann", PASSWORD, sslmode="disable"))
            server.connect("ann", password=PASSWORD, sslmode="require").close()
            tally.run("outside, HTTP without credentials", lambda: (
                [] if (s := server.sql("SELECT 1", tls=trust)[0]) == 401 else [f"{s}"]))
            tally.run("60 metrics without credentials", lambda: (
                [] if (s := server.request("GET", "/metrics", tls=trust)[0]) == 401 else [f"{s}"]))
            for path in ("/debug/pprof", "/healthz?verbose", "/status", "/openapi.json"):
                tally.run(f"60 {path} tells nothing", lambda p=path: tells_nothing(server, p, trust))
            tally.run("outside, HTTP with the password", lambda: (
                [] if (s := server.sql("SELECT 1", basic("ann", PASSWORD), trust)[0]) == 200 else [f"{s}"]))
            tally.run("outside, plain HTTP", lambda: plain_http(server))
            tally.run("TLS and the right certificate", lambda: (
                server.connect("ann", password=PASSWORD, sslmode="verify-full", host="localhost", sslrootcert=cert).close()))
            tally.run("15 y while PLUS could be offered", lambda: y_over_tls(server, trust))
            tally.run("21 GSS, then TLS, then plain text", lambda: gss_ssl_plain(server))
            tally.run("22 bytes behind SSLRequest, with TLS", lambda: behind_ssl_request(server))
            tally.run("23 direct TLS without ALPN", lambda: direct_tls_without_alpn(server))
            tally.run("it still lets ann in", lambda: server.connect("ann", password=PASSWORD, sslmode="require").close())
            tally.add("no panic with TLS", server.panics())


def tells_nothing(server: Server, path: str, trust: ssl.SSLContext):
    status, _, text = server.request("GET", path, tls=trust)
    if path == "/healthz?verbose":
        return [] if len(text) < 64 else [f"{status}: {text[:200]}"]
    return [] if status in (401, 404) else [f"{status}: {text[:100]}"]


def plain_http(server: Server):
    try:
        status = server.request("GET", "/healthz")[0]
    except OSError:
        return []
    except Exception:  # noqa: BLE001 - an answer that is no HTTP
        return []
    return [f"answers {status} without TLS"]


def tls_wire(server: Server, trust: ssl.SSLContext) -> Wire:
    wire = Wire(server.pg)
    wire.send(SSL_REQUEST)
    assert wire.exactly(1) == b"S"
    wire.socket = trust.wrap_socket(wire.socket, server_hostname="localhost")
    return wire


def y_over_tls(server: Server, trust: ssl.SSLContext):
    """Who could bind and is told there is nothing to bind to has been lied to, if PLUS was on offer."""
    with tls_wire(server, trust) as wire:
        wire.send(startup(b"user", b"ann", b"database", b"dev"))
        offered = wire.message()[1]
        client = Scram(PASSWORD, "y,,")
        wire.send(sasl_initial(SCRAM, client.first()))
        kind, body = wire.message()
        if b"PLUS" in offered:
            return ["y was accepted"] if kind == b"R" else []
        if kind != b"R":
            return [] # Refusing is never wrong.
        wire.send(message(b"p", client.final(body[4:])))
        wire.state()
        return []


def gss_ssl_plain(server: Server):
    with Wire(server.pg) as wire:
        if wire.send(GSS_REQUEST).exactly(1) != b"N":
            return ["GSS was not answered with N"]
        if wire.send(SSL_REQUEST).exactly(1) != b"S":
            return ["TLS was not answered with S"]
        wire.send(startup(b"user", b"ann", b"database", b"dev"))
        if any(kind == b"Z" or kind == b"R" for kind, _ in wire.until(b"Z", b"R")):
            return ["plain text went on"]
    return []


# --- where passwords may not be seen --------------------------------------------------------------------------------


def secrets(tally: Tally) -> None:
    words = [f"Hush-{n}-Zebra" for n in range(8)]
    texts: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="thalweg-secret-") as folder:
        with Server("--data", folder, log="debug") as server:
            errors = []
            for statement in (
                f"CREATE ROLE one WITH LOGIN PASSWORD '{words[0]}'",
                f"ALTER ROLE one WITH PASSWORD '{words[1]}'",
                f"CREATE ROLE one WITH PASSWORD '{words[2]}'",
                f"CREATE ROLE two WITH LOGIN PASSWORD '{words[3]}' BOGUS",
                f"ALTER ROLE nobody WITH PASSWORD '{words[4]}'",
                f"CREATE ROLE three WITH LOGIN PASSWORD '{words[5]}",
                f"ALTER USER one PASSWORD '{words[6]}'",
                f"CREATE USER four PASSWORD '{words[7]}'",
            ):
                with server.connect() as root:
                    try:
                        root.execute(statement)
                    except psycopg.Error as error:
                        d = error.diag
                        errors.append(f"{error} {d.message_detail} {d.message_hint} {d.context} {d.internal_query}")
                status, answer = server.sql(statement)
                errors += [json.dumps(answer)] if status != 200 else []
            texts["error texts"] = "\n".join(errors)
            with server.connect() as root:
                shown = []
                for statement in ("SELECT * FROM pg_authid", "SELECT * FROM pg_shadow", "SELECT * FROM pg_roles", "SHOW USERS",
                                  "SELECT * FROM pg_stat_activity", "SHOW CREATE USER one", "SHOW CREATE ROLE one"):
                    try:
                        shown += map(repr, root.execute(statement).fetchall())
                    except psycopg.Error as error:
                        shown.append(str(error))
            texts["what can be shown"] = "\n".join(shown)
            texts["/metrics"] = server.request("GET", "/metrics")[2]
            texts["the page at /status"] = server.request("GET", "/status")[2]
            server.stop()
            texts["the log"] = server.log()
        for file in pathlib.Path(folder).rglob("*"):
            if file.is_file():
                texts[f"the file {file.name}"] = file.read_bytes().decode(errors="replace")
    for where, text in texts.items():
        lines = [line.strip()[:200] for line in text.splitlines() if any(word in line for word in words)]
        if "shown" in where and "SCRAM-SHA-256$" in text:
            lines.append("a verifier is shown")
        tally.add(f"no password in {where}", lines)
    tally.add("there is a catalog log and a log", [] if any("catalog" in w for w in texts) and texts["the log"] else ["nothing was looked at"])


def verifiers_hidden(server: Server):
    """A plain role sees nobody's verifier."""
    problems = []
    with server.connect("ann", password=PASSWORD) as session:
        for relation in ("pg_authid", "pg_shadow", "pg_catalog.pg_authid"):
            try:
                if "SCRAM" in repr(session.execute(f"SELECT * FROM {relation}").fetchall()):
                    problems.append(f"{relation} shows a verifier")
            except psycopg.Error:
                pass
    return problems


def right_and_wrong(server: Server):
    """psycopg's own SCRAM."""
    with server.connect("ann", password=PASSWORD) as session:
        if session.execute("SELECT current_user").fetchone() != ("ann",):
            return ["ann is somebody else"]
    problems = may_not_log_in(server, "ann", PASSWORD + "x") + may_not_log_in(server, "ann", PASSWORD.lower())
    return problems + may_not_log_in(server, "ann", None)


def guessing_is_slowed(server: Server):
    """A hundred guesses at once: the right one among the last does not come in as fast as it is guessed."""
    ended: list[str] = []
    def guess(n: int) -> None:
        try:
            server.connect("ann", password=f"guess-{n}").close()
            ended.append("in")
        except psycopg.OperationalError as error:
            ended.append("many" if "too many" in str(error) else "wrong")
    threads = [threading.Thread(target=guess, args=(n,)) for n in range(60)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    if "in" in ended:
        return ["a guess came in"]
    return [] if ended.count("wrong") <= 12 else [f"{ended.count('wrong')} guesses were answered"]


def main() -> int:
    tally = Tally()
    with Server() as server:
        with server.connect() as root:
            root.execute(f"CREATE ROLE ann WITH LOGIN PASSWORD '{PASSWORD}'")
            root.execute(f"CREATE ROLE \"MiXed\" WITH LOGIN PASSWORD '{PASSWORD}'")
            root.execute(f"CREATE ROLE mute WITH NOLOGIN PASSWORD '{PASSWORD}'")
            root.execute("CREATE TABLE secret(id BIGINT PRIMARY KEY)")
        attempt = Attempts(tally, server)
        attempt("right and wrong password", right_and_wrong)
        attempt("verifiers are hidden", verifiers_hidden)
        before_a_session(attempt)
        within_a_session(attempt)
        over_http(attempt)
        other_origins(attempt)
        attempt("guessing is slowed down", guessing_is_slowed)
        tally.add("no panic", server.panics())
    beyond_loopback(tally)
    secrets(tally)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
