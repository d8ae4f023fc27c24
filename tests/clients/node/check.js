// node `pg`: queries, parameters, prepared statements, cursors, errors and transactions.
// usage: node check.js URL, with `pg` and `pg-cursor` where NODE_PATH says.
"use strict";
const assert = require("node:assert/strict");
const { Client, Pool } = require("pg");
const Cursor = require("pg-cursor");

const url = process.argv[2];
const checks = {};

async function withClient(body) {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on("error", () => {});
  await client.connect();
  try {
    return await body(client);
  } finally {
    client.end().catch(() => {});
  }
}

async function fresh(client, name) {
  await client.query(`DROP TABLE IF EXISTS ${name}`);
  await client.query(`CREATE TABLE ${name} (id int PRIMARY KEY, v text)`);
}

checks.values = () => withClient(async (client) => {
  const { rows, fields } = await client.query(
    "SELECT 1 AS i, 'x' AS t, true AS b, 1.5::double precision AS f, 12.50::numeric AS n, NULL::text AS z, " +
    "9007199254740993::bigint AS l, ARRAY[1, 2] AS a");
  assert.deepEqual(rows, [{ i: 1, t: "x", b: true, f: 1.5, n: "12.50", z: null, l: "9007199254740993", a: [1, 2] }]);
  assert.equal(fields.length, 8);
});

checks.dates_and_bytes = () => withClient(async (client) => {
  const { rows } = await client.query(
    "SELECT '2024-01-02 03:04:05+00'::timestamptz AS t, '\\x00ff'::bytea AS b, '1 day 02:00:00'::interval AS i");
  assert.equal(rows[0].t.toISOString(), "2024-01-02T03:04:05.000Z");
  assert.deepEqual(rows[0].b, Buffer.from([0, 255]));
  assert.deepEqual({ ...rows[0].i }, { days: 1, hours: 2 });
});

checks.parameters = () => withClient(async (client) => {
  const { rows } = await client.query("SELECT $1::int + 1 AS a, $2::text AS b, $3::boolean AS c, $4::text AS d",
    [41, "héllo", true, null]);
  assert.deepEqual(rows, [{ a: 42, b: "héllo", c: true, d: null }]);
});

checks.array_parameters = () => withClient(async (client) => {
  await fresh(client, "node_any");
  await client.query("INSERT INTO node_any VALUES (1, 'a'), (2, 'b'), (3, 'c'); FLUSH");
  const { rows } = await client.query("SELECT id FROM node_any WHERE id = ANY($1::int[]) ORDER BY id", [[1, 3]]);
  assert.deepEqual(rows, [{ id: 1 }, { id: 3 }]);
});

checks.inserts_and_counts = () => withClient(async (client) => {
  await fresh(client, "node_rows");
  const inserted = await client.query("INSERT INTO node_rows VALUES ($1, $2), ($3, $4)", [1, "a", 2, "b"]);
  assert.equal(inserted.rowCount, 2);
  assert.equal(inserted.command, "INSERT");
  await client.query("FLUSH");
  const selected = await client.query("SELECT v FROM node_rows WHERE id = $1", [2]);
  assert.deepEqual(selected.rows, [{ v: "b" }]);
});

checks.prepared_by_name = () => withClient(async (client) => {
  for (let i = 0; i < 12; i++) {
    const { rows } = await client.query({ name: "twice", text: "SELECT $1::int * 2 AS n", values: [i] });
    assert.deepEqual(rows, [{ n: 2 * i }]);
  }
});

checks.rows_as_arrays = () => withClient(async (client) => {
  const { rows } = await client.query({ text: "SELECT 1 AS a, 2 AS a", rowMode: "array" });
  assert.deepEqual(rows, [[1, 2]]);
});

checks.several_statements = () => withClient(async (client) => {
  const found = await client.query("SELECT 1 AS a; SELECT 'b' AS b");
  assert.deepEqual(found.map((result) => result.rows), [[{ a: 1 }], [{ b: "b" }]]);
});

checks.queries_in_a_queue = () => withClient(async (client) => {
  const found = await Promise.all(Array.from({ length: 20 }, (_, i) => client.query("SELECT $1::int AS n", [i])));
  assert.deepEqual(found.map((result) => result.rows[0].n), Array.from({ length: 20 }, (_, i) => i));
});

checks.errors = () => withClient(async (client) => {
  const expected = [["SELECT * FROM nowhere", "42P01"], ["SELECT nope FROM pg_class", "42703"], ["SELEC 1", "42601"],
    ["SELECT 1 / 0", "22012"], ["SELECT 'x'::int", "22P02"]];
  for (const [text, code] of expected) {
    await assert.rejects(client.query(text), { code, severity: "ERROR" }, text);
    await assert.rejects(client.query(text, []), { code }, text);
  }
  assert.deepEqual((await client.query("SELECT 1 AS a")).rows, [{ a: 1 }]);
});

checks.transactions = () => withClient(async (client) => {
  await fresh(client, "node_tx");
  await client.query("BEGIN");
  await client.query("INSERT INTO node_tx VALUES (1, 'gone')");
  await client.query("ROLLBACK");
  await client.query("BEGIN");
  await client.query("INSERT INTO node_tx VALUES ($1, $2)", [2, "kept"]);
  await client.query("COMMIT");
  await client.query("FLUSH");
  assert.deepEqual((await client.query("SELECT * FROM node_tx")).rows, [{ id: 2, v: "kept" }]);
});

checks.cursor = () => withClient(async (client) => {
  const cursor = client.query(new Cursor("SELECT n FROM generate_series(1, $1::int) AS g(n) ORDER BY n", [25]));
  const sizes = [];
  let rows;
  do {
    rows = await cursor.read(10);
    sizes.push(rows.length);
  } while (rows.length);
  await cursor.close();
  assert.deepEqual(sizes, [10, 10, 5, 0]);
});

checks.cursor_closed_early = () => withClient(async (client) => {
  const cursor = client.query(new Cursor("SELECT n FROM generate_series(1, 100000) AS g(n)"));
  assert.equal((await cursor.read(3)).length, 3);
  await cursor.close();
  assert.deepEqual((await client.query("SELECT 1 AS a")).rows, [{ a: 1 }]);
});

checks.pool = async () => {
  const pool = new Pool({ connectionString: url, max: 4, connectionTimeoutMillis: 5000 });
  pool.on("error", () => {});
  try {
    const found = await Promise.all(Array.from({ length: 16 }, (_, i) => pool.query("SELECT $1::int AS n", [i])));
    assert.equal(found.reduce((sum, result) => sum + result.rows[0].n, 0), 120);
  } finally {
    pool.end().catch(() => {});
  }
};

checks.notices = () => withClient(async (client) => {
  const heard = [];
  client.on("notice", (notice) => heard.push(notice.severity));
  await client.query("DROP TABLE IF EXISTS never_there");
  assert.deepEqual(heard, ["NOTICE"]);
});

checks.statement_timeout = async () => {
  const client = new Client({ connectionString: url, statement_timeout: 200, connectionTimeoutMillis: 5000 });
  await client.connect();
  await assert.rejects(client.query("SELECT pg_sleep(30)"), { code: "57014" });
  client.end().catch(() => {});
};

async function main() {
  let passed = 0;
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    let timer;
    const patience = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("still running after 15 s")), 15000);
    });
    try {
      await Promise.race([check(), patience]);
      passed += 1;
    } catch (error) {
      failed += 1;
      console.log(`FAIL node: ${name}\n     ${String(error.message).split("\n").join("\n     ")}`);
    }
    clearTimeout(timer);
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main();
