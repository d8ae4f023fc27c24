-- A shop whose orders come in without end, and the views that the board `shop` draws.
--   psql -h localhost -p 4566 -d dev -U root -f example.sql

CREATE TABLE regions (name VARCHAR PRIMARY KEY, currency VARCHAR NOT NULL, target DOUBLE PRECISION NOT NULL);
INSERT INTO regions VALUES
  ('north', 'EUR', 400), ('south', 'EUR', 350), ('east', 'USD', 500), ('west', 'USD', 450), ('over sea''s', 'GBP', 300);

-- Twenty orders a second, each up to ten seconds old when it arrives.
CREATE SOURCE orders (
  id BIGINT, region VARCHAR, product VARCHAR, quantity INT, price DOUBLE PRECISION, ordered_at TIMESTAMP,
  WATERMARK FOR ordered_at AS ordered_at - INTERVAL '10 seconds'
) WITH (
  connector = 'datagen',
  rows-per-second = '20',
  fields.id.kind = 'sequence',
  fields.region.kind = 'choice',
  fields.region.choices = 'north,south,east,west,over sea''s',
  fields.product.kind = 'choice',
  fields.product.choices = 'apple,banana,cherry',
  fields.quantity.min = '1',
  fields.quantity.max = '9',
  fields.price.min = '0.5',
  fields.price.max = '20',
  fields.ordered_at.max-past = '10 seconds'
);

-- One row per five seconds, region and product, kept for ever: about 260,000 rows a day.
CREATE MATERIALIZED VIEW revenue AS
SELECT
  window_start AS at, region, product,
  count(*) AS orders, sum(quantity) AS pieces, sum(quantity * price) AS revenue
FROM TUMBLE(orders, ordered_at, INTERVAL '5 seconds')
GROUP BY window_start, window_end, region, product;

-- The same time as whole seconds since 1970, for tools that want numbers.
CREATE VIEW revenue_by_second AS
SELECT CAST(extract(epoch FROM at) AS BIGINT) AS at_second, region, product, orders, revenue FROM revenue;

-- What came in during the last minute: rows leave as time passes.
CREATE MATERIALIZED VIEW last_minute AS
SELECT region, count(*) AS orders, sum(quantity * price) AS revenue
FROM orders WHERE ordered_at > now() - INTERVAL '1 minute'
GROUP BY region;

CREATE MATERIALIZED VIEW latest_orders AS
SELECT id, ordered_at, region, product, quantity, price FROM orders ORDER BY id DESC LIMIT 50;
