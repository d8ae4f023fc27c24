-- A fleet of devices: when they were in use, what they report now, readings that are not like them, and who is too hot.

CREATE TABLE readings (
  device VARCHAR, ts TIMESTAMP, temperature DOUBLE PRECISION, battery INT,
  PRIMARY KEY (device, ts),
  WATERMARK FOR ts AS ts - INTERVAL '30 seconds'
);

CREATE TABLE devices (device VARCHAR PRIMARY KEY, site VARCHAR, lat DOUBLE PRECISION, lon DOUBLE PRECISION);

-- A time of use ends when a device is silent for five minutes.
CREATE MATERIALIZED VIEW sessions AS
SELECT device, window_start AS began, window_end AS ended, count(*) AS readings, min(battery) AS battery_left
FROM SESSION(readings, ts, INTERVAL '5 minutes', device)
GROUP BY device, window_start, window_end;

-- How far a reading is from the last 60 of its device, in robust standard deviations.
CREATE MATERIALIZED VIEW anomalies AS
SELECT device, ts, temperature, score
FROM (
  SELECT device, ts, temperature, anomaly_zscore(temperature, 60) OVER (PARTITION BY device ORDER BY ts) AS score
  FROM readings
) AS scored
WHERE score >= 10;

CREATE MATERIALIZED VIEW latest AS
SELECT r.device, d.site, d.lat, d.lon, r.ts, r.temperature, r.battery
FROM (
  SELECT device, ts, temperature, battery, row_number() OVER (PARTITION BY device ORDER BY ts DESC) AS n FROM readings
) AS r
JOIN devices AS d ON d.device = r.device
WHERE r.n = 1;

CREATE MATERIALIZED VIEW by_minute AS
SELECT d.site, r.window_start AS minute, avg(r.temperature) AS temperature, count(DISTINCT r.device) AS devices
FROM TUMBLE(readings, ts, INTERVAL '1 minute') AS r
JOIN devices AS d ON d.device = r.device
GROUP BY d.site, r.window_start;

-- The last reading counts: a device that has cooled down is no longer in it.
CREATE ALERT overheated ON
  SELECT device, site, temperature FROM latest WHERE temperature > 80
  PRIMARY KEY (device) SEVERITY critical;

CREATE DASHBOARD iot_fleet TITLE 'Fleet' AS
  PANEL hot NUMBER (SELECT count(*) AS devices FROM latest WHERE temperature > 80) WITH (title = 'Too hot', width = 3),
  PANEL temperature LINE (SELECT minute, site, temperature FROM by_minute)
    WITH (x = minute, y = temperature, by = site, unit = '°C', width = 9),
  PANEL places MAP (SELECT device, lat, lon, temperature FROM latest) WITH (lat = lat, lon = lon, color = temperature, width = 6),
  PANEL odd TABLE (SELECT device, ts, temperature, score FROM anomalies) WITH (title = 'Unlike themselves', width = 6);
