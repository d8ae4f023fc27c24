-- Customer analytics: a funnel, visits, and unique users by sketch, over the clicks of a shop.

CREATE TABLE clicks (
  id BIGINT PRIMARY KEY, ts TIMESTAMP, user_id BIGINT, page VARCHAR, action VARCHAR, amount NUMERIC(10, 2),
  WATERMARK FOR ts AS ts - INTERVAL '1 minute'
);

-- How far each user came, in order: seen, put into the cart after that, bought after that.
CREATE MATERIALIZED VIEW journeys AS
SELECT user_id, seen, CASE WHEN in_cart >= seen THEN in_cart END AS in_cart,
       CASE WHEN in_cart >= seen AND bought >= in_cart THEN bought END AS bought
FROM (
  SELECT user_id, min(ts) FILTER (WHERE action = 'view') AS seen, min(ts) FILTER (WHERE action = 'cart') AS in_cart,
         max(ts) FILTER (WHERE action = 'buy') AS bought
  FROM clicks GROUP BY user_id
) AS firsts
WHERE seen IS NOT NULL;

CREATE MATERIALIZED VIEW funnel AS
SELECT count(*) AS seen, count(in_cart) AS in_cart, count(bought) AS bought,
       avg(extract(epoch FROM bought - seen)::DOUBLE PRECISION) AS seconds_to_buy
FROM journeys;

-- A visit ends after half an hour without a click.
CREATE MATERIALIZED VIEW visits AS
SELECT user_id, window_start AS began, window_end AS ended, count(*) AS clicks, count(DISTINCT page) AS pages, sum(amount) AS spent
FROM SESSION(clicks, ts, INTERVAL '30 minutes', user_id)
GROUP BY user_id, window_start, window_end;

-- A sketch an hour: a few hundred bytes however many users there are, and hours merge to days.
CREATE MATERIALIZED VIEW hours AS
SELECT window_start AS hour, hll_sketch(user_id) AS users, quantile_sketch(amount) AS amounts, sum(amount) AS revenue
FROM TUMBLE(clicks, ts, INTERVAL '1 hour')
GROUP BY window_start, window_end;

CREATE MATERIALIZED VIEW days AS
SELECT date_trunc('day', hour) AS day, sketch_merge(users) AS users, sum(revenue) AS revenue
FROM hours GROUP BY date_trunc('day', hour);

CREATE MATERIALIZED VIEW top_pages AS
SELECT page, views FROM (
  SELECT page, views, row_number() OVER (ORDER BY views DESC, page) AS n
  FROM (SELECT page, count(*) AS views FROM clicks WHERE action = 'view' GROUP BY page) AS counted
) AS ranked
WHERE n <= 5;

-- Many carts and few orders: the checkout may be broken.
CREATE ALERT checkout ON
  SELECT 'shop' AS shop, in_cart, bought FROM funnel WHERE in_cart >= 20 AND bought * 4 < in_cart
  PRIMARY KEY (shop) SEVERITY warning;

CREATE DASHBOARD customer_analytics TITLE 'Customers' AS
  PANEL users NUMBER (SELECT sketch_estimate(users) AS users FROM days) WITH (title = 'Unique users', width = 3),
  PANEL funnel TABLE (SELECT seen, in_cart, bought, seconds_to_buy FROM funnel) WITH (width = 9),
  PANEL hourly LINE (SELECT hour, sketch_estimate(users) AS users FROM hours) WITH (x = hour, y = users, width = 6),
  PANEL pages BAR (SELECT page, views FROM top_pages) WITH (x = page, y = views, width = 6);
