-- Currency conversion: every price in euros.

CREATE SOURCE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time TIMESTAMP, extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (connector = 'file', path = '${NEXMARK}/bid/*.${FORMAT:-parquet}');

CREATE SINK q1 AS
SELECT auction, bidder, 0.908 * price AS price, date_time, extra
FROM bid
WITH (connector = '${SINK:-file}', path = '${OUT:-q1.parquet}', format = 'parquet', mode = 'append');
