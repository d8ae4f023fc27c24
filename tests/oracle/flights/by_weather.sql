SELECT CASE WHEN visib < 3 THEN '1 poor sight'
            WHEN precip > 0 THEN '2 rain or snow'
            WHEN wind_speed >= 20 THEN '3 strong wind'
            ELSE '4 fair' END AS weather,
       count(*) AS flights,
       count(*) FILTER (WHERE cancelled) AS cancellations,
       avg(dep_delay) AS avg_dep_delay,
       avg(temp) AS avg_temp
FROM flights AS f
JOIN weather AS w ON f.origin = w.origin AND date_trunc('hour', f.scheduled) = w.date_time
GROUP BY ALL;
