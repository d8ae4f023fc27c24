SELECT origin, dest, coalesce(name, 'unknown') AS airport, count(*) AS flights, avg(arr_delay) AS avg_arr_delay,
       row_number() OVER (PARTITION BY origin ORDER BY avg(arr_delay) DESC, dest) AS rank
FROM flights LEFT JOIN airports ON dest = faa
GROUP BY origin, dest, airport
HAVING count(arr_delay) >= 100
QUALIFY rank <= 3;
