-- URL directories: the first three parts of the address's path.

CREATE SOURCE bid (
  auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, date_time TIMESTAMP, extra VARCHAR,
  WATERMARK FOR date_time AS date_time - INTERVAL '4 seconds'
) WITH (connector = 'file', path = '${NEXMARK}/bid/*.${FORMAT:-parquet}');

CREATE SINK q22 AS
SELECT auction, bidder, price, channel,
       split_part(url, '/', 4) AS dir1,
       split_part(url, '/', 5) AS dir2,
       split_part(url, '/', 6) AS dir3
FROM bid
WITH (connector = '${SINK:-file}', path = '${OUT:-q22.parquet}', format = 'parquet', mode = 'append');
