-- Highest bid: the bids with the highest price of each 10 seconds.
SELECT b.auction, b.price, b.bidder, b.date_time, b.extra
FROM bid AS b
JOIN (
  SELECT max(price) AS max_price,
         time_bucket(INTERVAL '10 seconds', date_time, TIMESTAMP '2000-01-01') + INTERVAL '10 seconds' AS window_end
  FROM bid
  GROUP BY window_end
) AS m ON b.price = m.max_price
WHERE b.date_time BETWEEN m.window_end - INTERVAL '10 seconds' AND m.window_end;
