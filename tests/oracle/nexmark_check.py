"""Checks every Nexmark query of examples/nexmark against DuckDB, for several workers, epoch sizes and formats.

usage: nexmark_check.py [--events N] [--rate N] [--data DIR] [--runs W:E,…] [--jobs N] [--keep] [QUERY ...]
"""

import argparse
import concurrent.futures
import itertools
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import compare
import engine

EXAMPLES = engine.ROOT / "examples" / "nexmark"
ORACLE = pathlib.Path(__file__).parent / "nexmark"
TABLES = ("person", "auction", "bid")

# Columns that differ between right answers, because any of several equal rows may be taken.
TIES = {
    "q9": {"bidder", "bid_extra"},
    "q18": {"price", "channel", "url", "extra"},
    "q19": {"bidder", "channel", "url", "date_time", "extra"},
}

# What of an answer is determined by the input: the windows of q12 are cut by the clock on the wall.
DETERMINED = {"q12": "(SELECT bidder, CAST(sum(bid_count) AS BIGINT) AS bid_count FROM {} GROUP BY bidder)"}

# Workers, rows an epoch (0: everything in one; AUTO: as the engine decides, which is what users run), format.
AUTO = -1
RUNS = [*itertools.product((1, 2, 4), (1_000, 100_000, 0), ("parquet",)), (2, AUTO, "parquet"), (2, 100_000, "ndjson")]


def runs(text: str) -> list[tuple[int, int, str]]:
    """`1:0,2:auto:ndjson` as RUNS spells it."""
    parts = [part.split(":") for part in text.split(",")]
    epochs = [AUTO if part[1] == "auto" else int(part[1]) for part in parts]
    return [(int(part[0]), epoch, (*part, "parquet")[2]) for part, epoch in zip(parts, epochs)]


def number(query: str) -> int:
    return int(re.sub(r"\D", "", query))


def generate(target: pathlib.Path, events: int, rate: int) -> None:
    """Writes the benchmark's tables with the binary under test."""
    command = [engine.BINARY, "bench", "nexmark", "--generate", target, "--events", events, "--rate", rate]
    command += ["--format", "parquet,ndjson"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cannot generate: {done.stderr.strip()}")


def main() -> int:
    queries = sorted((path.stem for path in EXAMPLES.glob("q*.sql")), key=number)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("queries", nargs="*", metavar="QUERY", help="which to check; all by default")
    parser.add_argument("--events", type=int, default=200_000, help="how many events to generate")
    parser.add_argument("--rate", type=int, default=1_000, help="events a second of event time; few make many windows")
    parser.add_argument("--jobs", type=int, default=2, help="how many pipelines to run at a time")
    parser.add_argument("--data", type=pathlib.Path, help="data made before, instead of generating")
    parser.add_argument("--runs", type=runs, default=RUNS, metavar="W:E[:FORMAT],…", help="workers and epochs to try")
    parser.add_argument("--keep", action="store_true", help="keep data and answers, and say where they are")
    arguments = parser.parse_args()
    unknown = set(arguments.queries) - set(queries)
    if unknown:
        parser.error(f"no such query: {', '.join(sorted(unknown))}")
    engine.need_binary()
    work = pathlib.Path(tempfile.mkdtemp(prefix="thalweg-nexmark-"))
    try:
        data = arguments.data
        if data is None:
            data = work / "data"
            generate(data, arguments.events, arguments.rate)
        return check(arguments.queries or queries, data.resolve(), work, arguments.jobs, arguments.runs)
    finally:
        if arguments.keep:
            print(f"kept in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


def check(queries: list[str], data: pathlib.Path, work: pathlib.Path, jobs: int, wanted: list) -> int:
    db = compare.connect()
    for table in TABLES:
        db.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{data}/{table}/*.parquet')")
    db.execute(f"CREATE VIEW side_input AS SELECT * FROM read_csv('{EXAMPLES}/side_input.csv')")
    tally = engine.Tally()
    formats = {"parquet"} | ({"ndjson"} if any(data.glob("bid/*.ndjson")) else set())

    def execute(query: str, workers: int, epoch: int, form: str) -> tuple[pathlib.Path, list[str]]:
        # With four workers and for NDJSON the answer is a folder with one part a worker, otherwise a single file.
        folder = workers == 4 or form == "ndjson"
        out = work / (f"{query}-{workers}-{epoch}-{form}" + ("" if folder else ".parquet"))
        variables = {"NEXMARK": data, "OUT": out, "FORMAT": form, "SIDE": EXAMPLES / "side_input.csv"}
        flags = ["--workers", str(workers)] + ([] if epoch == AUTO else ["--epoch-rows", str(epoch)])
        return out, engine.run(EXAMPLES / f"{query}.sql", variables, *flags)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for query in queries:
            oracle = (ORACLE / f"{query}.sql").read_text().strip().removesuffix(";")
            db.execute(f"CREATE OR REPLACE TEMP TABLE want AS {oracle}")
            rows = db.execute("SELECT count(*) FROM want").fetchone()[0]
            tried = [run for run in wanted if run[2] in formats]
            failed = tally.failed
            for run, (out, problems) in zip(tried, pool.map(lambda run: execute(query, *run), tried)):
                workers, epoch, form = run
                name = f"{query}: {workers} workers, { {0: 'all', AUTO: 'auto'}.get(epoch, epoch) } rows an epoch, {form}"
                if not problems:
                    got = DETERMINED.get(query, "{}").format(compare.files(out))
                    try:
                        problems = compare.compare(db, got, "want", TIES.get(query, set()))
                    except compare.duckdb.Error as error:
                        problems = [f"the answer cannot be read: {error}"]
                tally.add(name, problems)
                shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
            good = "ok" if tally.failed == failed else f"{tally.failed - failed} of {len(tried)} FAILED"
            print(f"{query}: {rows} rows, {len(tried)} runs, {good}", flush=True)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
