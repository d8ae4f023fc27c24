-- Card fraud: three rules over payments as they come, one list of suspects, an alert until somebody has looked.
-- Load payments.csv with COPY; examples/card-fraud/README.md has the commands.

CREATE TABLE payments (
  id BIGINT PRIMARY KEY, card VARCHAR, ts TIMESTAMP, amount DOUBLE PRECISION, lat DOUBLE PRECISION, lon DOUBLE PRECISION,
  merchant VARCHAR,
  WATERMARK FOR ts AS ts - INTERVAL '1 minute'
);

-- A case is closed when a person has looked at a card.
CREATE TABLE reviews (card VARCHAR PRIMARY KEY, reviewed_by VARCHAR, verdict VARCHAR);

-- Rule 1: more than four payments of a card within a minute.
CREATE MATERIALIZED VIEW rapid AS
SELECT card, window_start AS ts, count(*) AS payments
FROM TUMBLE(payments, ts, INTERVAL '1 minute')
GROUP BY card, window_start, window_end
HAVING count(*) > 4;

-- Rule 2: two payments that nobody could have travelled between: the great circle over the time, faster than 1,000 km/h.
CREATE MATERIALIZED VIEW jumps AS
SELECT id, card, ts, km, hours
FROM (
  SELECT id, card, ts,
         2 * 6371 * asin(sqrt(least(1.0,
           power(sin(radians(lat - before_lat) / 2), 2)
           + cos(radians(before_lat)) * cos(radians(lat)) * power(sin(radians(lon - before_lon) / 2), 2)))) AS km,
         extract(epoch FROM ts - before_ts)::DOUBLE PRECISION / 3600 AS hours
  FROM (
    SELECT id, card, ts, lat, lon,
           lag(lat) OVER (PARTITION BY card ORDER BY ts) AS before_lat,
           lag(lon) OVER (PARTITION BY card ORDER BY ts) AS before_lon,
           lag(ts) OVER (PARTITION BY card ORDER BY ts) AS before_ts
    FROM payments
  ) AS steps
) AS legs
WHERE km > 50 AND km > 1000 * hours;

-- Rule 3: an amount far from what the card usually pays: robust standard deviations from its last 50 payments.
CREATE MATERIALIZED VIEW unusual AS
SELECT id, card, ts, amount, score
FROM (
  SELECT id, card, ts, amount, anomaly_zscore(amount, 50) OVER (PARTITION BY card ORDER BY ts) AS score FROM payments
) AS scored
WHERE score >= 8;

CREATE MATERIALIZED VIEW suspects AS
SELECT card, count(*) AS findings, count(DISTINCT rule) AS rules, max(ts) AS last_finding
FROM (
  SELECT card, ts, 'rapid' AS rule FROM rapid
  UNION ALL SELECT card, ts, 'jump' FROM jumps
  UNION ALL SELECT card, ts, 'unusual' FROM unusual
) AS found
GROUP BY card;

-- Who is to be looked at. A review closes the case.
CREATE MATERIALIZED VIEW open_cases AS
SELECT s.card, s.findings, s.rules, s.last_finding
FROM suspects AS s
LEFT JOIN reviews AS r ON r.card = s.card
WHERE r.card IS NULL AND s.rules >= 2;

CREATE MATERIALIZED VIEW spending AS
SELECT window_start AS minute, count(*) AS payments, sum(amount) AS amount
FROM TUMBLE(payments, ts, INTERVAL '1 minute')
GROUP BY window_start, window_end;

CREATE ALERT stolen_card ON open_cases PRIMARY KEY (card) SEVERITY critical;

CREATE DASHBOARD card_fraud TITLE 'Card fraud' AS
  PANEL open NUMBER (SELECT count(*) AS cards FROM open_cases) WITH (title = 'Cards to look at', width = 3),
  PANEL payments LINE (SELECT minute, payments FROM spending) WITH (x = minute, y = payments, width = 9),
  PANEL cases TABLE (SELECT card, rules, findings, last_finding FROM open_cases) WITH (title = 'Open cases', width = 6),
  PANEL places MAP (SELECT p.card, p.lat, p.lon, p.amount FROM payments AS p JOIN open_cases AS o ON o.card = p.card)
    WITH (title = 'Their payments', lat = lat, lon = lon, size = amount, width = 6);
