import { expect, test } from "vitest";
import type { Json } from "../api/json";
import type { Commit } from "../live/protocol";
import { LiveTable } from "./rows";

const COLUMNS = [
  { name: "key", type: "text" },
  { name: "n", type: "bigint" },
];

function commit(deltas: [number, ...Json[]][], snapshot = false): Commit {
  return {
    snapshot,
    columns: COLUMNS,
    deltas: deltas.map(([weight, ...row]) => ({ weight, row })),
    epoch: 1,
    time: "",
  };
}

function values(table: LiveTable): Json[][] {
  return table.rows.map((row) => row.values);
}

test("an update stays in its place, keeps its id and says what changed", () => {
  const table = new LiveTable();
  table.apply(
    commit(
      [
        [1, "a", 1],
        [1, "b", 2],
        [1, "c", 3],
      ],
      true,
    ),
  );
  const ids = table.rows.map((row) => row.id);
  table.apply(
    commit([
      [-1, "b", 2],
      [1, "b", 20],
      [-1, "a", 1],
    ]),
  );
  expect(values(table)).toEqual([
    ["b", 20],
    ["c", 3],
  ]);
  expect(table.rows[0]).toMatchObject({ id: ids[1], changed: 1, touched: [1] });
  expect(table.rows[1]?.changed).toBe(0);
});

test("equal rows are counted", () => {
  const table = new LiveTable();
  table.apply(commit([[3, "a", 1]], true));
  table.apply(commit([[-2, "a", 1]]));
  expect(values(table)).toEqual([["a", 1]]);
  expect(table.removed).toBe(2);
});

test("what comes and goes within an epoch is not seen", () => {
  const table = new LiveTable();
  table.apply(commit([[1, "a", 1]], true));
  table.apply(
    commit([
      [-1, "a", 1],
      [1, "a", 1],
      [1, "b", 1],
      [-1, "b", 1],
    ]),
  );
  expect(values(table)).toEqual([["a", 1]]);
  expect(table.rows[0]?.changed).toBe(0);
});

test("a snapshot replaces everything", () => {
  const table = new LiveTable();
  table.apply(commit([[1, "a", 1]], true));
  table.apply(commit([[1, "z", 9]], true));
  expect(values(table)).toEqual([["z", 9]]);
});

test("the single row of a total stays the same row", () => {
  const table = new LiveTable();
  table.apply(commit([[1, "7", 1]], true));
  const id = table.rows[0]?.id;
  table.apply(
    commit([
      [-1, "7", 1],
      [1, "8", 2],
    ]),
  );
  expect(table.rows[0]).toMatchObject({ id, values: ["8", 2] });
});

test("beyond the limit the oldest go, and taking them away later changes nothing", () => {
  const table = new LiveTable(3);
  table.apply(commit([], true));
  for (let i = 0; i < 5; i++) table.apply(commit([[1, `k${i}`, i]]));
  expect(values(table).map(([key]) => key)).toEqual(["k2", "k3", "k4"]);
  expect(table.dropped).toBe(2);
  table.apply(commit([[-1, "k0", 0]]));
  expect(table.rows).toHaveLength(3);
});

test("any deltas, in any epochs, lead to the rows that are left", () => {
  let seed = 7;
  const random = (n: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % n;
  };
  const table = new LiveTable();
  table.apply(commit([], true));
  const model = new Map<string, number>();
  for (let epoch = 0; epoch < 200; epoch++) {
    const deltas: [number, ...Json[]][] = [];
    for (let i = 0; i < random(12); i++) {
      const row: [string, number] = [`k${random(6)}`, random(4)];
      const key = JSON.stringify(row);
      const there = model.get(key) ?? 0;
      const weight = there > 0 && random(2) === 0 ? -1 : 1;
      model.set(key, there + weight);
      deltas.push([weight, ...row]);
    }
    table.apply(commit(deltas));
    const expected = [...model].flatMap(([key, n]) => Array.from({ length: n }, () => key)).sort();
    expect(
      values(table)
        .map((row) => JSON.stringify(row))
        .sort(),
    ).toEqual(expected);
  }
  expect(new Set(table.rows.map((row) => row.id)).size).toBe(table.rows.length);
});
