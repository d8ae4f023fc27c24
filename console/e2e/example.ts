// A small world of data that looks like one: trips of a ferry line, with mistakes in it. It must not know the console.

import type { World } from "./world";

export const SCRIPT = [
  `CREATE SOURCE readings (
     station varchar, level double precision, flow double precision, at timestamptz,
     WATERMARK FOR at AS at - INTERVAL '2 seconds')`,
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

const STATIONS = ["Kaub", "Cologne", "Maxau", "Ruhrort", "Dresden", "Passau", "Vienna", "Basel"];
const RIVERS = ["Rhine", "Rhine", "Rhine", "Rhine", "Elbe", "Danube", "Danube", "Rhine"];

/** Creates it all. */
export async function create(world: World, basic?: string): Promise<void> {
  for (const statement of SCRIPT) await world.sql(statement, basic);
  const rows = STATIONS.map((name, i) => `('${name}', '${RIVERS[i]}', ${3.4 + i * 0.1})`);
  await world.sql(`INSERT INTO stations VALUES ${rows.join(", ")}`, basic);
  await world.sql(
    `INSERT INTO orders VALUES (1, 'Kaub', 40), (2, 'Basel', 25), (3, 'Dresden', -5), (4, 'Vienna', 12), (5, '', 3), (6, 'Kaub', 0)`,
    basic,
  );
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
