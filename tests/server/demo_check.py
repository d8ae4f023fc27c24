"""`thalweg demo`: within seconds there are three dashboards whose panels have rows, an alert that fires and an anomaly
that was caught. It ends in order, and the next start over its data goes on."""

import sys
import tempfile
import time

import psycopg
from harness import Server, Tally, eventually, seconds

# Of a debug build on a machine that is busy; a release build is to take 5.
DEADLINE = seconds("DEMO_SECONDS", 20)
DASHBOARDS = {"flights", "market", "sensors"}
PANELS = """SELECT d.name, p.name, p.query FROM thalweg_catalog.dashboard_panels AS p
            JOIN thalweg_catalog.dashboards AS d ON d.id = p.dashboard ORDER BY d.name, p.position"""
FIRING = "SELECT count(*) FROM thalweg_catalog.alert_instances WHERE name = 'overheated' AND state = 'firing'"
STREAMS = "SELECT stream, rows, last FROM streams ORDER BY stream"


def demo(*flags: str) -> Server:
    return Server(*flags, command="demo", patience=DEADLINE)


def panels(session: psycopg.Connection) -> list[str]:
    """What the panels do not show."""
    problems, seen = [], set()
    for dashboard, panel, query in session.execute(PANELS).fetchall():
        seen.add(dashboard)
        rows = session.execute(query).fetchall()
        if not rows or all(value is None for value in rows[0]):
            problems.append(f"{dashboard}.{panel} shows nothing: {rows[:1]}")
    return problems + ([f"dashboards {sorted(seen)}"] if seen != DASHBOARDS else [])


def count(session: psycopg.Connection, query: str) -> int:
    return session.execute(query).fetchone()[0]


def soon() -> list[str]:
    """From the start of the process on."""
    problems, started = [], time.monotonic()
    took = {}

    def within(what: str, is_so) -> None:
        if not eventually(is_so, max(0.1, DEADLINE - (time.monotonic() - started))):
            problems.append(f"{what} after {DEADLINE} s: no")
        took[what] = time.monotonic() - started

    with demo() as server:
        took["address"] = time.monotonic() - started
        with server.connect() as session:
            shown = "SELECT count(*) FROM thalweg_catalog.dashboards"
            within("dashboards", lambda: count(session, shown) == len(DASHBOARDS))
            within("panels", lambda: not panels(session))
            problems += panels(session)
            within("anomaly", lambda: count(session, "SELECT count(*) FROM anomalies"))
            within("alert fires", lambda: count(session, FIRING))
            print("seconds:", ", ".join(f"{what} {at:.1f}" for what, at in took.items()), flush=True)
            problems += live(session)
            if not eventually(lambda: not count(session, FIRING), 30):
                problems.append("the alert is not resolved")
        # All that is promised is printed.
        server.said += server.process.stdout.read() or b""
        for name in DASHBOARDS:
            if f"http://127.0.0.1:{server.http}/#/dashboards/public/{name}".encode() not in server.said:
                problems.append(f"the address of {name} is not printed: {server.said}")
        if (code := server.stop()) != 0:
            problems.append(f"exit code {code}: {server.log()[-500:]}")
        problems += server.panics() + [line for line in server.log().splitlines() if "refused" in line]
    return problems


def live(session: psycopg.Connection) -> list[str]:
    """All streams go on, and what is shown is of the present."""
    before = session.execute(STREAMS).fetchall()
    time.sleep(3)
    after = session.execute(STREAMS).fetchall()
    still = [old[0] for old, new in zip(before, after, strict=True) if old[1] >= new[1] or old[2] >= new[2]]
    # At night nothing leaves.
    old = "SELECT stream FROM streams WHERE last < now() - INTERVAL '5 seconds' AND stream <> 'departures'"
    late = session.execute(old)
    return [f"nothing new in {name}" for name in still] + [f"{name} is late" for (name,) in late.fetchall()]


def bounded(session: psycopg.Connection) -> list[str]:
    """Rows leave when they are old: what looks back so many minutes does not look back more."""
    problems = []
    views = {"temperatures_1s": 3, "prices_1s": 3, "scores_1s": 3, "anomalies": 3, "bars_10s": 5, "flights_5m": 5}
    for view, minutes in views.items():
        age = count(session, f"SELECT extract(epoch FROM now() - min(ts)) FROM {view}")
        if not age or age > minutes * 60 + 15:
            problems.append(f"{view} is to hold {minutes} minutes; its first row is {age} seconds old")
    return problems


def goes_on(folder: str) -> list[str]:
    problems, until = [], None
    for start in range(4):
        with demo("--data", folder) as server, server.connect() as session:
            if not eventually(lambda: not panels(session), DEADLINE):
                problems += [f"start {start}: {problem}" for problem in panels(session)]
            problems += live(session)
            # Nothing is there twice: a machine reads twice a second, a share is traded once a moment.
            for view, key in (("flights_5m", "ts, origin, dest, carrier, flight"), ("anomalies", "ts, device")):
                twice = session.execute(f"SELECT {key}, count(*) FROM {view} GROUP BY {key} HAVING count(*) > 1")
                problems += [f"start {start}: twice in {view}: {row}" for row in twice.fetchall()[:3]]
            most = count(session, "SELECT max(readings) FROM devices_10s")
            if not 15 <= most <= 21:
                problems.append(f"start {start}: {most} readings of a machine in 10 seconds")
            rows = dict((stream, n) for stream, n, _ in session.execute(STREAMS).fetchall())
            if until and any(rows[stream] <= n for stream, n in until.items()):
                problems.append(f"start {start}: it began anew: {until} {rows}")
            until = rows
            # By now what has not left since the first start is late.
            problems += [f"start {start}: {problem}" for problem in bounded(session)]
            if start < 3:
                if (code := server.stop()) != 0:
                    problems.append(f"start {start}: exit code {code}: {server.log()[-500:]}")
            problems += server.panics()
    return problems


def main() -> int:
    tally = Tally()
    tally.run("soon", soon)
    with tempfile.TemporaryDirectory(prefix="thalweg-demo-") as folder:
        tally.run("goes_on", goes_on, folder)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
