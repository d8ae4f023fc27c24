SELECT date_trunc('hour', date_time) AS hour, origin,
       count(*) FILTER (WHERE NOT cancelled) AS departures,
       count(*) FILTER (WHERE cancelled) AS cancellations
FROM flights
GROUP BY ALL
ORDER BY cancellations DESC, hour, origin
LIMIT 5;
