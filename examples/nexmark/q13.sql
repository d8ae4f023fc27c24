-- Bounded side input: every bid with a value looked up in a small table.

CREATE SOURCE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time TIMESTAMP, extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (connector = 'file', path = '${NEXMARK}/bid/*.${FORMAT:-parquet}');

CREATE SOURCE side_input (key BIGINT, value VARCHAR, PRIMARY KEY (key))
WITH (connector = 'file', path = '${SIDE:-examples/nexmark/side_input.csv}');

CREATE SINK q13 AS
SELECT b.auction, b.bidder, b.price, b.date_time, s.value
FROM bid AS b
JOIN side_input AS s ON b.auction % 10000 = s.key
WITH (connector = '${SINK:-file}', path = '${OUT:-q13.parquet}', format = 'parquet', mode = 'append');
