-- Highest bid: the bids with the highest price of each 10 seconds.

CREATE SOURCE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time TIMESTAMP, extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (connector = 'file', path = '${NEXMARK}/bid/*.${FORMAT:-parquet}');

CREATE SINK q7 AS
SELECT b.auction, b.price, b.bidder, b.date_time, b.extra
FROM bid AS b
JOIN (
  SELECT max(price) AS max_price, window_end
  FROM TUMBLE(bid, date_time, INTERVAL '10 seconds')
  GROUP BY window_start, window_end
) AS m ON b.price = m.max_price
WHERE b.date_time BETWEEN m.window_end - INTERVAL '10 seconds' AND m.window_end
EMIT ON WINDOW CLOSE
WITH (connector = '${SINK:-file}', path = '${OUT:-q7.parquet}', format = 'parquet', mode = 'append');
