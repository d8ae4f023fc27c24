"""Times every Nexmark query in Thalweg and, on the same Parquet files, in DuckDB; writes docs/benchmarks.md.

The two alternate, each run in a fresh process, and the median of --runs counts. Thalweg's time is the whole process;
DuckDB's is the query alone, without start-up. Both make every row of the answer and keep none: Thalweg with
`SINK=blackhole`, DuckDB under EXPLAIN ANALYZE, whose top operator drops what it gets.

usage: bench.py [--events N] [--runs N] [--queries q0,q7] [--no-docs] …; `make bench` prepares what it needs
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "nexmark"
ORACLE = ROOT / "tests" / "oracle" / "nexmark"
DOCS = ROOT / "docs" / "benchmarks.md"
START, END = "<!-- bench: start -->", "<!-- bench: end -->"
TABLES = ("person", "auction", "bid")

# Million rows a second of Flink 2.3 SQL on the same data and two cores, November 2026; see docs/benchmarks.md.
FLINK = {
    "q0": 0.89, "q1": 0.92, "q2": 1.49, "q3": 0.10, "q4": 0.25, "q5": 0.60, "q7": 0.18, "q8": 0.09, "q9": 0.17,
    "q11": 0.55, "q15": 0.40, "q16": 0.06, "q17": 0.63, "q18": 0.37, "q19": 0.35, "q20": 0.23,
}  # fmt: skip


class Measured:
    """One process: wall seconds, CPU seconds, peak memory in MB, and what it printed."""

    def __init__(self, command: list[object], timeout: float = 600) -> None:
        # This program stays small on purpose: a child's peak counts the memory it was forked with.
        started = time.perf_counter()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = subprocess.Popen(
                [str(part) for part in command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
            deadline = started + timeout
            while True:
                pid, status, usage = os.wait4(child.pid, os.WNOHANG)
                if pid:
                    break
                if time.perf_counter() > deadline:
                    child.kill()
                time.sleep(0.0005)
            self.wall = time.perf_counter() - started
            child.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            self.out, self.err = out.read().decode(errors="replace"), err.read().decode(errors="replace")
        self.ok = child.returncode == 0
        self.cpu = usage.ru_utime + usage.ru_stime
        self.rss = usage.ru_maxrss / 1024
        self.code = child.returncode


def duckdb_child(data: str, query: str, form: str) -> None:
    """Runs one query in this process and prints its time; `query` may be `rows`, which counts the tables."""
    import duckdb

    db = duckdb.connect()
    db.execute("SET threads = 2")
    db.execute("SET TimeZone = 'UTC'")
    reader = "read_parquet" if form == "parquet" else "read_json"
    for table in TABLES:
        db.execute(f"CREATE VIEW {table} AS SELECT * FROM {reader}('{data}/{table}/*.{form}')")
    db.execute(f"CREATE VIEW side_input AS SELECT * FROM read_csv('{EXAMPLES}/side_input.csv')")
    if query == "rows":
        print(json.dumps({table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}))
        return
    sql = (ORACLE / f"{query}.sql").read_text().strip().removesuffix(";")
    sql = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    started = time.perf_counter()
    db.execute(f"EXPLAIN ANALYZE {sql}").fetchall()
    print(json.dumps({"seconds": time.perf_counter() - started}))


def duckdb_run(data: pathlib.Path, query: str, form: str = "parquet") -> Measured:
    return Measured([sys.executable, __file__, "--duckdb", data, query, form])


def thalweg_run(arguments: argparse.Namespace, data: pathlib.Path, query: str, form: str = "parquet") -> Measured:
    variables = {"NEXMARK": data, "FORMAT": form, "SINK": "blackhole", "SIDE": EXAMPLES / "side_input.csv"}
    flags = [part for key, value in variables.items() for part in ("-e", f"{key}={value}")]
    command = [arguments.binary, "run", EXAMPLES / f"{query}.sql", "--workers", arguments.workers, "--quiet", *flags]
    return Measured(command)


def generate(arguments: argparse.Namespace, events: int, form: str) -> pathlib.Path:
    """The benchmark's tables as files, made once."""
    target = ROOT / ".cache" / f"nexmark-{events}-{form}"
    if not (target / "complete").exists():
        print(f"writing {events:,} events to {target.relative_to(ROOT)}", flush=True)
        command = [arguments.binary, "bench", "nexmark", "--generate", target, "--events", events, "--format", form]
        made = Measured(command)
        if not made.ok:
            sys.exit(f"cannot generate: {made.err.strip()}")
        (target / "complete").touch()
    return target


