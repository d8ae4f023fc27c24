"""Strangers that send garbage, sit idle, dawdle or do not read: they cost little, are cut, and nobody else notices.

GARBAGE_SECONDS, IDLE_CONNECTIONS and SLOWLORIS_PEERS say how much of it.
"""

import base64
import os
import random
import resource
import selectors
import socket
import struct
import sys
import threading
import time

import psycopg
from harness import Server, Tally, seconds
from wire import SSL_REQUEST, Wire, message, query, sasl_initial, startup

GARBAGE_SECONDS = seconds("GARBAGE_SECONDS", 5)
IDLE_CONNECTIONS = int(seconds("IDLE_CONNECTIONS", 1000))
SLOWLORIS_PEERS = int(seconds("SLOWLORIS_PEERS", 200))

KIB_PER_IDLE = 32
# Deadlines of the doors are 10 s; the rest is for a busy machine.
CUT_SECONDS = 14
# A subscriber may keep 8 MiB waiting; encoding it, and what else goes on meanwhile, take some, too.
SUBSCRIBER_MIB = 8 + 24
STALL_SECONDS = 40


def raise_limit(wanted: int) -> int:
    """Lets this process and its server hold so many files; how many it got."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, hard), max(wanted, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# --- garbage --------------------------------------------------------------------------------------------------------


def login_bytes() -> bytes:
    return startup(b"user", b"root", b"database", b"dev")


def garbage(chance: random.Random) -> bytes:
    """Bytes that are wrong somewhere: from noise to almost good messages."""
    noise = chance.randbytes(chance.choice((1, 7, 8, 100, 5000)))
    number = struct.pack("!i", chance.choice((-1, 0, 3, 4, 5, 2**31 - 1, chance.randint(-(2**31), 2**31 - 1))))
    kinds = b"QPBEDSCHFpXdcfR"
    bad_message = bytes([chance.choice(kinds)]) + number + noise
    good_frame = message(bytes([chance.choice(kinds)]), noise)
    http_line = b"%s /%s HTTP/1.1\r\nHost: %s\r\n" % (
        chance.choice((b"GET", b"POST", b"PRI", b"\xff", b"CONNECT")),
        chance.choice((b"v1/sql", b"v1/ingest/steady", b"v1/subscribe?query=steady", b"%00", b"../" * 50, b"a" * 70_000)),
        chance.choice((b"localhost", b"evil", b"\x00", b"")),
    )
    return chance.choice((
        noise, number + noise, SSL_REQUEST + noise, bytes([0x16, 3, 1]) + noise, login_bytes()[:chance.randint(1, 30)],
        login_bytes() + bad_message, login_bytes() + good_frame, login_bytes() + query(noise.hex()[:200]) + bad_message,
        login_bytes() + message(b"P", b"s\0SELECT $1::int\0\0\0") + message(b"B", noise) + message(b"S"),
        login_bytes() + message(b"P", b"\0SELECT 1\0" + struct.pack("!h", -1)) + message(b"S"),
        login_bytes() + query("COPY trash FROM STDIN") + message(b"d", noise) + good_frame,
        startup(b"user", noise.replace(b"\0", b"x"), b"database", b"dev") + sasl_initial(b"SCRAM-SHA-256", noise),
        http_line + b"\r\n", http_line + b"Content-Length: 99999999\r\n\r\n" + noise, http_line + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + noise,
        http_line + b"Transfer-Encoding: chunked\r\nContent-Type: application/x-ndjson\r\n\r\n" + noise.hex().encode() + b"\r\n",
        http_line + b"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(noise) + noise,
        http_line + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + noise,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise,
    ))


def throw(server: Server, until: float, seed: int, thrown: list[int]) -> None:
    chance = random.Random(seed)
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", chance.choice((server.pg, server.http))), timeout=0.3) as stranger:
                stranger.sendall(garbage(chance))
                if chance.random() < 0.5:
                    stranger.recv(1024)
                if chance.random() < 0.3:
                    # The peer gets a reset instead of an end.
                    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        thrown[0] += 1


def garbage_storm(server: Server, tally: Tally) -> None:
    thrown, good, problems = [0], 0, []
    until = time.monotonic() + GARBAGE_SECONDS
    threads = [threading.Thread(target=throw, args=(server, until, n, thrown)) for n in range(6)]
    for thread in threads:
        thread.start()
    try:
        with server.connect() as steady:
            while time.monotonic() < until:
                good += 1
                steady.execute("INSERT INTO steady VALUES (%s)", (good,))
                steady.execute("FLUSH")
                rows = steady.execute("SELECT count(*), max(id) FROM steady_view").fetchone()
                if rows != (good, good):
                    problems.append(f"{rows}, not {(good, good)}")
                with server.connect() as new:
                    if new.execute("SELECT 40 + 2").fetchone() != (42,):
                        problems.append("a new session gets a wrong answer")
                status, answer = server.sql(f"SELECT {good} AS n")
                if status != 200 or answer["rows"] != [[good]]:
                    problems.append(f"HTTP: {status} {answer}")
    except (psycopg.Error, OSError) as error:
        problems.append(f"{type(error).__name__}: {error}")
    for thread in threads:
        thread.join()
    tally.add(f"garbage: {good} rounds of a client beside it", problems or ([] if good else ["it never got a turn"]))
    tally.add("garbage: it answers afterwards", server.answers())
    tally.add("garbage: no panic", server.panics())
    print(f"garbage: {thrown[0]} connections, {good} good rounds in {GARBAGE_SECONDS:.0f} s")


# --- idle sessions --------------------------------------------------------------------------------------------------


def settled_rss(server: Server) -> int:
    """Resident memory when it has stopped to move."""
    last = server.rss_kib()
    for _ in range(20):
        time.sleep(0.25)
        now = server.rss_kib()
        if abs(now - last) < 256:
            return now
        last = now
    return last


def idle_sessions(server: Server, tally: Tally, count: int) -> None:
    # What only the first ones cost is not counted: buffers of the allocator, lazily loaded code.
    warm = [logged_in(server) for _ in range(50)]
    for wire in warm:
        wire.socket.close()
    time.sleep(0.5)
    before = settled_rss(server)
    sessions = [logged_in(server) for _ in range(count)]
    after = settled_rss(server)
    each = (after - before) / count
    tally.add(f"idle: {count} sessions cost at most {KIB_PER_IDLE} KiB each", [] if each <= KIB_PER_IDLE else [f"{each:.1f} KiB each"])
    alive = []
    for wire in random.Random(1).sample(sessions, min(50, count)):
        if wire.send(query("SELECT 1")).until(b"Z", b"E")[-1][0] != b"Z":
            alive.append("an idle session is dead")
    tally.add("idle: they answer", alive)
    for wire in sessions:
        wire.socket.close()
    tally.add("idle: others are served", server.answers())
    tally.run("idle: they are forgotten", all_gone, server)
    print(f"idle: {count} sessions, {each:.1f} KiB each ({before} to {after} KiB)")


def logged_in(server: Server) -> Wire:
    wire = Wire(server.pg, timeout=60)
    wire.send(login_bytes())
    if wire.until(b"Z", b"E")[-1][0] != b"Z":
        raise RuntimeError("a session was refused")
    return wire


def all_gone(server: Server):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with server.connect() as session:
            left = session.execute("SELECT count(*) FROM pg_stat_activity").fetchone()[0]
        if left <= 2:
            return []
        time.sleep(0.3)
    return [f"{left} sessions are still counted"]


# --- peers that dawdle ----------------------------------------------------------------------------------------------


# What a peer says at once, and what it then says byte by byte.
DAWDLERS = {
    "pg: nothing": ("pg", b"", b""),
    "pg: a start-up message": ("pg", b"", login_bytes() * 3),
    "pg: nothing after SSLRequest": ("pg", SSL_REQUEST, b""),
    "pg: a password": ("pg", startup(b"user", b"ann", b"database", b"dev"), message(b"p", b"SCRAM-SHA-256\0" + b"x" * 500)),
    "http: nothing": ("http", b"", b""),
    "http: a request line": ("http", b"", b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 100),
    "http: headers": ("http", b"GET /v1/sql HTTP/1.1\r\nHost: localhost\r\n", b"X-Slow: yes\r\n" * 100),
    "http: between requests": ("http", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
    "http: HTTP/2": ("http", b"PRI * HTTP/2.0\r\n\r\nSM", b""),
}


def slow_peers(server: Server, tally: Tally) -> None:
    selector = selectors.DefaultSelector()
    begun = time.monotonic()
    left: dict[str, int] = {}
    longest: dict[str, float] = {}
    open_peers = []
    for number in range(SLOWLORIS_PEERS):
        kind = list(DAWDLERS)[number % len(DAWDLERS)]
        door, at_once, slowly = DAWDLERS[kind]
        peer = socket.create_connection(("127.0.0.1", getattr(server, door)), timeout=10)
        peer.sendall(at_once) if at_once else None
        peer.setblocking(False)
        state = {"kind": kind, "slowly": slowly, "said": 0, "since": time.monotonic(), "open": True}
        selector.register(peer, selectors.EVENT_READ, state)
        open_peers.append((peer, state))
        left[kind] = left.get(kind, 0) + 1
    problems, next_byte = [], time.monotonic() + 0.5
    while any(left.values()) and time.monotonic() < begun + CUT_SECONDS + 10:
        for key, _ in selector.select(timeout=0.2):
            if ended(key.fileobj):
                selector.unregister(key.fileobj)
                key.fileobj.close()
                key.data["open"] = False
                left[key.data["kind"]] -= 1
                longest[key.data["kind"]] = max(longest.get(key.data["kind"], 0), time.monotonic() - key.data["since"])
        if time.monotonic() > next_byte:
            next_byte += 0.5
            for peer, state in open_peers:
                if state["open"] and state["said"] < len(state["slowly"]):
                    try:
                        peer.send(state["slowly"][state["said"]:state["said"] + 1])
                    except OSError:
                        pass  # Reading tells that it was cut.
                    state["said"] += 1
            problems += server.answers()
    for peer, _ in open_peers:
        peer.close()
    for kind, count in left.items():
        took = longest.get(kind, 0)
        wrong = [f"{count} are still open"] if count else [f"cut after {took:.1f} s"] if took > CUT_SECONDS else []
        tally.add(f"slow peers, {kind}: cut within {CUT_SECONDS} s", wrong)
    tally.add("slow peers: others are served meanwhile", problems)
    print(f"slow peers: {SLOWLORIS_PEERS}, the last was cut after {max(longest.values(), default=0):.1f} s")


def ended(peer: socket.socket) -> bool:
    try:
        return not peer.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


# --- a subscriber that does not read --------------------------------------------------------------------------------


def upgraded(server: Server, relation: str, buffer: int) -> socket.socket:
    """A WebSocket made by hand, whose system takes in only `buffer` bytes."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    peer.settimeout(30)
    peer.connect(("127.0.0.1", server.http))
    key = base64.b64encode(os.urandom(16)).decode()
    peer.sendall((f"GET /v1/subscribe?query={relation} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(1)
    if b" 101 " not in head:
        raise RuntimeError(head.decode())
    return peer


def frames(peer: socket.socket):
    """Frames as (opcode, payload) up to the end of the connection."""
    def exactly(count: int) -> bytes:
        got = b""
        while len(got) < count:
            more = peer.recv(min(1 << 20, count - len(got)))
            if not more:
                raise ConnectionError
            got += more
        return got

    try:
        while True:
            first, length = exactly(2)
            if length == 126:
                length = struct.unpack("!H", exactly(2))[0]
            elif length == 127:
                length = struct.unpack("!Q", exactly(8))[0]
            yield first & 15, exactly(length)
    except OSError:
        return


class Reader:
    """A subscriber that reads what comes, counting rows; one that was not fast enough begins again."""

    def __init__(self, server: Server, relation: str) -> None:
        self.server, self.relation = server, relation
        self.rows, self.snapshots, self.closed = 0, 0, b""
        self.peer = upgraded(server, relation, 1 << 20)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        while not self.closed:
            again = False
            for opcode, payload in frames(self.peer):
                if opcode == 9:
                    self.peer.sendall(b"\x8a\x80" + os.urandom(4))
                elif opcode == 8 and not again:
                    self.closed = payload
                elif payload.startswith(b'{"event":"lost"'):
                    again = True
                elif payload.startswith(b'{"event":"begin"') and b'"snapshot":true' in payload:
                    self.rows, self.snapshots = 0, self.snapshots + 1
                self.rows += payload.count(b'"w":1') - payload.count(b'"w":-1')
            if not again:
                self.closed = self.closed or b"cut"
                return
            self.peer = upgraded(self.server, self.relation, 1 << 20)


def stalled_subscriber(server: Server, tally: Tally) -> None:
    with server.connect() as root:
        root.execute("CREATE TABLE firehose (id BIGINT PRIMARY KEY, text VARCHAR)")
        root.execute("CREATE MATERIALIZED VIEW sprayed AS SELECT id, text FROM firehose WHERE id >= 0")
        reader = Reader(server, "sprayed")
        stalled: list[socket.socket] = []
        written, peaks = 0, []
        text = "x" * 1000

        def spray(until: float) -> int:
            """Rows that are written and deleted again: what is kept stays small while ever more is to be sent."""
            nonlocal written
            peak = 0
            while time.monotonic() < until:
                session_rows = [{"id": written + n, "text": text} for n in range(250)]
                status, answer = server.ingest("firehose", session_rows)
                if status not in (200, 202):
                    raise RuntimeError(f"{status} {answer}")
                written += 250
                root.execute("FLUSH")
                root.execute("DELETE FROM firehose")
                root.execute("FLUSH")
                time.sleep(0.02)
                peak = max(peak, server.rss_kib())
            return peak

        # Retention of changes fills up first, whether somebody stalls or not.
        peaks.append(spray(time.monotonic() + 8))
        stalled.append(upgraded(server, "sprayed", 4096))
        begun = time.monotonic()
        peaks.append(spray(begun + 8))
        cost = max(0, peaks[1] - peaks[0]) / 1024
        tally.add(f"stalled subscriber: at most {SUBSCRIBER_MIB} MiB", [] if cost <= SUBSCRIBER_MIB else [f"{cost:.1f} MiB"])
        # It is closed while it does not read; then it finds what was sent before, and the goodbye.
        metric = "thalweg_http_subscribers_stalled_total"
        while time.monotonic() < begun + STALL_SECONDS and not stalls(server):
            spray(time.monotonic() + 1)
        tally.add("stalled subscriber: it is found", [] if stalls(server) else [f"{metric} is 0 after {STALL_SECONDS} s"])
        closed = None
        for opcode, payload in frames(stalled[0]):
            if opcode == 8:
                closed = (struct.unpack("!H", payload[:2])[0], payload[2:].decode())
                break
        token = closed and closed[1].rpartition("after=")[2]
        good = closed and closed[0] == 4408 and (token == "" or token.isdigit()) and "after=" in closed[1]
        tally.add("stalled subscriber: closed with 4408 and where to resume", [] if good else [f"closed with {closed}"])
        deadline = time.monotonic() + 20
        root.execute("INSERT INTO firehose VALUES (7, 'the last')")
        while reader.rows != 1 and time.monotonic() < deadline:
            time.sleep(0.2)
        tally.add("stalled subscriber: another has received everything", [] if reader.rows == 1 and not reader.closed else [
            f"{reader.rows} rows instead of 1, {reader.snapshots} snapshots, closed with {reader.closed}"])
        print(f"stalled subscriber: {cost:.1f} MiB, closed with {closed}, {written} rows written meanwhile, {reader.snapshots} snapshots beside it")
        for peer in (*stalled, reader.peer):
            peer.close()
        root.execute("DROP TABLE firehose CASCADE")


def stalls(server: Server) -> int:
    """Subscribers that were closed because they did not read."""
    lines = server.request("GET", "/metrics")[2].splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if "stalled" in line and not line.startswith("#"))


def main() -> int:
    tally = Tally()
    files = raise_limit(2 * IDLE_CONNECTIONS + SLOWLORIS_PEERS + 500)
    count = min(IDLE_CONNECTIONS, files - 500)
    if count < IDLE_CONNECTIONS:
        print(f"only {files} files may be open: {count} idle sessions instead of {IDLE_CONNECTIONS}")
    with Server(log="error") as server:
        with server.connect() as root:
            root.execute("CREATE TABLE steady (id BIGINT PRIMARY KEY)")
            root.execute("CREATE TABLE trash (id BIGINT)")
            root.execute("CREATE MATERIALIZED VIEW steady_view AS SELECT id FROM steady")
            root.execute("CREATE ROLE ann WITH LOGIN PASSWORD 'unknown'")
        for part in (lambda: idle_sessions(server, tally, count), lambda: garbage_storm(server, tally),
                     lambda: slow_peers(server, tally), lambda: stalled_subscriber(server, tally)):
            try:
                part()
            except Exception as error:  # noqa: BLE001 - the other parts shall run
                tally.add("a part of the storm", [f"{type(error).__name__}: {error}"])
        tally.add("it answers in the end", server.answers())
        tally.add("no panic", server.panics())
        tally.run("it ends when asked", lambda: [] if (code := server.stop()) == 0 else [f"exit code {code}"])
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
