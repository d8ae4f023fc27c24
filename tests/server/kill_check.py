"""The server is killed again and again: at random moments, at every failpoint, and while it recovers. Nothing that it
acknowledged may be lost, nothing counted twice, no transaction torn, at any time.

Each writer writes n = 1, 2, 3, … under its own number: pairs of tables in one transaction, and a source by HTTP. It knows what
was acknowledged and what was sent. After each start, and in the end, its rows must be 1 to some n that is at least the
acknowledged and at most the sent one, each once, in the tables, in views over them, in a view over views, and in a view of the
source, which keeps nothing itself. A reader looks all the time whether both tables stand at the same n. Tables and views come
and go meanwhile.

Sinks take the rows to Kafka, to PostgreSQL and to a lake of Parquet files; in the end each target is read with its own client:
each row once, and of a view that changes just what stands.

KILLS: how many (60), in worlds of 100 at most, each a new data directory and new targets, with the next seed. KILL_SEED: of
what is random (0). KILL_ROWS: rows a writer sends at a time (200). KILL_TARGETS: which
(kafka,postgres,lake). KILL_POINTS: failpoints to die at, in a round (all of them, in a random order).
"""

import math
import os
import random
import shutil
import sys
import tempfile
import time

from harness import Server, Tally, eventually
from kill_judges import all_judges
from kill_load import GONE, PAIRS, PUSHERS, SETUP, Churner, Reader, Writer, check
from kill_points import FIRST, START, STOP, Coverage, all_points

KILLS = int(os.environ.get("KILLS", "60"))
SEED = int(os.environ.get("KILL_SEED", "0"))
TARGETS = [name for name in os.environ.get("KILL_TARGETS", "kafka,postgres,lake").split(",") if name]
WORLD = 100
POINTS = os.environ.get("KILL_POINTS", "").split(",") if os.environ.get("KILL_POINTS") else all_points()
# Of a server that is to die at a failpoint which it may never come to.
PATIENCE = 6.0


