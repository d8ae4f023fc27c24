-- What `thalweg demo` runs on. Three streams are handed in ten times a second: `departures` (a real day of flights,
-- replayed), `trades` and `readings` (made from a seed).
--
-- How it stays small, however long it runs: the streams are sources, whose rows are handed on to views and not kept;
-- every view looks back five minutes at most, by `ts > now() - INTERVAL '…'`, or is a row for each stream.
-- Every statement can run again: over a data directory the demo goes on where it was.

-- ------------------------------------------------------------------------------------------------------------- flights

-- A row of the file and when it is told. The day goes by in 144 seconds (10 minutes a second) and begins again.
-- `date_time` and `scheduled` are the file's own, of 2013 and in UTC; `ts` is where that minute falls in the present,
-- and `hour_ts` where the hour that it is part of begins: charts along them are live.
CREATE SOURCE IF NOT EXISTS departures (
  ts TIMESTAMPTZ, hour_ts TIMESTAMPTZ, date_time TIMESTAMP, scheduled TIMESTAMP, origin VARCHAR, dest VARCHAR,
  carrier VARCHAR, flight BIGINT, tailnum VARCHAR, dep_delay BIGINT, arr_delay BIGINT, air_time BIGINT, distance BIGINT,
  cancelled BOOLEAN,
  WATERMARK FOR ts AS ts
);

CREATE TABLE IF NOT EXISTS airports (
  faa VARCHAR PRIMARY KEY, name VARCHAR, lat DOUBLE PRECISION, lon DOUBLE PRECISION
);

CREATE MATERIALIZED VIEW IF NOT EXISTS flights_5m AS
SELECT * FROM departures WHERE ts > now() - INTERVAL '5 minutes';

-- The latest 90 seconds are 15 hours of the replay.
CREATE MATERIALIZED VIEW IF NOT EXISTS airport_delays AS
SELECT a.faa, a.name, a.lat, a.lon, f.flights, f.cancelled, f.avg_delay
FROM (
  SELECT faa, count(*) AS flights, count(*) FILTER (WHERE cancelled) AS cancelled, avg(delay) AS avg_delay
  FROM (
    SELECT ts, origin AS faa, cancelled, dep_delay AS delay FROM departures
    UNION ALL
    SELECT ts, dest AS faa, cancelled, arr_delay AS delay FROM departures
  ) AS ends
  WHERE ts > now() - INTERVAL '90 seconds'
  GROUP BY faa
) AS f
JOIN airports AS a ON a.faa = f.faa;

CREATE MATERIALIZED VIEW IF NOT EXISTS flights_by_hour AS
SELECT hour_ts, origin, count(*) FILTER (WHERE NOT cancelled) AS departed,
       count(*) FILTER (WHERE cancelled) AS cancelled, avg(dep_delay) AS avg_delay
FROM flights_5m
GROUP BY hour_ts, origin;

CREATE MATERIALIZED VIEW IF NOT EXISTS worst_routes AS
SELECT origin, dest, airport, flights, cancelled, avg_delay
FROM (
  SELECT *, ROW_NUMBER() OVER (ORDER BY avg_delay DESC, origin, dest) AS rank
  FROM (
    SELECT f.origin, f.dest, a.name AS airport, count(*) AS flights,
           count(*) FILTER (WHERE f.cancelled) AS cancelled, avg(f.arr_delay) AS avg_delay
    FROM flights_5m AS f
    JOIN airports AS a ON a.faa = f.dest
    GROUP BY f.origin, f.dest, a.name
    HAVING count(f.arr_delay) >= 3
  ) AS routes
) AS ranked
WHERE rank <= 10;

-- -------------------------------------------------------------------------------------------------------------- market

CREATE SOURCE IF NOT EXISTS trades (
  ts TIMESTAMPTZ, symbol VARCHAR, price DOUBLE PRECISION, quantity BIGINT, bid DOUBLE PRECISION, ask DOUBLE PRECISION,
  WATERMARK FOR ts AS ts
);

