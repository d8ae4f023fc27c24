// A small world of data that looks like one: trips of a ferry line, with mistakes in it. It must not know the console.

import type { World } from "./world";

export const SCRIPT = [
  `CREATE SOURCE readings (
     station varchar, level double precision, flow double precision, at timestamptz,
     WATERMARK FOR at AS at - INTERVAL '2 seconds')`,
  `CREATE TABLE places (name varchar PRIMARY KEY, lat double precision, lon double precision)`,
  `CREATE TABLE stations (name varchar PRIMARY KEY, river varchar, alarm double precision)`,
  `CREATE TABLE orders (id bigint PRIMARY KEY, station varchar, amount integer)
     EXPECT (positive CHECK (amount > 0), known CHECK (station <> '') ON VIOLATION DROP)`,
  `CREATE MATERIALIZED VIEW levels AS
     SELECT station, count(*) AS readings, avg(level) AS mean_level, max(flow) AS peak_flow
     FROM readings GROUP BY station`,
  `CREATE MATERIALIZED VIEW minutes AS
     SELECT station, window_start, max(level) AS highest, count(*) AS readings
     FROM TUMBLE(readings, at, INTERVAL '10 seconds') GROUP BY station, window_start`,
  `CREATE MATERIALIZED VIEW alarms AS
     SELECT l.station, s.river, l.mean_level, s.alarm
     FROM levels l JOIN stations s ON s.name = l.station WHERE l.mean_level > s.alarm`,
  `CREATE MATERIALIZED VIEW sales AS
     SELECT s.river, sum(o.amount) AS amount, count(*) AS orders
     FROM orders o JOIN stations s ON s.name = o.station GROUP BY s.river`,
  `CREATE VIEW worst AS SELECT * FROM alarms WHERE mean_level > alarm * 1.1`,
  `CREATE SINK alarms_out FROM alarms WITH (connector = 'blackhole')`,
];

/** A dashboard of every kind of panel. */
export const DASHBOARD = `
CREATE DASHBOARD rivers TITLE 'Rivers' AS
  PANEL total NUMBER (SELECT sum(readings) AS readings FROM levels) WITH (title = 'Readings', window = '2 minutes'),
  PANEL highest NUMBER (SELECT max(mean_level) AS level FROM levels) WITH (title = 'Highest mean', unit = 'm',
    format = '0.00', thresholds = '3.5,4.2', width = '3'),
  PANEL rates LINE (SELECT station, mean_level FROM levels) WITH (title = 'Mean level', unit = 'm', height = '4'),
  PANEL windows AREA (SELECT station, window_start, readings FROM minutes) WITH (title = 'Readings by window',
    window = '10 minutes'),
  PANEL peaks BAR (SELECT station, peak_flow FROM levels) WITH (title = 'Peak flow', unit = 'm³/s'),
  PANEL heights HEATMAP (SELECT window_start, station, highest FROM minutes) WITH (title = 'Highest by window',
    x = 'window_start', y = 'station', color = 'highest', unit = 'm', format = '0.0'),
  PANEL places MAP (SELECT s.name, s.lat, s.lon, l.readings, l.mean_level FROM places s JOIN levels l ON l.station = s.name)
    WITH (title = 'Stations', lat = 'lat', lon = 'lon', by = 'name', size = 'readings', color = 'mean_level'),
  PANEL stations TABLE (SELECT station, readings, mean_level, peak_flow FROM levels ORDER BY station)
    WITH (y = 'station, readings, peak_flow', width = '12')`;

const PLACES = [
  [50.09, 7.76],
  [50.94, 6.96],
  [49.04, 8.31],
  [51.45, 6.73],
  [51.05, 13.74],
  [48.57, 13.46],
  [48.21, 16.37],
  [47.56, 7.59],
];

const STATIONS = ["Kaub", "Cologne", "Maxau", "Ruhrort", "Dresden", "Passau", "Vienna", "Basel"];
const RIVERS = ["Rhine", "Rhine", "Rhine", "Rhine", "Elbe", "Danube", "Danube", "Rhine"];

/** Creates it all. */
export async function create(world: World, basic?: string): Promise<void> {
  for (const statement of SCRIPT) await world.sql(statement, basic);
  const rows = STATIONS.map((name, i) => `('${name}', '${RIVERS[i]}', ${3.4 + i * 0.1})`);
  await world.sql(`INSERT INTO stations VALUES ${rows.join(", ")}`, basic);
  const places = STATIONS.map((name, i) => `('${name}', ${PLACES[i]?.join(", ")})`);
  await world.sql(`INSERT INTO places VALUES ${places.join(", ")}`, basic);
  await world.sql(
    `INSERT INTO orders VALUES (1, 'Kaub', 40), (2, 'Basel', 25), (3, 'Dresden', -5), (4, 'Vienna', 12), (5, '', 3), (6, 'Kaub', 0)`,
    basic,
  );
}

/** A dashboard, and alerts of which one fires. */
export async function furnish(world: World): Promise<void> {
  await world.sql(DASHBOARD);
  await world.sql(`CREATE ALERT flood ON (SELECT station, mean_level FROM levels WHERE mean_level > 3)
    SEVERITY critical NOTIFY log`);
  await world.sql("CREATE ALERT silent ON (SELECT station FROM levels WHERE readings = 0) NOTIFY log");
  await world.ingest("readings", [{ station: "Kaub", level: 4.52, flow: 2200, at: new Date().toISOString() }]);
}

/** Hands in readings, so many every tenth of a second, until the function that is returned is called. */
export function pour(world: World, many: number, basic?: string): () => Promise<void> {
  let running = true;
  let sent = 0;
  const poured = (async () => {
    while (running) {
      const rows: object[] = [];
      for (let i = 0; i < many; i++) {
        const station = STATIONS[(sent + i) % STATIONS.length];
        const level = 3.6 + Math.sin((sent + i) / 900) + (i % 7) / 10;
        rows.push({ station, level, flow: 900 + level * 300, at: new Date().toISOString() });
      }
      sent += many;
      await world.ingest("readings", rows, basic).catch(() => undefined);
      await new Promise((done) => setTimeout(done, 100));
    }
  })();
  return async () => {
    running = false;
    await poured;
  };
}
