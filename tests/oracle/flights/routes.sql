SELECT origin, dest, coalesce(name, 'unknown') AS airport, count(*) AS flights, avg(arr_delay) AS avg_arr_delay
FROM flights LEFT JOIN airports ON dest = faa
GROUP BY ALL
HAVING count(arr_delay) >= 100;
