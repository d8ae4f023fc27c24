"""Alerts told to a real HTTP receiver, through kills: each thing that happened is told, in order; what is told again, because its
answer was lost, has the same Idempotency-Key. Silences, acknowledgements, dashboards and jobs as the catalog tells of them."""

import collections
import http.server
import json
import os
import random
import tempfile
import threading
import time

import psycopg
from harness import Server, Tally, eventually, seconds

SEED = int(os.environ.get("ALERT_SEED", "0"))
KILLS = int(seconds("ALERT_KILLS", 6))
STATEMENTS = [
    "CREATE TABLE readings (device BIGINT PRIMARY KEY, t DOUBLE PRECISION)",
    "CREATE MATERIALIZED VIEW hot_now AS SELECT device, t FROM readings WHERE t > 90",
]


class Receiver(http.server.ThreadingHTTPServer):
    """Takes what is posted; now and then it answers that it cannot, or not at all."""

    daemon_threads = True

    def __init__(self, chance: random.Random | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Take)
        self.chance, self.taken, self.lock = chance, [], threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def keys(self) -> list[str]:
        with self.lock:
            return [key for key, _ in self.taken]

    def bodies(self) -> list[dict]:
        """What was told, each once, in the order in which it came first."""
        with self.lock:
            return list({key: body for key, body in reversed(self.taken)}.values())[::-1]


