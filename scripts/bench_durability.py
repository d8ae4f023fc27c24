"""What durability costs, and how fast a server is back: checkpoints every second beside none, and the time from a start after
`kill -9` to the first right answer.

usage: bench_durability.py checkpoints [--events N] [--runs N] [--interval T]   Nexmark q4, q5, q18 as materialized views over Parquet files
       bench_durability.py recovery [--mib 100,1024] [--runs N]  a table and a view of that much state

THALWEG names the binary: `make build` makes target/release/thalweg. Needs psycopg (tests/server/requirements.txt).
"""

import argparse
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("THALWEG", str(ROOT / "target" / "release" / "thalweg"))
sys.path.insert(0, str(ROOT / "tests" / "server"))

from harness import BINARY, Server  # noqa: E402

QUERIES = ("q4", "q5", "q18")


def metric(server: Server, name: str) -> float:
    """The sum of a metric over its labels."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", server.request("GET", "/metrics")[2], re.M)
    return sum(float(value) for value in found)


def statements(query: str, data: str) -> list[str]:
    """The statements of an example; its sink as a materialized view."""
    text = re.sub(r"--.*", "", (ROOT / "examples" / "nexmark" / f"{query}.sql").read_text())
    text = text.replace("${NEXMARK}", data).replace("${FORMAT:-parquet}", "parquet")
    text = re.sub(rf"CREATE SINK {query} AS(.*?)WITH \(connector = '\$.*?\)\s*;", rf"CREATE MATERIALIZED VIEW {query} AS\1;", text, flags=re.S)
    return [s for s in text.split(";") if s.strip()]


def run_query(query: str, data: str, rows: int, interval: str) -> tuple[float, float, float]:
    """Rows a second, checkpoints, and bytes of the last one's state."""
    with tempfile.TemporaryDirectory(prefix="thalweg-bench-") as folder:
        with Server("--data", folder, "--checkpoint-interval", interval) as server, server.connect() as session:
            # From the page cache, whoever used the memory meanwhile.
            for table in ("auction", "bid"):
                [path.read_bytes() for path in (pathlib.Path(data) / table).iterdir()]
            *sources, view = statements(query, data)
            [session.execute(s) for s in sources]
            session.execute("SET background_ddl = true")
            began = time.perf_counter()
            session.execute(view)
            while metric(server, "thalweg_rows_in_total") < rows:
                time.sleep(0.02)
            took = time.perf_counter() - began
            return rows / took, metric(server, "thalweg_checkpoints_total"), metric(server, "thalweg_checkpoint_total_bytes")


def checkpoints(args: argparse.Namespace) -> None:
    data = pathlib.Path(args.data or tempfile.mkdtemp(prefix="thalweg-nexmark-"))
    if not (data / "bid").exists():
        command = [BINARY, "bench", "nexmark", "--generate", data, "--events", str(args.events)]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    bids, auctions = args.events * 46 // 50, args.events * 3 // 50
    print(f"{args.events:,} events, median of {args.runs}\n")
    print(f"| query | M rows/s, none | one every {args.interval} | cost | checkpoints | state MiB |\n|---|---:|---:|---:|---:|---:|")
    for query in args.queries.split(","):
        rows = bids + (auctions if query == "q4" else 0)
        runs = [(run_query(query, str(data), rows, "1h"), run_query(query, str(data), rows, args.interval)) for _ in range(args.runs)]
        rate = lambda which: statistics.median(run[which][0] for run in runs) / 1e6  # noqa: E731
        # Of pairs that ran one after the other.
        cost = statistics.median(1 - often[0] / never[0] for never, often in runs)
        count, state = runs[-1][1][1:]
        print(f"| {query} | {rate(0):.2f} | {rate(1):.2f} | {cost:.0%} | {count:.0f} | {state / 2**20:,.0f} |", flush=True)


def fill(server: Server, mib: int) -> int:
    """Hands rows in until the checkpoints hold so much; their number."""
    chance, rows = random.Random(mib), 0
    with server.connect() as session:
        session.execute("CREATE TABLE t (k BIGINT PRIMARY KEY, g BIGINT, v VARCHAR)")
        session.execute("CREATE MATERIALIZED VIEW m AS SELECT g, count(*) AS c, sum(k) AS s FROM t GROUP BY g")
        while metric(server, "thalweg_checkpoint_total_bytes") < mib << 20:
            batch = [{"k": k, "g": k % 100_000, "v": chance.randbytes(100).hex()} for k in range(rows, rows + 10_000)]
            status, answer = server.ingest("t", batch)
            if status == 429:
                time.sleep(0.05)
                continue
            if status != 200:
                raise RuntimeError(answer)
            rows += len(batch)
        session.execute("FLUSH")
    return rows


def recover(folder: str, rows: int, writes: bool) -> float:
    """Seconds from the start of the process to the first right answer; it is killed at the end, at work."""
    began = time.perf_counter()
    with Server("--data", folder) as server, server.connect() as session:
        found = session.execute("SELECT sum(c), sum(s) FROM m").fetchone()
        took = time.perf_counter() - began
        if found != (rows, rows * (rows - 1) // 2):
            raise RuntimeError(f"{found} of {rows} rows")
        if writes:
            stop = threading.Event()

            def write() -> None:
                with server.connect() as other:
                    while not stop.is_set():
                        try:
                            other.execute("UPDATE t SET v = v WHERE k = 1")
                        except Exception:  # noqa: BLE001 - the server is killed meanwhile
                            return

            thread = threading.Thread(target=write, daemon=True)
            thread.start()
            time.sleep(2.2)
            server.kill()
            stop.set()
        return took


def recovery(args: argparse.Namespace) -> None:
    print(f"{args.runs} starts after kill -9\n\n| state MiB | rows | p50 s | p99 s | max s |\n|---:|---:|---:|---:|---:|")
    for mib in (int(size) for size in args.mib.split(",")):
        with tempfile.TemporaryDirectory(prefix="thalweg-bench-") as folder:
            with Server("--data", folder) as server:
                rows = fill(server, mib)
                time.sleep(2)
                state = metric(server, "thalweg_checkpoint_total_bytes") / 2**20
            times = sorted(recover(folder, rows, True) for _ in range(args.runs))
            at = lambda q: times[min(len(times) - 1, int(q * len(times)))]  # noqa: E731
            print(f"| {state:,.0f} | {rows:,} | {at(0.5):.2f} | {at(0.99):.2f} | {times[-1]:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["checkpoints", "recovery"])
    parser.add_argument("--events", type=int, default=50_000_000)
    parser.add_argument("--data", help="where the events are, or are to be made")
    parser.add_argument("--interval", default="1s", help="between two checkpoints")
    parser.add_argument("--queries", default=",".join(QUERIES))
    parser.add_argument("--mib", default="100,1024")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    {"checkpoints": checkpoints, "recovery": recovery}[args.what](args)


if __name__ == "__main__":
    main()
