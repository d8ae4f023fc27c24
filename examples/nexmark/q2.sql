-- Selection: the bids on a few auctions.

CREATE SOURCE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time TIMESTAMP, extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (connector = 'file', path = '${NEXMARK}/bid/*.${FORMAT:-parquet}');

CREATE SINK q2 AS
SELECT auction, price
FROM bid
WHERE auction % 123 = 0
WITH (connector = '${SINK:-file}', path = '${OUT:-q2.parquet}', format = 'parquet', mode = 'append');