class Loop:
    """One data directory, its targets, and what is known of both."""

    def __init__(self, seed: int, most: int, coverage: Coverage) -> None:
        self.seed, self.most, self.coverage = seed, most, coverage
        self.chance = random.Random(seed)
        self.data = tempfile.mkdtemp(prefix="thalweg-kill-")
        self.judges = all_judges(f"{self.data}/lake", TARGETS)
        self.states = [{"acked": 0, "sent": 0, "pushes": n >= PAIRS} for n in range(PAIRS + PUSHERS)]
        self.churn = {"made": 0, "there": set(), "open": set(), "filled": set()}
        self.kills = self.reads = 0
        self.loaded = 0.0
        self.recoveries: list[float] = []
        # Worlds that follow one another go on where the last one was.
        self.points = coverage.left

    def flags(self) -> list[str]:
        """State comes back on any number of workers; the more checkpoints, the more can be torn."""
        workers, interval = self.chance.choice("1223"), self.chance.choice(("50ms", "200ms", "1s"))
        return ["--data", f"{self.data}/server", "--workers", workers, "--checkpoint-interval", interval]

    def check(self, server: Server) -> list[str]:
        return check(server, self.states, self.churn)

    def set_up(self) -> None:
        with Server(*self.flags()) as server, server.connect() as session:
            session.execute(SETUP)
            for judge in self.judges:
                [session.execute(sink) for sink in judge.sinks]
        self.kills += 1

    def next_point(self) -> str:
        if not self.points:
            self.points += self.chance.sample(POINTS, len(POINTS))
        return self.points.pop()

    def early(self) -> None:
        """Kills it while it recovers, several times running."""
        for _ in range(self.chance.randint(1, 3)):
            self.kills += 1
            try:
                Server(*self.flags(), patience=self.chance.uniform(0.02, 0.6)).kill()
            except RuntimeError:
                pass

    def first(self, point: str) -> list[str]:
        """Dies while a new data directory is made; the next start finds one that can be used."""
        self.kills += 1
        with tempfile.TemporaryDirectory(prefix="thalweg-kill-first-") as folder:
            try:
                with Server("--data", folder, crash_at=point):
                    self.coverage.note(point, False)
            except RuntimeError:
                self.coverage.note(point, True)
            with Server("--data", folder) as server, server.connect() as session:
                session.execute("CREATE TABLE t (k INT PRIMARY KEY); INSERT INTO t VALUES (1)")
            with Server("--data", folder) as server, server.connect() as session:
                found = session.execute("SELECT count(*) FROM t").fetchone()
        return [] if found == (1,) else [f"after a death at {point} in a new directory: {found}"]

    def round(self, point: str | None) -> list[str]:
        """One life: under load until it dies at `point`, or is killed at a random moment."""
        crash = None
        if point:
            most = 1 if point.startswith(START) or point in STOP else self.chance.choice((1, 1, 3, 10))
            crash = f"{point}:{self.chance.randint(1, most)}"
        began = time.monotonic()
        try:
            server = Server(*self.flags(), crash_at=crash)
        except RuntimeError as error:
            died = "exit code -6" in str(error)
            self.coverage.note(point, died) if point else None
            self.kills += 1
            return [] if died and point else [str(error)]
        with server:
            try:
                problems = self.check(server)
            except GONE:
                # It may die under the look as well.
                if not point or not eventually(lambda: not server.is_alive(), 5):
                    raise
                self.coverage.note(point, True)
                self.kills += 1
                return server.panics()
            self.recoveries.append(time.monotonic() - began)
            loaded = time.monotonic()
            reader = Reader(server)
            threads = [reader, Churner(server, self.churn), *(Writer(server, n, s) for n, s in enumerate(self.states))]
            [thread.start() for thread in threads]
            if not point:
                time.sleep(self.chance.uniform(0.05, 1.5))
            elif point in STOP:
                time.sleep(0.5)
                server.ask_to_stop()
            deadline = time.monotonic() + PATIENCE
            while point and server.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            if point:
                self.coverage.note(point, not server.is_alive())
            server.kill()
            self.kills += 1
            self.loaded += time.monotonic() - loaded
            [thread.join(30) for thread in threads]
            self.reads += reader.reads
            return problems + reader.problems + server.panics()

    def run(self) -> list[str]:
        self.set_up()
        problems: list[str] = []
        while self.kills < self.most and not problems:
            if self.chance.random() < 0.1:
                self.early()
            point = self.next_point() if self.chance.random() < 0.65 else None
            problems = self.first(point) if point in FIRST else self.round(point)
            if problems:
                problems.append(f"after kill {self.kills}{f', at {point}' if point else ''}")
        return problems or self.finish()

    def finish(self) -> list[str]:
        problems = []
        with Server(*self.flags()) as server:
            problems += self.check(server)
            for judge in self.judges:
                problems += judge.check(server, self.states)
            if (stopped := server.stop()) != 0:
                problems.append(f"the server ended with {stopped}")
        with Server(*self.flags()) as server:
            problems += self.check(server)
        return problems

    def summary(self) -> str:
        rows = sum(s["acked"] * (1 if s["pushes"] else 2) for s in self.states)
        times = sorted(self.recoveries) or [0.0]
        at = lambda q: times[min(len(times) - 1, int(q * len(times)))]  # noqa: E731
        size = sum(os.path.getsize(os.path.join(folder, f)) for folder, _, files in os.walk(self.data) for f in files)
        return (
            f"{self.kills} kills, {rows} rows acknowledged, {rows / max(self.loaded, 1):.0f} a second of load, {self.reads} reads "
            f"meanwhile; start to first checked read p50 {at(0.5):.2f} s, p99 {at(0.99):.2f} s; {size >> 20} MiB on disk"
        )


def main() -> int:
    tally, coverage, kills = Tally(), Coverage(), 0
    for seed in range(SEED, SEED + math.ceil(KILLS / WORLD)):
        most = min(WORLD, KILLS - kills)
        print(f"KILL_SEED={seed} KILLS={most}", flush=True)
        loop = Loop(seed, most, coverage)
        problems = loop.run()
        kills += loop.kills
        print(loop.summary(), flush=True)
        tally.add(f"{loop.kills} kills: nothing lost, nothing twice, nothing torn (KILL_SEED={seed} KILLS={most})", problems)
        [judge.remove() for judge in loop.judges]
        if problems:
            print(f"the data directory stays: {loop.data}", file=sys.stderr)
        else:
            shutil.rmtree(loop.data)
    print(coverage.table(), flush=True)
    return tally.close()


if __name__ == "__main__":
    raise SystemExit(main())
