-- Security: the log files of a gateway are tailed and taken apart in SQL. Brute force and port scans open incidents, which stand
-- until the address is blocked. ${LOGS} is the folder with the log files.

-- A line of any text is one column: nothing in it is a tab.
CREATE SOURCE lines (line VARCHAR) WITH (
  connector = 'file', path = '${LOGS}/*.log', format = 'csv', header = 'false', delimiter = E'\t', mode = 'follow');

CREATE TABLE blocked (address VARCHAR PRIMARY KEY, reason VARCHAR);

-- 2024-03-01T10:00:05Z gw1 sshd[311]: Failed password for root from 198.51.100.7 port 50122
CREATE MATERIALIZED VIEW logins AS
SELECT split_part(line, ' ', 1)::TIMESTAMP AS ts,
       substring(line FROM 'from ([0-9.]+) ') AS address,
       substring(line FROM ' for ([a-z]+) from') AS username,
       line LIKE '%Accepted password%' AS accepted
FROM lines
WHERE line LIKE '% sshd[%' AND line LIKE '% password for %';

-- 2024-03-01T10:00:07Z gw1 kernel: DROP SRC=203.0.113.9 DST=192.0.2.1 DPT=8080
CREATE MATERIALIZED VIEW drops AS
SELECT split_part(line, ' ', 1)::TIMESTAMP AS ts,
       substring(line FROM 'SRC=([0-9.]+)') AS address,
       substring(line FROM 'DPT=([0-9]+)')::INT AS port
FROM lines
WHERE line LIKE '% kernel: DROP %';

-- Ten failed logins from an address within a minute; whether it got in afterwards.
CREATE MATERIALIZED VIEW brute_force AS
SELECT f.address, f.minute, f.failures, f.usernames, a.address IS NOT NULL AS got_in
FROM (
  SELECT address, date_trunc('minute', ts) AS minute, count(*) AS failures, count(DISTINCT username) AS usernames
  FROM logins WHERE NOT accepted
  GROUP BY address, date_trunc('minute', ts)
  HAVING count(*) >= 10
) AS f
LEFT JOIN (SELECT DISTINCT address FROM logins WHERE accepted) AS a ON a.address = f.address;

-- Twenty different ports tried by an address within a minute.
CREATE MATERIALIZED VIEW port_scans AS
SELECT address, date_trunc('minute', ts) AS minute, count(DISTINCT port) AS ports
FROM drops
GROUP BY address, date_trunc('minute', ts)
HAVING count(DISTINCT port) >= 20;

CREATE MATERIALIZED VIEW incidents AS
SELECT i.address, i.kind, min(i.minute) AS since, sum(i.tries) AS tries
FROM (
  SELECT address, 'brute force' AS kind, minute, failures AS tries FROM brute_force
  UNION ALL SELECT address, 'port scan', minute, ports FROM port_scans
) AS i
LEFT JOIN blocked AS b ON b.address = i.address
WHERE b.address IS NULL
GROUP BY i.address, i.kind;

CREATE MATERIALIZED VIEW activity AS
SELECT date_trunc('minute', ts) AS minute, count(*) FILTER (WHERE accepted) AS accepted,
       count(*) FILTER (WHERE NOT accepted) AS failed
FROM logins
GROUP BY date_trunc('minute', ts);

CREATE ALERT intruder ON incidents PRIMARY KEY (address, kind) SEVERITY critical;

CREATE DASHBOARD security TITLE 'Security' AS
  PANEL open NUMBER (SELECT count(*) AS incidents FROM incidents) WITH (title = 'Open incidents', width = 3, thresholds = '1'),
  PANEL logins AREA (SELECT minute, accepted, failed FROM activity) WITH (x = minute, y = 'accepted, failed', width = 9),
  PANEL incidents TABLE (SELECT address, kind, since, tries FROM incidents) WITH (width = 6),
  PANEL scans BAR (SELECT address, ports FROM port_scans) WITH (x = address, y = ports, width = 6);
