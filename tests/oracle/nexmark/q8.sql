-- Monitor new users: who registered and opened an auction within the same 10 seconds.
SELECT p.id, p.name, p.window_start
FROM (
  SELECT DISTINCT id, name, time_bucket(INTERVAL '10 seconds', date_time, TIMESTAMP '2000-01-01') AS window_start
  FROM person
) AS p
JOIN (
  SELECT DISTINCT seller, time_bucket(INTERVAL '10 seconds', date_time, TIMESTAMP '2000-01-01') AS window_start
  FROM auction
) AS a ON p.id = a.seller AND p.window_start = a.window_start;
