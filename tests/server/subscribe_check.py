"""A model of a subscriber: it applies events, loses its connection at random, resumes, and at every commit has rows that
the view really had.

Each writer owns rows of its own and notes, before each of its statements, what its rows will be. What a subscriber or a
SELECT sees of a writer's rows must be one of these states, none older than what it has seen before; and when the writers
pause, it is what `SELECT * FROM view` says. SUBSCRIBE_SECONDS: how long they run.
"""

import collections
import http.client
import json
import logging
import random
import socket
import sys
import tempfile
import threading
import time
import urllib.parse

from harness import Server, Tally, seconds
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as open_websocket

DURATION = seconds("SUBSCRIBE_SECONDS", 10)
WRITERS = 3
PATIENCE = 30.0

SETUP = """
CREATE TABLE items (id BIGINT PRIMARY KEY, writer INT, v BIGINT);
CREATE MATERIALIZED VIEW plain AS SELECT id, writer, v FROM items;
CREATE MATERIALIZED VIEW odd AS SELECT id, writer, v FROM items WHERE v % 2 = 1;
CREATE MATERIALIZED VIEW sums AS SELECT writer, count(*) AS n, sum(v) AS s FROM items GROUP BY writer;
"""

# What is subscribed to, and the same as a query.
QUERIES = {
    "plain": "SELECT * FROM plain",
    "odd": "SELECT * FROM odd",
    "sums": "SELECT * FROM sums",
    "SELECT id, writer, v FROM items WHERE v > 10": "SELECT id, writer, v FROM items WHERE v > 10",
}


def answer(query: str, rows: dict[int, int], writer: int) -> frozenset:
    """What a query says of a writer whose table rows are `rows`."""
    whole = {(i, writer, v) for i, v in rows.items()}
    if query == "odd":
        whole = {r for r in whole if r[2] % 2}
    elif query == "sums":
        whole = {(writer, len(rows), sum(rows.values()))} if rows else set()
    elif "> 10" in query:
        whole = {r for r in whole if r[2] > 10}
    return frozenset(whole)