-- A price may be so many percent away from what was paid on average over five minutes.
CREATE TABLE IF NOT EXISTS limits (symbol VARCHAR PRIMARY KEY, percent DOUBLE PRECISION);
INSERT INTO limits VALUES ('ALDER', 3), ('BIRCH', 3), ('CEDAR', 3), ('HAZEL', 3), ('MAPLE', 3), ('ROWAN', 3)
ON CONFLICT (symbol) DO NOTHING;

CREATE MATERIALIZED VIEW IF NOT EXISTS prices_1s AS
SELECT date_trunc('second', ts) AS ts, symbol, avg(price) AS price, 10000 * avg((ask - bid) / price) AS spread_bp
FROM trades
WHERE ts > now() - INTERVAL '3 minutes'
GROUP BY date_trunc('second', ts), symbol;

-- Bars: open, high, low, close, volume and the price that was paid on average (VWAP).
CREATE MATERIALIZED VIEW IF NOT EXISTS bars_10s AS
SELECT date_bin(INTERVAL '10 seconds', ts, TIMESTAMPTZ '2000-01-01 00:00:00Z') AS ts, symbol,
       first_value(price ORDER BY ts) AS open, max(price) AS high, min(price) AS low,
       last_value(price ORDER BY ts) AS close, sum(quantity) AS volume, sum(price * quantity) / sum(quantity) AS vwap
FROM trades
WHERE ts > now() - INTERVAL '5 minutes'
GROUP BY date_bin(INTERVAL '10 seconds', ts, TIMESTAMPTZ '2000-01-01 00:00:00Z'), symbol;

CREATE MATERIALIZED VIEW IF NOT EXISTS vwap_5m AS
SELECT symbol, sum(price * quantity) / sum(quantity) AS vwap, sum(quantity) AS volume, count(*) AS trades
FROM trades
WHERE ts > now() - INTERVAL '5 minutes'
GROUP BY symbol;

CREATE MATERIALIZED VIEW IF NOT EXISTS latest_prices AS
SELECT symbol, last_value(price ORDER BY ts) AS price, last_value(bid ORDER BY ts) AS bid,
       last_value(ask ORDER BY ts) AS ask
FROM trades
WHERE ts > now() - INTERVAL '5 seconds'
GROUP BY symbol;

CREATE MATERIALIZED VIEW IF NOT EXISTS market_limits AS
SELECT p.symbol, p.price, p.bid, p.ask, 10000 * (p.ask - p.bid) / p.price AS spread_bp, v.vwap,
       100 * (p.price / v.vwap - 1) AS percent_off, l.percent AS limit_percent,
       abs(p.price / v.vwap - 1) * 100 > l.percent AS beyond
FROM latest_prices AS p
JOIN vwap_5m AS v ON v.symbol = p.symbol
JOIN limits AS l ON l.symbol = p.symbol;

-- ------------------------------------------------------------------------------------------------------------- sensors

CREATE SOURCE IF NOT EXISTS readings (
  ts TIMESTAMPTZ, device VARCHAR, hall VARCHAR, temp DOUBLE PRECISION, vibration DOUBLE PRECISION,
  WATERMARK FOR ts AS ts
);

CREATE MATERIALIZED VIEW IF NOT EXISTS temperatures_1s AS
SELECT date_trunc('second', ts) AS ts, hall, avg(temp) AS avg_temp, max(temp) AS max_temp
FROM readings
WHERE ts > now() - INTERVAL '3 minutes'
GROUP BY date_trunc('second', ts), hall;

CREATE MATERIALIZED VIEW IF NOT EXISTS devices_10s AS
SELECT device, hall, count(*) AS readings, avg(temp) AS avg_temp, max(temp) AS max_temp, max(vibration) AS max_vibration
FROM readings
WHERE ts > now() - INTERVAL '10 seconds'
GROUP BY device, hall;

-- Each reading beside the latest minute of its own device: how many robust standard deviations it is off.
CREATE VIEW IF NOT EXISTS scored AS
SELECT ts, device, hall, temp, anomaly_zscore(temp, 120) OVER (PARTITION BY device ORDER BY ts) AS score FROM readings;