def read_tables(query: str) -> list[str]:
    """The tables that a query reads, by its CREATE SOURCE statements."""
    return re.findall(r"CREATE SOURCE (\w+)", (EXAMPLES / f"{query}.sql").read_text())


def number(query: str) -> int:
    return int(re.sub(r"\D", "", query))


def middle(runs: list[Measured], of) -> float:
    return statistics.median(of(run) for run in runs)


def compare(arguments: argparse.Namespace, queries: list[str], data: pathlib.Path) -> dict[str, dict]:
    """Runs everything, alternating, and takes the medians."""
    counts = json.loads(duckdb_run(data, "rows").out)
    for path in data.glob("*/*.parquet"):
        path.read_bytes()
    ours: dict[str, list[Measured]] = {query: [] for query in queries}
    theirs: dict[str, list[Measured]] = {query: [] for query in queries}
    broken: dict[str, str] = {}
    for round_number in range(arguments.runs):
        for query in queries:
            if query not in broken:
                run = thalweg_run(arguments, data, query)
                if run.ok:
                    ours[query].append(run)
                else:
                    lines = (run.err.strip() or f"exit code {run.code}").splitlines()
                    broken[query] = lines[0]
                    print(f"{query} FAILED: {' / '.join(lines[:3])}", flush=True)
            run = duckdb_run(data, query)
            if not run.ok:
                sys.exit(f"DuckDB fails on {query}: {run.err.strip()}")
            theirs[query].append(run)
        print(f"round {round_number + 1} of {arguments.runs} done", flush=True)
    results = {}
    for query in queries:
        rows = sum(counts.get(table, 0) for table in read_tables(query))
        result = {"rows": rows, "error": broken.get(query)}
        result["duckdb"] = middle(theirs[query], lambda run: json.loads(run.out)["seconds"])
        result["duckdb_rss"] = middle(theirs[query], lambda run: run.rss)
        if query not in broken:
            result["wall"] = middle(ours[query], lambda run: run.wall)
            result["cpu"] = middle(ours[query], lambda run: run.cpu)
            result["rss"] = middle(ours[query], lambda run: run.rss)
        results[query] = result
    return results


def table(results: dict[str, dict]) -> list[str]:
    """The results in Markdown."""
    heads = ["query", "rows", "Thalweg s", "M rows/s", "CPU s", "RSS MB", "DuckDB s", "DuckDB RSS", "ratio", "vs Flink"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    ratios = []
    for query, r in results.items():
        cells = [query, f"{r['rows'] / 1e6:.2f} M"]
        duck = [f"{r['duckdb']:.2f}", f"{r['duckdb_rss']:.0f}"]
        if r["error"]:
            cells += ["fails", "–", "–", "–", *duck, "–", "–"]
        else:
            rate = r["rows"] / r["wall"] / 1e6
            ratio = r["wall"] / r["duckdb"]
            ratios.append(ratio)
            flink = f"{rate / FLINK[query]:.0f}×" if query in FLINK else "–"
            cells += [f"{r['wall']:.2f}", f"{rate:.1f}", f"{r['cpu']:.2f}", f"{r['rss']:.0f}", *duck]
            cells += [f"{ratio:.2f}", flink]
        lines.append("| " + " | ".join(cells) + " |")
    if ratios:
        mean = math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))
        lines += ["", f"Geometric mean of the ratio to DuckDB over {len(ratios)} queries: **{mean:.2f}**."]
    return lines