class Writer:
    """Inserts, updates and deletes its own rows; `past[query]` knows all its states and when they were first and last."""

    def __init__(self, number: int) -> None:
        self.number, self.chance = number, random.Random(number)
        self.rows: dict[int, int] = {}
        self.step = 0
        self.past: dict[str, dict[frozenset, list[int]]] = {q: collections.defaultdict(list) for q in QUERIES}
        self.note()

    def note(self) -> None:
        for query, states in self.past.items():
            states[answer(query, self.rows, self.number)].append(self.step)

    def statement(self) -> str:
        """The next statement; its outcome is noted."""
        self.step += 1
        kind = self.chance.random()
        if kind < 0.5 or len(self.rows) < 3:
            fresh = {self.number * 10**9 + self.step * 100 + n: self.chance.randrange(10**6) for n in range(self.chance.randint(1, 20))}
            self.rows = {**self.rows, **fresh}
            sql = "INSERT INTO items VALUES " + ", ".join(f"({i}, {self.number}, {v})" for i, v in fresh.items())
        elif kind < 0.8:
            some = set(self.chance.sample(list(self.rows), self.chance.randint(1, min(5, len(self.rows)))))
            self.rows = {i: v + self.step if i in some else v for i, v in self.rows.items()}
            sql = f"UPDATE items SET v = v + {self.step} WHERE id IN ({', '.join(map(str, some))})"
        else:
            gone = set(self.chance.sample(list(self.rows), self.chance.randint(1, len(self.rows) // 2)))
            self.rows = {i: v for i, v in self.rows.items() if i not in gone}
            sql = f"DELETE FROM items WHERE id IN ({', '.join(map(str, gone))})"
        self.note()
        return sql


class World:
    """The writers, and when everybody pauses."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.writers = [Writer(n) for n in range(1, WRITERS + 1)]
        self.ending = self.paused = False
        self.done: set[int] = set()
        self.errors: list[str] = []
        self.port = server.http

    def write(self, writer: Writer) -> None:
        try:
            with self.server.connect() as session:
                while not self.ending:
                    if self.paused:
                        self.done.add(writer.number)
                        time.sleep(0.02)
                        continue
                    session.execute(writer.statement())
                    time.sleep(writer.chance.random() * 0.01)
        except Exception as error:  # noqa: BLE001 - told at the end
            self.errors.append(f"writer {writer.number}: {type(error).__name__}: {error}")

    def pause(self) -> None:
        self.done.clear()
        self.paused = True
        deadline = time.monotonic() + PATIENCE
        while len(self.done) < WRITERS and not self.errors and time.monotonic() < deadline:
            time.sleep(0.01)

    def now(self, query: str) -> frozenset:
        return frozenset().union(*(answer(query, w.rows, w.number) for w in self.writers))

    def misfit(self, query: str, rows: collections.Counter, since: dict[int, int]) -> list[str]:
        """What is wrong with rows that were seen; `since` are the steps of the writers that were seen before."""
        problems = []
        if any(weight != 1 for weight in rows.values()):
            problems.append(f"weights other than 1: {[r for r in rows.items() if r[1] != 1][:3]}")
        owner = 0 if query == "sums" else 1
        for writer in self.writers:
            seen = frozenset(row for row in rows if row[owner] == writer.number)
            steps = writer.past[query].get(seen, [])
            if not steps:
                problems.append(f"writer {writer.number} never had these {len(seen)} rows (it is at step {writer.step})")
            elif steps[-1] < since.get(writer.number, 0):
                problems.append(f"writer {writer.number} is back at step {steps[-1]}, it was at {since[writer.number]}")
            else:
                # The earliest state that fits: the same rows may have been there twice.
                since[writer.number] = next(s for s in steps if s >= since.get(writer.number, 0))
        return problems


class Model:
    """A subscriber that follows the rules of the events, through any number of connections."""

    def __init__(self, world: World, query: str, way: str, seed: int) -> None:
        self.world, self.query, self.way, self.chance = world, query, way, random.Random(seed)
        self.rows: collections.Counter = collections.Counter()
        self.pending: collections.Counter | None = None
        self.columns: list[str] = []
        self.after: int | None = None
        self.since: dict[int, int] = {}
        self.counts: collections.Counter[str] = collections.Counter()
        self.problems: list[str] = []
        self.last_reason = ""

    def apply(self, event: dict) -> None:
        kind = event["event"]
        self.counts[kind] += 1
        if kind == "begin":
            if self.pending is not None:
                self.problems.append("begin within begin")
            if self.after is None and not event["snapshot"]:
                self.problems.append("a subscription from the start begins without a snapshot")
            self.counts["snapshot"] += event["snapshot"]
            self.columns = [c["name"] for c in event.get("columns", [])] or self.columns
            self.pending = collections.Counter() if event["snapshot"] else self.rows.copy()
        elif kind == "changes":
            if self.pending is None:
                self.problems.append("changes outside of begin and commit")
                return
            for change in event["rows"]:
                row = tuple(int(change["row"][name]) for name in self.columns)
                self.pending[row] += change["w"]
        elif kind == "commit":
            if self.pending is None:
                self.problems.append("commit without begin")
                return
            if self.after is not None and event["epoch"] <= self.after:
                self.problems.append(f"epoch {event['epoch']} after {self.after}")
            self.rows = collections.Counter({r: w for r, w in self.pending.items() if w})
            self.pending, self.after = None, event["epoch"]
            self.problems += self.world.misfit(self.query, self.rows, self.since)
        elif kind == "lost":
            self.after = None
        elif kind == "resume":
            self.last_reason = event["reason"]
            if event["after"] != self.after:
                self.problems.append(f"resume after {event['after']}, the last commit was {self.after}")
        elif kind == "error":
            self.problems.append(f"error: {event['error']}")

    def follow(self) -> None:
        while not self.world.ending and len(self.problems) < 5:
            self.pending = None
            self.counts["connection"] += 1
            try:
                for event in self.events(self.chance.choice((1, 3, 10, 30, 100))):
                    self.apply(event)
                    if self.chance.random() < 0.05:
                        time.sleep(self.chance.random() * 0.3)
            except (OSError, ConnectionClosed, http.client.HTTPException):
                time.sleep(0.05)
            except Exception as error:  # noqa: BLE001 - told at the end
                self.problems.append(f"{type(error).__name__}: {error}")

    def events(self, most: int):
        """At most so many events of one connection; it is then cut, wherever that is."""
        return (self.events_of_sse if self.way == "sse" else self.events_of_websocket)(most)

    def path(self, by_header: bool) -> tuple[str, dict[str, str]]:
        path = "/v1/subscribe?query=" + urllib.parse.quote(self.query)
        if self.after is None:
            return path, {}
        # The header goes before the parameter.
        return (path + "&after=0", {"Last-Event-ID": str(self.after)}) if by_header else (f"{path}&after={self.after}", {})

    def events_of_sse(self, most: int):
        path, headers = self.path(self.chance.random() < 0.5)
        connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {response.read()[:200]}")
            name = identity = None
            while most > 0 and not self.world.ending:
                line = response.readline().decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("id: "):
                    identity = line[4:]
                elif line.startswith("data: "):
                    event = {"event": name, **json.loads(line[6:])}
                    if name == "commit" and identity != str(event["epoch"]):
                        self.problems.append(f"id {identity} of epoch {event['epoch']}")
                    most -= 1
                    yield event
                elif not line and response.isclosed():
                    return
        finally:
            connection.close()

    def events_of_websocket(self, most: int):
        path, headers = self.path(self.chance.random() < 0.5)
        url = f"ws://127.0.0.1:{self.world.port}{path}"
        try:
            with open_websocket(url, additional_headers=headers, max_size=None, proxy=None, close_timeout=1, compression=None) as websocket:
                try:
                    while most > 0 and not self.world.ending:
                        event = json.loads(websocket.recv(timeout=PATIENCE))
                        most -= 1
                        yield event
                        if event["event"] == "commit" and self.chance.random() < 0.2:
                            websocket.send(json.dumps({"ack": event["epoch"]}))
                finally:
                    cut(websocket.socket)
        except InvalidStatus as error:
            raise RuntimeError(f"{error.response.status_code}: {error.response.body[:200]}") from error

    def name(self) -> str:
        return f"{self.way} of {self.query}"


def cut(connection: socket.socket) -> None:
    """Ends a connection without a goodbye."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # The other side was faster.


def reader(world: World, problems: list[str], counts: collections.Counter) -> None:
    """SELECTs are held to the same."""
    since: dict[str, dict[int, int]] = {q: {} for q in QUERIES}
    with world.server.connect() as session:
        while not world.ending and len(problems) < 5:
            for query, sql in QUERIES.items():
                rows = collections.Counter(tuple(map(int, r)) for r in session.execute(sql).fetchall())
                counts["select"] += 1
                problems += [f"{sql}: {p}" for p in world.misfit(query, rows, since[query])]


def barrier(world: World, models: list[Model], session) -> list[str]:
    """When nobody writes, SELECT, the writers' own rows and every subscriber agree."""
    world.pause()
    session.execute("FLUSH")
    problems = []
    for query, sql in QUERIES.items():
        rows = [tuple(map(int, r)) for r in session.execute(sql).fetchall()]
        if collections.Counter(rows) != collections.Counter(world.now(query)):
            problems.append(f"{sql} is not what was written")
    waiting = list(models)
    deadline = time.monotonic() + PATIENCE
    while waiting and time.monotonic() < deadline:
        waiting = [m for m in waiting if m.rows != collections.Counter(world.now(m.query)) and not m.problems]
        time.sleep(0.05)
    problems += [f"{m.name()} does not arrive: {len(m.rows)} rows, {len(world.now(m.query))} wanted" for m in waiting]
    world.paused = False
    return problems


def cuts(tally: Tally) -> None:
    with Server() as server, server.connect() as session:
        for statement in SETUP.split(";")[:-1]:
            session.execute(statement)
        world = World(server)
        models = [Model(world, query, way, seed) for seed, (query, way) in enumerate((q, w) for q in QUERIES for w in ("sse", "websocket"))]
        wrong_reads: list[str] = []
        counts: collections.Counter[str] = collections.Counter()
        threads = [threading.Thread(target=world.write, args=(w,), daemon=True) for w in world.writers]
        threads += [threading.Thread(target=m.follow, daemon=True) for m in models]
        threads.append(threading.Thread(target=reader, args=(world, wrong_reads, counts), daemon=True))
        for thread in threads:
            thread.start()
        until = time.monotonic() + DURATION
        at_rest: list[str] = []
        while time.monotonic() < until:
            time.sleep(min(2.5, DURATION / 3))
            at_rest += barrier(world, models, session)
        world.ending = True
        for thread in threads:
            thread.join(PATIENCE)
        tally.add("writers come to their end", world.errors)
        tally.add("at rest SELECT, subscribers and writers agree", at_rest)
        tally.add("every SELECT is a state that was", wrong_reads)
        for model in models:
            few = [] if model.counts["commit"] > 5 and model.counts["connection"] > 2 else [f"it saw little: {dict(model.counts)}"]
            # A view's changes are kept for a while; those of a query of one's own end with the connection.
            if model.query in ("plain", "odd", "sums") and model.counts["lost"]:
                few.append(f"lost {model.counts['lost']} times of {model.counts['connection']}")
            tally.add(f"{model.name()}: every commit is a state that was", model.problems + few)
        tally.add("no panic", server.panics())
        for model in models:
            counts.update(model.counts)
        print(f"subscriptions: {counts['commit']} commits over {counts['connection']} connections, {counts['snapshot']} snapshots, "
              f"{counts['lost']} lost; {sum(w.step for w in world.writers)} writes, {counts['select']} SELECTs")


# --- requests at the edge -------------------------------------------------------------------------------------------


def subscribe_once(server: Server, path: str, headers: dict[str, str] | None = None, wanted: tuple[str, ...] = ("commit",), patience: float = 15):
    """Status and events of a subscription up to one of `wanted`, or as many as come in time."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http, timeout=patience)
    events, name, until = [], "", time.monotonic() + patience
    try:
        connection.request("GET", "/v1/subscribe?query=" + path, headers=headers or {})
        response = connection.getresponse()
        if response.status != 200:
            return response.status, [response.read().decode()]
        while not events or events[-1]["event"] not in wanted:
            line = response.readline().decode()
            if not line:
                break
            if time.monotonic() > until:
                raise TimeoutError  # Nothing but heartbeats.
            if line.startswith("event: "):
                name = line[7:].strip()
            elif line.startswith("data: "):
                events.append({"event": name, **json.loads(line[6:])})
        return 200, events
    except TimeoutError:
        return 200, [*events, {"event": "silence"}]
    finally:
        connection.close()


def kinds(events: list[dict]) -> list[str]:
    return [e["event"] for e in events]


def wrong_requests(server: Server):
    problems = []
    for what, path, headers in (
        ("no such view", "nowhere", {}), ("a statement", "DROP%20TABLE%20small", {}), ("nothing", "", {}), ("two", "SELECT%201;SELECT%202", {}),
        ("after that is no number", "small&after=x", {}), ("a negative after", "small&after=-1", {}), ("an unknown parameter", "small&before=1", {}),
        ("Last-Event-ID that is no number", "small", {"Last-Event-ID": "x"}), ("an upgrade to something else", "small", {"Connection": "Upgrade", "Upgrade": "h2c"}),
    ):
        status, events = subscribe_once(server, path, headers)
        if status not in (400, 404, 422, 426):
            problems.append(f"{what}: {status} {str(events)[:100]}")
    return problems


def after_the_future(server: Server):
    """An epoch that has not been: the client comes from another life of the server, and hears so."""
    status, events = subscribe_once(server, "small&after=999999999", wanted=("commit", "lost", "error"), patience=5)
    if status == 400 or (events and events[-1]["event"] == "lost") or (kinds(events)[-1:] == ["commit"] and events[0].get("snapshot")):
        return []
    return [f"{status} {kinds(events)}"]


def going_down(tally: Tally) -> None:
    """A server that stops says where to resume; one that has started again knows nothing wrong of the time before."""
    with tempfile.TemporaryDirectory(prefix="thalweg-subscribe-") as data:
        with Server("--data", data) as server:
            with server.connect() as session:
                session.execute("CREATE TABLE small (id BIGINT PRIMARY KEY)")
                session.execute("CREATE MATERIALIZED VIEW small_view AS SELECT id FROM small")
                session.execute("INSERT INTO small VALUES (1), (2)")
                session.execute("FLUSH")
                for number in range(3, 30):
                    session.execute(f"INSERT INTO small VALUES ({number})")
                    session.execute("FLUSH")
            tally.run("requests that are wrong", wrong_requests, server)
            tally.run("after an epoch of the future", after_the_future, server)
            ended: dict[str, object] = {}

            def sse() -> None:
                ended["sse"] = subscribe_once(server, "small_view", wanted=("resume",), patience=20)[1]

            def websocket() -> None:
                with open_websocket(f"ws://127.0.0.1:{server.http}/v1/subscribe?query=small_view", proxy=None) as open_one:
                    try:
                        while True:
                            event = json.loads(open_one.recv(timeout=20))
                            ended["epoch"] = event.get("epoch", ended.get("epoch"))
                    except ConnectionClosed as closed:
                        ended["websocket"] = closed.rcvd

            threads = [threading.Thread(target=sse), threading.Thread(target=websocket)]
            [t.start() for t in threads]
            time.sleep(1.5)
            tally.run("a server with subscribers ends when asked", lambda: [] if (code := server.stop()) == 0 else [f"exit code {code}"])
            [t.join(25) for t in threads]
        last = (ended.get("sse") or [{}])[-1]
        tally.add("going down: an event says where to resume", [] if last.get("event") == "resume" and isinstance(last.get("after"), int) else [f"{last}"])
        frame = ended.get("websocket")
        good = frame is not None and frame.code == 1001 and frame.reason.endswith(f"after={ended.get('epoch')}")
        tally.add("going down: a WebSocket is closed with where to resume", [] if good else [f"{frame}"])
        with Server("--data", data) as server:
            after = last.get("after", 1)
            with server.connect() as session:
                session.execute("INSERT INTO small VALUES (100)")
                session.execute("FLUSH")

            def resumed():
                status, events = subscribe_once(server, f"small_view&after={after}", wanted=("commit", "lost", "error"))
                if status != 200 or not events:
                    return [f"{status} {events}"]
                if events[-1]["event"] == "lost":
                    return []
                rows = {c["row"]["id"]: c["w"] for e in events if e["event"] == "changes" for c in e["rows"]}
                if events[0].get("snapshot"):
                    return [] if len(rows) == 30 else [f"a snapshot of {len(rows)} rows"]
                return [] if rows == {100: 1} else [f"neither a snapshot, nor lost, nor what is new: {events}"]

            tally.run("resuming after a restart", resumed)


def resumes(server: Server, relation: str, by_header: bool):
    """Exactly what happened in between comes, without a snapshot."""
    with server.connect() as session:
        status, events = subscribe_once(server, relation)
        if status != 200 or kinds(events)[-1:] != ["commit"]:
            return [f"no snapshot: {status} {events}"]
        after = events[-1]["epoch"]
        before = session.execute("SELECT count(*) FROM items").fetchone()[0]
        for n in range(3):
            session.execute(f"INSERT INTO items VALUES ({before + n + 1}, 1, {2 * n + 1})")
            session.execute("FLUSH")
        path, headers = (relation, {"Last-Event-ID": str(after)}) if by_header else (f"{relation}&after={after}", {})
        status, events = subscribe_once(server, path, headers, wanted=("commit", "lost", "error"))
        if status != 200 or kinds(events)[0] != "begin" or events[0]["snapshot"] or kinds(events)[-1] != "commit":
            return [f"{status} {events}"]
        return [] if any(e["event"] == "changes" and e["rows"] for e in events) else [f"nothing came: {events}"]


def coming_back(tally: Tally) -> None:
    with Server() as server:
        with server.connect() as session:
            for statement in SETUP.split(";")[:-1]:
                session.execute(statement)
        for relation in ("items", "plain", "odd", "sums"):
            for by_header in (False, True):
                name = f"resuming {relation} by {'Last-Event-ID' if by_header else 'after'}"
                tally.run(name, resumes, server, relation, by_header)


def main() -> int:
    # It reports connections that are cut as errors of its own.
    logging.getLogger("websockets").setLevel(logging.CRITICAL + 1)
    tally = Tally()
    coming_back(tally)
    cuts(tally)
    going_down(tally)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
