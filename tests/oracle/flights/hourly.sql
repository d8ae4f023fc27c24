SELECT date_trunc('hour', date_time) AS hour, origin,
       count(*) FILTER (WHERE NOT cancelled) AS departures,
       count(*) FILTER (WHERE cancelled) AS cancellations,
       avg(dep_delay) AS avg_delay,
       max(dep_delay) AS max_delay
FROM flights
GROUP BY ALL;