class Take(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        receiver: Receiver = self.server
        mood = receiver.chance.random() if receiver.chance else 1
        if mood < 0.1:
            self.send_response(503)
            self.end_headers()
            return
        with receiver.lock:
            receiver.taken.append((self.headers["Idempotency-Key"], body))
        if mood < 0.15:
            self.connection.close()
            return
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def events(server: Server, alert: str = "hot") -> list[tuple]:
    """What has happened, as the history tells."""
    with server.connect() as session:
        rows = session.execute(
            "SELECT instance, transition, row FROM thalweg_catalog.alert_history WHERE name = %s ORDER BY at", (alert,)
        )
        return [(i, t, r if isinstance(r, dict) else json.loads(r)) for i, t, r in rows.fetchall()]


def told(receiver: Receiver) -> list[tuple]:
    return [(b["instance"], b["transition"], b["row"]) for b in receiver.bodies()]


def by_instance(all_events: list[tuple]) -> dict:
    found = collections.defaultdict(list)
    for instance, transition, row in all_events:
        found[instance].append((transition, row["t"]))
    return found


def through_kills(folder: str) -> list[str]:
    chance = random.Random(SEED)
    receiver, problems = Receiver(random.Random(SEED + 1)), []
    hot: dict[int, float] = {}
    for kill in range(KILLS + 1):
        with Server("--data", folder) as server:
            with server.connect() as session:
                if kill == 0:
                    [session.execute(s) for s in STATEMENTS]
                    session.execute(
                        "CREATE ALERT hot ON hot_now FOR '300 milliseconds' SEVERITY critical "
                        f"NOTIFY webhook WITH (url = '{receiver.url}')"
                    )
                until = time.monotonic() + chance.uniform(1.5, 3)
                while time.monotonic() < until:
                    device, t = chance.randrange(20), round(chance.uniform(80, 100), 2)
                    try:
                        session.execute("INSERT INTO readings VALUES (%s, %s) ON CONFLICT (device) DO UPDATE SET t = %s", (device, t, t))
                    except psycopg.Error as error:
                        problems.append(f"insert: {error}")
                        break
                    hot.pop(device, None)
                    if t > 90:
                        hot[device] = t
                    time.sleep(chance.uniform(0, 0.05))
            if kill < KILLS:
                server.kill()
                continue
            # All that stands has fired, and all is told.
            fires = lambda: {e[0] for e in firing(server)} == {str(d) for d in hot}  # noqa: E731
            if not eventually(fires):
                problems.append(f"firing {sorted(e[0] for e in firing(server))}, hot {sorted(hot)}")
            if not eventually(lambda: len(receiver.bodies()) >= len(events(server))):
                problems.append(f"{len(events(server))} happened, {len(receiver.bodies())} were told")
            happened, heard = by_instance(events(server)), by_instance(told(receiver))
            for instance in happened.keys() | heard.keys():
                if happened[instance] != heard[instance]:
                    problems.append(f"instance {instance}: happened {happened[instance]}, told {heard[instance]}")
            repeated = len(receiver.keys()) - len(set(receiver.keys()))
            print(f"seed {SEED}: {sum(map(len, happened.values()))} things happened, {KILLS} kills, {repeated} told again with their keys")
            if sum(map(len, happened.values())) < 50:
                problems.append("too little has happened")
            problems += [f"{i}: {wrong}" for i, all_of in happened.items() if (wrong := disordered([t for t, _ in all_of]))]
    return problems


def firing(server: Server) -> list[tuple]:
    with server.connect() as session:
        return session.execute("SELECT instance, state FROM thalweg_catalog.alert_instances WHERE state = 'firing'").fetchall()


def disordered(transitions: list[str]) -> str | None:
    """An instance is pending, then fires or is cleared; what fires is resolved."""
    follows = {None: {"pending"}, "pending": {"firing", "cleared"}, "firing": {"resolved"}, "resolved": {"pending"}, "cleared": {"pending"}}
    last = None
    for transition in transitions:
        if transition not in follows[last]:
            return f"{transition} after {last}"
        last = transition
    return None


def quietened(folder: str) -> list[str]:
    receiver, problems = Receiver(), []

    def expect(what: str, is_so: bool) -> None:
        if not is_so:
            problems.append(what)

    with Server("--data", folder) as server, server.connect() as session:
        [session.execute(s) for s in STATEMENTS]
        session.execute(f"CREATE ALERT hot ON hot_now SEVERITY warning NOTIFY webhook WITH (url = '{receiver.url}'), log")
        session.execute("INSERT INTO readings VALUES (1, 95), (2, 50)")
        expect("it is told", eventually(lambda: told(receiver) == [("1", "firing", {"device": 1, "t": 95.0})]))
        body = receiver.bodies()[0] if receiver.bodies() else {}
        expect(f"alert and severity: {body}", (body.get("alert"), body.get("severity")) == ("hot", "warning"))
        session.execute("SILENCE ALERT hot INSTANCE '2' FOR '1 hour' REASON 'being mended'")
        session.execute("INSERT INTO readings VALUES (2, 99) ON CONFLICT (device) DO UPDATE SET t = 99")
        session.execute("DELETE FROM readings WHERE device = 1")
        expect("the other is told", eventually(lambda: [e[:2] for e in told(receiver)] == [("1", "firing"), ("1", "resolved")]))
        notified = "SELECT instance, transition, notified FROM thalweg_catalog.alert_history ORDER BY at, instance"
        right = {("1", "firing", "sent"), ("1", "resolved", "sent"), ("2", "firing", "silenced")}
        expect("what was told is known", eventually(lambda: set(session.execute(notified).fetchall()) == right))
        session.execute("ACKNOWLEDGE ALERT hot INSTANCE '2' REASON 'mine'")
    with Server("--data", folder) as server, server.connect() as session:
        one = session.execute(
            "SELECT instance, state, acknowledged_by, acknowledged_at IS NOT NULL, silenced_until > now() FROM thalweg_catalog.alert_instances"
        ).fetchall()
        expect(f"silence and note are kept: {one}", one == [("2", "firing", "root", True, True)])
        session.execute("UNSILENCE ALERT hot")
        session.execute("DELETE FROM readings WHERE device = 2")
        expect("it is told again", eventually(lambda: told(receiver)[-1][:2] == ("2", "resolved")))
        state = "SELECT severity, state, pending, firing FROM thalweg_catalog.alerts"
        expect("it is over", eventually(lambda: session.execute(state).fetchall() == [("warning", "ok", 0, 0)]))
        jobs = {name: state for name, state in session.execute("SELECT name, state FROM thalweg_catalog.jobs").fetchall()}
        expect(f"jobs: {jobs}", {"hot", "hot$history", "hot$notify1", "hot$notify2"} <= jobs.keys() and set(jobs.values()) == {"live"})
        session.execute("CREATE OR REPLACE ALERT hot ON (SELECT device, t FROM readings WHERE t > 70) FOR '1 hour'")
        session.execute("INSERT INTO readings VALUES (3, 75)")
        pending = lambda: session.execute(state).fetchall() == [("warning", "pending", 1, 0)]  # noqa: E731
        expect("it is replaced", eventually(pending))
        session.execute("ALTER ALERT hot RENAME TO warm")
        names = [row[0] for row in session.execute("SHOW JOBS").fetchall()]
        expect(f"what it had is gone: {names}", len([n for n in names if "notify" in str(n)]) == 0)
        session.execute("DROP ALERT warm")
        expect("it is gone", session.execute("SELECT count(*) FROM thalweg_catalog.alerts").fetchone() == (0,))
        left = session.execute("SELECT name FROM thalweg_catalog.relations WHERE name LIKE '%history%'").fetchall()
        expect(f"with its history: {left}", left == [])
    return problems


def told_while_nothing_comes(folder: str) -> list[str]:
    """Time alone lets it fire: nobody writes anything after the one row."""
    receiver, problems = Receiver(), []
    with Server("--data", folder) as server, server.connect() as session:
        [session.execute(s) for s in STATEMENTS]
        session.execute(
            "CREATE ALERT hot ON hot_now FOR '3 seconds' SEVERITY critical "
            f"NOTIFY webhook WITH (url = '{receiver.url}')"
        )
        session.execute("INSERT INTO readings VALUES (1, 95)")
        if not eventually(lambda: [e[1] for e in told(receiver)] == ["pending", "firing"], 20):
            problems.append(f"told: {told(receiver)}")
    return problems


def refusals(folder: str) -> list[str]:
    problems = []
    with Server("--data", folder) as server, server.connect() as session:
        [session.execute(s) for s in STATEMENTS]
        wrong = {
            "CREATE ALERT a ON SELECT nope FROM readings": 'column "nope" does not exist',
            "CREATE ALERT a ON hot_now PRIMARY KEY (devise)": "column devise does not exist",
            "CREATE ALERT a ON hot_now NOTIFY pigeon": "no way to notify pigeon",
            "CREATE ALERT a ON hot_now NOTIFY webhook": "url",
            "CREATE ALERT a ON SELECT t AS alert_state FROM readings": "alert_state",
            "CREATE ALERT hot_now ON readings": "already exists",
            "SILENCE ALERT nobody FOR '1 hour'": "does not exist",
            "SILENCE ALERT readings FOR '1 hour'": "not an alert",
            "DROP VIEW IF EXISTS hot_now": "not a view",
            "CREATE DASHBOARD d AS PANEL p LINE (SELECT t FROM nowhere)": "panel p",
            "CREATE DASHBOARD d AS PANEL p LINE (SELECT t FROM readings) WITH (x = device)": "option x",
        }
        for statement, says in wrong.items():
            try:
                session.execute(statement)
                problems.append(f"{statement}: it was taken")
            except psycopg.Error as error:
                if says not in str(error):
                    problems.append(f"{statement}: {error}")
        names = session.execute("SHOW JOBS").fetchall()
        if len(names) != 2:
            problems.append(f"something of what was refused runs: {names}")
    return problems


def dashboards(folder: str) -> list[str]:
    problems = []
    made = (
        "CREATE DASHBOARD fleet TITLE 'Fleet' AS PANEL hot NUMBER (SELECT count(*) AS n FROM hot_now) WITH (unit = '°C', width = 3), "
        "PANEL temps LINE (SELECT device, t FROM readings) WITH (x = device, y = t)"
    )
    for start in range(2):
        with Server("--data", folder) as server, server.connect() as session:
            if start == 0:
                [session.execute(s) for s in STATEMENTS]
                session.execute(made)
            rows = session.execute("SELECT name, title, definition FROM thalweg_catalog.dashboards").fetchall()
            if rows != [("fleet", "Fleet", made)]:
                problems.append(f"{rows}")
            panels = session.execute("SELECT position, name, kind, options->>'width' FROM thalweg_catalog.dashboard_panels ORDER BY 1").fetchall()
            if panels != [(1, "hot", "number", "3"), (2, "temps", "line", None)]:
                problems.append(f"{panels}")
            shown = session.execute("SHOW CREATE DASHBOARD fleet").fetchone()
            if made not in shown:
                problems.append(f"{shown}")
            try:
                session.execute("DROP MATERIALIZED VIEW hot_now")
                problems.append("what a dashboard shows was dropped")
            except psycopg.Error as error:
                if "dashboard fleet" not in str(error):
                    problems.append(f"{error}")
            if start == 1:
                session.execute("CREATE OR REPLACE DASHBOARD fleet AS PANEL one TABLE (SELECT * FROM readings)")
                session.execute("DROP MATERIALIZED VIEW hot_now")
                session.execute("DROP DASHBOARD fleet")
    return problems


def main() -> int:
    tally = Tally()
    for check in (refusals, quietened, told_while_nothing_comes, dashboards, through_kills):
        with tempfile.TemporaryDirectory(prefix="thalweg-alerts-") as folder:
            tally.run(check.__name__, check, folder)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
