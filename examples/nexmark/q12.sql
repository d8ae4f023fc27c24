-- Processing-time windows: how many bids a bidder made in each 10 seconds of our own clock.

CREATE SOURCE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time TIMESTAMP, extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (connector = 'file', path = '${NEXMARK}/bid/*.${FORMAT:-parquet}');

CREATE VIEW bid_with_proctime AS SELECT *, proctime() AS p_time FROM bid;

CREATE SINK q12 AS
SELECT bidder, count(*) AS bid_count, window_start AS starttime, window_end AS endtime
FROM TUMBLE(bid_with_proctime, p_time, INTERVAL '10 seconds')
GROUP BY bidder, window_start, window_end
WITH (connector = '${SINK:-file}', path = '${OUT:-q12.parquet}', format = 'parquet', mode = 'final');
