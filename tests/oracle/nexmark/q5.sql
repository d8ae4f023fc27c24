-- Hot items: the auctions with the most bids in the last 10 seconds, every 2 seconds.
WITH hops AS (
  SELECT auction,
         time_bucket(INTERVAL '2 seconds', date_time, TIMESTAMP '2000-01-01') - to_seconds(2 * i) AS window_start
  FROM bid, range(5) AS r(i)
), auction_bids AS (
  SELECT auction, count(*) AS num, window_start FROM hops GROUP BY auction, window_start
), max_bids AS (
  SELECT max(num) AS max_num, window_start FROM auction_bids GROUP BY window_start
)
SELECT a.auction, a.num
FROM auction_bids AS a
JOIN max_bids AS m ON a.window_start = m.window_start AND a.num >= m.max_num;