CREATE MATERIALIZED VIEW IF NOT EXISTS scores_1s AS
SELECT date_trunc('second', ts) AS ts, least(max(score), 40) AS score
FROM scored
WHERE ts > now() - INTERVAL '3 minutes' AND score IS NOT NULL
GROUP BY date_trunc('second', ts);

CREATE MATERIALIZED VIEW IF NOT EXISTS anomalies AS
SELECT ts, device, hall, temp, score
FROM scored
WHERE score >= 8 AND ts > now() - INTERVAL '3 minutes';

-- What is odd for several readings is told once.
CREATE MATERIALIZED VIEW IF NOT EXISTS anomalies_10s AS
SELECT date_bin(INTERVAL '10 seconds', ts, TIMESTAMPTZ '2000-01-01 00:00:00Z') AS since, device, hall,
       count(*) AS readings, max(temp) AS max_temp, max(score) AS max_score
FROM anomalies
GROUP BY date_bin(INTERVAL '10 seconds', ts, TIMESTAMPTZ '2000-01-01 00:00:00Z'), device, hall;

-- A device that has been above 85 degrees, on average of two seconds, for a second.
CREATE MATERIALIZED VIEW IF NOT EXISTS hot_devices AS
SELECT device, hall, avg(temp) AS avg_temp
FROM readings
WHERE ts > now() - INTERVAL '2 seconds'
GROUP BY device, hall
HAVING avg(temp) > 85;

CREATE ALERT IF NOT EXISTS overheated ON SELECT device, hall, avg_temp FROM hot_devices
    FOR '1 second' PRIMARY KEY (device) SEVERITY critical;

CREATE ALERT IF NOT EXISTS beyond_limit ON SELECT symbol, price, vwap, percent_off FROM market_limits WHERE beyond
    PRIMARY KEY (symbol) SEVERITY warning;

-- ------------------------------------------------------------------------------------------------------------- streams

-- Up to when each stream was handed in: over a data directory the next start goes on from there.
CREATE MATERIALIZED VIEW IF NOT EXISTS streams AS
SELECT 'departures' AS stream, count(*) AS rows, max(ts) AS last FROM departures
UNION ALL
SELECT 'trades' AS stream, count(*) AS rows, max(ts) AS last FROM trades
UNION ALL
SELECT 'readings' AS stream, count(*) AS rows, max(ts) AS last FROM readings;

-- ---------------------------------------------------------------------------------------------------------- dashboards

CREATE DASHBOARD IF NOT EXISTS flights TITLE 'Flights: New York, 23 May 2013, replayed' AS
    PANEL departed NUMBER (SELECT count(*) AS n FROM flights_5m WHERE NOT cancelled)
        WITH (title = 'Departed, 5 minutes', width = 3),
    PANEL cancelled NUMBER (SELECT count(*) AS n FROM flights_5m WHERE cancelled)
        WITH (title = 'Cancelled, 5 minutes', width = 3),
    PANEL delay NUMBER (SELECT avg(dep_delay) AS minutes FROM flights_5m)
        WITH (title = 'Leaves late by', unit = 'min', thresholds = '30, 60', width = 3),
    PANEL planes NUMBER (SELECT approx_count_distinct(tailnum) AS n FROM flights_5m)
        WITH (title = 'Planes, about', width = 3),
    PANEL places MAP (SELECT faa, name, lat, lon, flights, avg_delay FROM airport_delays)
        WITH (title = 'Delay by airport', lat = lat, lon = lon, size = flights, color = avg_delay, by = faa,
              unit = 'min', width = 7, height = 6),
    PANEL worst TABLE (SELECT origin || ' – ' || dest AS route, round(avg_delay) AS minutes_late, flights,
                              cancelled, airport
                       FROM worst_routes ORDER BY minutes_late DESC LIMIT 10)
        WITH (title = 'Worst routes, 5 minutes', width = 5, height = 6),
    PANEL per_hour AREA (SELECT hour_ts, origin, departed FROM flights_by_hour)
        WITH (title = 'Departures in an hour of the replay', x = hour_ts, y = departed, by = origin,
              window = '5 minutes', width = 6),
    PANEL lost LINE (SELECT hour_ts, origin, cancelled FROM flights_by_hour)
        WITH (title = 'Cancellations in an hour of the replay', x = hour_ts, y = cancelled, by = origin,
              window = '5 minutes', width = 6);

