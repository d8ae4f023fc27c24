-- Pass-through: what reading and writing alone cost.

CREATE SOURCE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time TIMESTAMP, extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (connector = 'file', path = '${NEXMARK}/bid/*.${FORMAT:-parquet}');

CREATE SINK q0 AS
SELECT auction, bidder, price, date_time, extra
FROM bid
WITH (connector = '${SINK:-file}', path = '${OUT:-q0.parquet}', format = 'parquet', mode = 'append');
