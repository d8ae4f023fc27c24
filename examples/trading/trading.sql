-- Trading: one-minute bars and VWAP of each symbol, positions of each account, and limits that must not be passed.

CREATE TABLE trades (
  id BIGINT PRIMARY KEY, ts TIMESTAMP, symbol VARCHAR, account VARCHAR, side VARCHAR, price NUMERIC(12, 2), quantity BIGINT,
  WATERMARK FOR ts AS ts - INTERVAL '5 seconds'
);

-- What an account may hold of a symbol, long or short, in money.
CREATE TABLE limits (account VARCHAR, symbol VARCHAR, max_exposure NUMERIC(14, 2), PRIMARY KEY (account, symbol));

-- Open, high, low, close, volume, and the price weighted by volume. `id` is the order of the exchange.
CREATE MATERIALIZED VIEW bars AS
SELECT b.symbol, b.minute, o.price AS open, b.high, b.low, c.price AS close, b.volume, b.vwap
FROM (
  SELECT symbol, window_start AS minute, min(id) AS first_id, max(id) AS last_id, max(price) AS high, min(price) AS low,
         sum(quantity) AS volume, sum(price * quantity)::DOUBLE PRECISION / sum(quantity) AS vwap
  FROM TUMBLE(trades, ts, INTERVAL '1 minute')
  GROUP BY symbol, window_start, window_end
) AS b
JOIN trades AS o ON o.id = b.first_id
JOIN trades AS c ON c.id = b.last_id;

CREATE MATERIALIZED VIEW last_prices AS
SELECT symbol, price, ts
FROM (SELECT symbol, price, ts, row_number() OVER (PARTITION BY symbol ORDER BY id DESC) AS n FROM trades) AS ranked
WHERE n = 1;

-- Positions marked to the last price: every trade of a symbol moves the exposure of all who hold it.
CREATE MATERIALIZED VIEW positions AS
SELECT h.account, h.symbol, h.quantity, p.price, h.quantity * p.price AS exposure
FROM (
  SELECT account, symbol, sum(CASE WHEN side = 'buy' THEN quantity ELSE -quantity END) AS quantity
  FROM trades GROUP BY account, symbol
) AS h
JOIN last_prices AS p ON p.symbol = h.symbol;

CREATE MATERIALIZED VIEW breaches AS
SELECT p.account, p.symbol, p.exposure, l.max_exposure
FROM positions AS p
JOIN limits AS l ON l.account = p.account AND l.symbol = p.symbol
WHERE abs(p.exposure) > l.max_exposure;

CREATE ALERT limit_breach ON breaches PRIMARY KEY (account, symbol) SEVERITY critical;

CREATE DASHBOARD trading TITLE 'Trading' AS
  PANEL breaches NUMBER (SELECT count(*) AS breaches FROM breaches) WITH (title = 'Limits passed', width = 3, thresholds = '1'),
  PANEL prices LINE (SELECT minute, symbol, close FROM bars) WITH (x = minute, y = close, by = symbol, width = 9),
  PANEL volume BAR (SELECT minute, symbol, volume FROM bars) WITH (x = minute, y = volume, by = symbol, width = 6),
  PANEL positions TABLE (SELECT account, symbol, quantity, price, exposure FROM positions) WITH (width = 6);
