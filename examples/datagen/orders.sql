-- Made-up orders: revenue per product and minute, when the minute is over. -e ROWS=0 runs until Ctrl-C.

CREATE SOURCE orders (
  id BIGINT, product VARCHAR, quantity INT, price DOUBLE PRECISION, ordered_at TIMESTAMP,
  WATERMARK FOR ordered_at AS ordered_at - INTERVAL '5 seconds'
) WITH (
  connector = 'datagen',
  rows = '${ROWS:-1000000}',
  seed = '42',
  base-time = '2026-01-01 09:00:00',
  fields.id.kind = 'sequence',
  fields.product.kind = 'choice',
  fields.product.choices = 'apple,banana,cherry',
  fields.quantity.min = '1',
  fields.quantity.max = '9',
  fields.price.min = '0.5',
  fields.price.max = '20',
  fields.ordered_at.max-past = '5 seconds'
);

CREATE SINK revenue AS
SELECT window_start AS minute, product, count(*) AS orders, sum(quantity) AS pieces, sum(quantity * price) AS revenue
FROM TUMBLE(orders, ordered_at, INTERVAL '1 minute')
GROUP BY window_start, window_end, product
EMIT ON WINDOW CLOSE
WITH (connector = '${SINK:-stdout}');
