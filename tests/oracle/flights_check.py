"""Checks the views of examples/flights/flights.sql against DuckDB over the same files.

usage: flights_check.py [DIR], where scripts/flights.py wrote its files (.cache/flights)
"""

import pathlib
import sys
import tempfile

import compare
import engine

ORACLE = pathlib.Path(__file__).parent / "flights"
PIPELINE = engine.ROOT / "examples" / "flights" / "flights.sql"

# Workers, rows an epoch (0: everything in one).
RUNS = [(1, 0), (2, 10_000), (3, 1_000)]


def main() -> int:
    data = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else engine.ROOT / ".cache" / "flights").resolve()
    if not (data / "weather.parquet").exists():
        sys.exit(f"{data} has no flights: run scripts/flights.py {data}")
    engine.need_binary()
    db = compare.connect()
    db.execute(f"CREATE VIEW flights AS SELECT * FROM read_parquet('{data}/flights/*.parquet')")
    db.execute(f"CREATE VIEW weather AS SELECT * FROM read_parquet('{data}/weather.parquet')")
    for table in ("airlines", "airports"):
        db.execute(f"CREATE VIEW {table} AS SELECT * FROM read_csv('{data}/{table}.csv')")
    views = sorted(path.stem for path in ORACLE.glob("*.sql"))
    for view in views:
        oracle = (ORACLE / f"{view}.sql").read_text().strip().removesuffix(";")
        db.execute(f"CREATE TEMP TABLE want_{view} AS {oracle}")
    tally = engine.Tally()
    for workers, epoch in RUNS:
        with tempfile.TemporaryDirectory(prefix="thalweg-flights-") as folder:
            out = pathlib.Path(folder)
            variables = {"FLIGHTS": data, "OUT": out, "SHOW": "blackhole"}
            failed = engine.run(PIPELINE, variables, "--workers", str(workers), "--epoch-rows", str(epoch))
            for view in views:
                problems = failed
                if not failed:
                    try:
                        problems = compare.compare(db, compare.files(out / f"{view}.parquet"), f"want_{view}", set())
                    except compare.duckdb.Error as error:
                        problems = [f"the answer cannot be read: {error}"]
                tally.add(f"{view}: {workers} workers, {epoch or 'all'} rows an epoch", problems)
    return tally.close()


if __name__ == "__main__":
    sys.exit(main())
