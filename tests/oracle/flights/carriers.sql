SELECT name AS airline,
       count(*) AS flights,
       count(*) FILTER (WHERE cancelled) AS cancellations,
       avg(dep_delay) AS avg_dep_delay,
       avg(arr_delay) AS avg_arr_delay,
       count(*) FILTER (WHERE arr_delay <= 15) AS on_time,
       count(DISTINCT tailnum) AS planes
FROM flights JOIN airlines USING (carrier)
GROUP BY airline;
