-- Every flight that left New York City in 2013, replayed by the minute it left: windows, joins with dimension
-- tables, a Top-N and views that stay fresh. `make flights` prepares the files (scripts/flights.py) and runs this.

CREATE SOURCE flights (
  date_time TIMESTAMP, scheduled TIMESTAMP, origin VARCHAR, dest VARCHAR, carrier VARCHAR, flight BIGINT,
  tailnum VARCHAR, dep_delay BIGINT, arr_delay BIGINT, air_time BIGINT, distance BIGINT, cancelled BOOLEAN,
  WATERMARK FOR date_time AS date_time - INTERVAL '5 minutes'
) WITH (connector = 'file', path = '${FLIGHTS:-.cache/flights}/flights/*.parquet');

CREATE SOURCE weather (
  origin VARCHAR, date_time TIMESTAMP, temp DOUBLE PRECISION, wind_speed DOUBLE PRECISION, precip DOUBLE PRECISION,
  visib DOUBLE PRECISION,
  PRIMARY KEY (origin, date_time)
) WITH (connector = 'file', path = '${FLIGHTS:-.cache/flights}/weather.parquet');

CREATE SOURCE airlines (carrier VARCHAR, name VARCHAR, PRIMARY KEY (carrier))
WITH (connector = 'file', path = '${FLIGHTS:-.cache/flights}/airlines.csv');

CREATE SOURCE airports (
  faa VARCHAR, name VARCHAR, lat DOUBLE PRECISION, lon DOUBLE PRECISION, tzone VARCHAR, PRIMARY KEY (faa)
) WITH (connector = 'file', path = '${FLIGHTS:-.cache/flights}/airports.csv');

-- Each hour of each airport, once, when it is over.
CREATE MATERIALIZED VIEW hourly AS
SELECT window_start AS hour, origin,
       count(*) FILTER (WHERE NOT cancelled) AS departures,
       count(*) FILTER (WHERE cancelled) AS cancellations,
       avg(dep_delay) AS avg_delay,
       max(dep_delay) AS max_delay
FROM TUMBLE(flights, date_time, INTERVAL '1 hour')
GROUP BY window_start, window_end, origin
EMIT ON WINDOW CLOSE;

-- The five hours that cancelled most.
CREATE MATERIALIZED VIEW worst_hours AS
SELECT hour, origin, departures, cancellations
FROM (
  SELECT *, ROW_NUMBER() OVER (ORDER BY cancellations DESC, hour, origin) AS rn
  FROM hourly
) AS ranked
WHERE rn <= 5;

-- Each airline so far: a row changes with every flight.
CREATE MATERIALIZED VIEW carriers AS
SELECT a.name AS airline,
       count(*) AS flights,
       count(*) FILTER (WHERE f.cancelled) AS cancellations,
       avg(f.dep_delay) AS avg_dep_delay,
       avg(f.arr_delay) AS avg_arr_delay,
       count(*) FILTER (WHERE f.arr_delay <= 15) AS on_time,
       count(DISTINCT f.tailnum) AS planes
FROM flights AS f
JOIN airlines AS a ON f.carrier = a.carrier
GROUP BY a.name;

-- Each destination so far. Four of them are not in the table of airports.
CREATE MATERIALIZED VIEW routes AS
SELECT f.origin, f.dest, coalesce(p.name, 'unknown') AS airport,
       count(*) AS flights, avg(f.arr_delay) AS avg_arr_delay
FROM flights AS f
LEFT JOIN airports AS p ON f.dest = p.faa
GROUP BY f.origin, f.dest, coalesce(p.name, 'unknown')
HAVING count(f.arr_delay) >= 100;

-- The three most delayed destinations of each airport: a Top-N over rows that change.
CREATE MATERIALIZED VIEW worst_routes AS
SELECT origin, dest, airport, flights, avg_arr_delay, rn AS rank
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY origin ORDER BY avg_arr_delay DESC, dest) AS rn
  FROM routes
) AS ranked
WHERE rn <= 3;

-- Delay by the weather in the hour of departure.
CREATE MATERIALIZED VIEW by_weather AS
SELECT CASE
         WHEN w.visib < 3 THEN '1 poor sight'
         WHEN w.precip > 0 THEN '2 rain or snow'
         WHEN w.wind_speed >= 20 THEN '3 strong wind'
         ELSE '4 fair'
       END AS weather,
       count(*) AS flights,
       count(*) FILTER (WHERE f.cancelled) AS cancellations,
       avg(f.dep_delay) AS avg_dep_delay,
       avg(w.temp) AS avg_temp
FROM flights AS f
JOIN weather AS w ON f.origin = w.origin AND date_trunc('hour', f.scheduled) = w.date_time
GROUP BY 1;

CREATE SINK hourly_file FROM hourly
WITH (connector = '${SINK:-file}', path = '${OUT:-.cache/flights/out}/hourly.parquet', mode = 'append');
CREATE SINK worst_hours_file FROM worst_hours
WITH (connector = '${SINK:-file}', path = '${OUT:-.cache/flights/out}/worst_hours.parquet', mode = 'final');
CREATE SINK carriers_file FROM carriers
WITH (connector = '${SINK:-file}', path = '${OUT:-.cache/flights/out}/carriers.parquet', mode = 'final');
CREATE SINK routes_file FROM routes
WITH (connector = '${SINK:-file}', path = '${OUT:-.cache/flights/out}/routes.parquet', mode = 'final');
CREATE SINK worst_routes_file FROM worst_routes
WITH (connector = '${SINK:-file}', path = '${OUT:-.cache/flights/out}/worst_routes.parquet', mode = 'final');
CREATE SINK by_weather_file FROM by_weather
WITH (connector = '${SINK:-file}', path = '${OUT:-.cache/flights/out}/by_weather.parquet', mode = 'final');

CREATE SINK show_worst_hours AS
SELECT to_char(hour, 'YYYY-MM-DD HH24:MI') AS hour_utc, origin, departures, cancellations FROM worst_hours
WITH (connector = '${SHOW:-stdout}', format = 'table', mode = 'final');
CREATE SINK show_carriers AS
SELECT airline, flights, cancellations,
       round(avg_dep_delay, 1) AS departs_late, round(avg_arr_delay, 1) AS arrives_late,
       round(100.0 * on_time / flights, 1) AS on_time_percent
FROM carriers
WITH (connector = '${SHOW:-stdout}', format = 'table', mode = 'final');
CREATE SINK show_worst_routes AS
SELECT origin, rank, dest, airport, flights, round(avg_arr_delay, 1) AS arrives_late FROM worst_routes
WITH (connector = '${SHOW:-stdout}', format = 'table', mode = 'final');
CREATE SINK show_weather AS
SELECT weather, flights, cancellations, round(avg_dep_delay, 1) AS departs_late,
       round(100.0 * cancellations / flights, 1) AS cancelled_percent
FROM by_weather
WITH (connector = '${SHOW:-stdout}', format = 'table', mode = 'final');