def ndjson(arguments: argparse.Namespace) -> list[str]:
    """How fast bids come in as JSON lines."""
    data = generate(arguments, arguments.ndjson_events, "ndjson")
    size = sum(path.stat().st_size for path in data.glob("bid/*.ndjson")) / 1e6
    rows = json.loads(duckdb_run(data, "rows", "ndjson").out)["bid"]
    ours, theirs = [], []
    for _ in range(arguments.runs):
        ours.append(thalweg_run(arguments, data, "q0", "ndjson"))
        theirs.append(duckdb_run(data, "q0", "ndjson"))
    if not all(run.ok for run in ours):
        return [f"NDJSON fails: {ours[0].err.strip()}"]
    wall, cpu = middle(ours, lambda run: run.wall), middle(ours, lambda run: run.cpu)
    duck = middle(theirs, lambda run: json.loads(run.out)["seconds"])
    return [
        f"NDJSON, q0 over {rows / 1e6:.2f} M bids ({size:.0f} MB): {wall:.2f} s, {rows / wall / 1e6:.2f} M rows/s, "
        f"{size / wall:.0f} MB/s, {size / cpu:.0f} MB/s per CPU second, "
        f"{middle(ours, lambda run: run.rss):.0f} MB RSS; DuckDB {duck:.2f} s."
    ]


def start_up(arguments: argparse.Namespace) -> list[str]:
    """From the start of the process to its end, with three rows to read and print."""
    with tempfile.TemporaryDirectory() as folder:
        rows, pipeline = pathlib.Path(folder, "tiny.csv"), pathlib.Path(folder, "tiny.sql")
        rows.write_text("id,amount\n1,10\n2,20\n1,5\n")
        pipeline.write_text(
            f"CREATE SOURCE tiny (id BIGINT, amount BIGINT) WITH (connector = 'file', path = '{rows}');\n"
            "CREATE SINK answer AS SELECT id, sum(amount) AS total FROM tiny GROUP BY id WITH (connector = 'stdout');\n"
        )
        runs = [Measured([arguments.binary, "run", pipeline, "--quiet"]) for _ in range(21)]
    if not all(run.ok for run in runs):
        return [f"Start-up fails: {runs[0].err.strip()}"]
    millis = sorted(run.wall * 1000 for run in runs)
    took = f"median {millis[10]:.0f} ms, worst of 21 {millis[-1]:.0f} ms"
    return [f"Tiny input (3 rows, GROUP BY, to stdout), whole process: {took}."]


def write_docs(lines: list[str]) -> None:
    """Replaces what stands between the markers."""
    text = DOCS.read_text()
    before, rest = text.split(START, 1)
    _, after = rest.split(END, 1)
    DOCS.write_text(before + START + "\n" + "\n".join(lines) + "\n" + END + after)


def main() -> None:
    if sys.argv[1:2] == ["--duckdb"]:
        duckdb_child(*sys.argv[2:5])
        return
    every = sorted((path.stem for path in EXAMPLES.glob("q*.sql")), key=number)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--ndjson-events", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--queries", default=",".join(every), help="comma-separated; all by default")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target" / "release" / "thalweg")
    parser.add_argument("--data", type=pathlib.Path, help="data made before, instead of generating")
    parser.add_argument("--no-extras", action="store_true", help="leave out NDJSON and start-up")
    parser.add_argument("--no-docs", action="store_true", help="do not write docs/benchmarks.md")
    arguments = parser.parse_args()
    queries = arguments.queries.split(",")
    if unknown := set(queries) - set(every):
        parser.error(f"no such query: {', '.join(sorted(unknown))}")
    if not arguments.binary.exists():
        sys.exit(f"{arguments.binary} does not exist: run `make build`")
    data = arguments.data or generate(arguments, arguments.events, "parquet")
    lines = table(compare(arguments, queries, data.resolve()))
    if not arguments.no_extras:
        for more in (ndjson, start_up):
            lines += ["", *more(arguments)]
    print("\n".join(lines))
    whole = set(queries) == set(every) and not arguments.no_extras
    if whole and not arguments.no_docs:
        day = datetime.datetime.now(datetime.UTC).date().isoformat()
        cores = os.cpu_count()
        command = "make bench" if len(sys.argv) == 1 else f"scripts/bench.py {' '.join(sys.argv[1:])}"
        title = f"`{command}`, {day}, {cores} cores, {arguments.events:,} events, median of {arguments.runs}:"
        write_docs([title, "", *lines])


if __name__ == "__main__":
    main()