CREATE DASHBOARD IF NOT EXISTS market TITLE 'Market: ticks, bars and limits' AS
    PANEL trades NUMBER (SELECT sum(trades) AS n FROM vwap_5m) WITH (title = 'Trades, 5 minutes', width = 3),
    PANEL volume NUMBER (SELECT sum(volume) AS n FROM vwap_5m) WITH (title = 'Volume, 5 minutes', width = 3),
    PANEL spread NUMBER (SELECT avg(spread_bp) AS bp FROM market_limits)
        WITH (title = 'Spread', unit = 'bp', format = '0.0', thresholds = '8, 20', width = 3),
    PANEL beyond NUMBER (SELECT count(*) AS n FROM market_limits WHERE beyond)
        WITH (title = 'Beyond their limit', thresholds = '1', width = 3),
    PANEL prices LINE (SELECT ts, symbol, price FROM prices_1s)
        WITH (title = 'Price', x = ts, y = price, by = symbol, window = '3 minutes', width = 12, height = 5),
    PANEL limits TABLE (SELECT symbol, price, round(percent_off, 2) AS percent_off, limit_percent, beyond,
                               round(spread_bp, 1) AS spread_bp, bid, ask, round(vwap, 2) AS vwap_5m
                        FROM market_limits ORDER BY symbol LIMIT 100)
        WITH (title = 'Latest prices and limits', width = 7),
    PANEL volumes AREA (SELECT ts, symbol, volume FROM bars_10s)
        WITH (title = 'Volume in 10 seconds', x = ts, y = volume, by = symbol, window = '5 minutes', width = 5),
    PANEL bars TABLE (SELECT ts, symbol, open, high, low, close, volume, round(vwap, 3) AS vwap FROM bars_10s
                      ORDER BY ts DESC LIMIT 12)
        WITH (title = 'Bars of 10 seconds', width = 7, height = 5),
    PANEL vwap LINE (SELECT ts, symbol, vwap FROM bars_10s)
        WITH (title = 'Average price paid (VWAP), 10 seconds', x = ts, y = vwap, by = symbol,
              window = '5 minutes', width = 5, height = 5);

CREATE DASHBOARD IF NOT EXISTS sensors TITLE 'Sensors: 24 machines in 6 halls' AS
    PANEL devices NUMBER (SELECT approx_count_distinct(device) AS n FROM devices_10s)
        WITH (title = 'Devices, about', width = 3),
    PANEL readings NUMBER (SELECT sum(readings) / 10 AS n FROM devices_10s)
        WITH (title = 'Readings a second', width = 3),
    PANEL odd NUMBER (SELECT count(*) AS n FROM anomalies) WITH (title = 'Odd readings, 3 minutes', width = 3),
    PANEL hot NUMBER (SELECT count(*) AS n FROM overheated WHERE alert_state = 'firing')
        WITH (title = 'Too hot: alert fires', thresholds = '1', width = 3),
    PANEL temperatures LINE (SELECT ts, hall, max_temp FROM temperatures_1s)
        WITH (title = 'Warmest machine of each hall', x = ts, y = max_temp, by = hall, unit = '°C', min = 40,
              thresholds = '85', window = '3 minutes', width = 12, height = 5),
    PANEL score LINE (SELECT ts, score FROM scores_1s)
        WITH (title = 'Highest anomaly score: odd from 8 on', x = ts, y = score, thresholds = '8',
              window = '3 minutes', width = 6),
    PANEL caught TABLE (SELECT since, device, round(max_score, 1) AS max_score, round(max_temp, 1) AS max_temp, readings,
                               hall
                        FROM anomalies_10s ORDER BY since DESC LIMIT 12)
        WITH (title = 'Caught', width = 6),
    PANEL machines BAR (SELECT device, avg_temp FROM devices_10s)
        WITH (title = 'Machines, 10 seconds', x = device, y = avg_temp, unit = '°C', width = 12);
