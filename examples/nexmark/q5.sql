-- Hot items: the auctions with the most bids in the last 10 seconds, every 2 seconds.

CREATE SOURCE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time TIMESTAMP, extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (connector = 'file', path = '${NEXMARK}/bid/*.${FORMAT:-parquet}');

CREATE SINK q5 AS
WITH auction_bids AS (
  SELECT auction, count(*) AS num, window_start, window_end
  FROM HOP(bid, date_time, INTERVAL '2 seconds', INTERVAL '10 seconds')
  GROUP BY auction, window_start, window_end
), max_bids AS (
  SELECT max(num) AS max_num, window_start, window_end
  FROM auction_bids
  GROUP BY window_start, window_end
)
SELECT a.auction, a.num
FROM auction_bids AS a
JOIN max_bids AS m
  ON a.window_start = m.window_start AND a.window_end = m.window_end AND a.num >= m.max_num
EMIT ON WINDOW CLOSE
WITH (connector = '${SINK:-file}', path = '${OUT:-q5.parquet}', format = 'parquet', mode = 'append');
