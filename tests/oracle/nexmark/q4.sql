-- Average price for a category: of the highest bid of each auction while it was open.
SELECT category, avg(winning) AS avg_price
FROM (
  SELECT max(b.price) AS winning, a.category
  FROM auction AS a
  JOIN bid AS b ON a.id = b.auction
  WHERE b.date_time BETWEEN a.date_time AND a.expires
  GROUP BY a.id, a.category
) AS w
GROUP BY category;
