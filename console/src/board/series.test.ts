import { expect, test } from "vitest";
import type { Json } from "../api/json";
import { chartColumns, missing } from "./columns";
import { optionsOf } from "./panel";
import { Past } from "./past";
import { linesOf, secondsOf, stacked } from "./series";

const COLUMNS = [
  { name: "station", type: "character varying" },
  { name: "at", type: "timestamp with time zone" },
  { name: "level", type: "double precision" },
  { name: "flow", type: "numeric" },
];
const NONE = { x: undefined, y: [], by: undefined };
const rows = (...values: Json[][]) => values.map((row) => ({ values: row }));

test("columns that are not named are chosen by what they hold", () => {
  expect(chartColumns(COLUMNS, NONE)).toEqual({ x: 1, y: [2, 3], by: 0 });
  expect(chartColumns(COLUMNS, { x: undefined, y: ["LEVEL"], by: undefined })).toEqual({ x: 1, y: [2], by: 0 });
  const [station, , level] = COLUMNS;
  const counted = station && level ? [station, level] : [];
  expect(chartColumns(counted, NONE)).toEqual({ x: undefined, y: [1], by: 0 });
  expect(chartColumns(counted, NONE, true)).toEqual({ x: 0, y: [1], by: undefined });
});

test("columns that are named and not there are told", () => {
  const options = optionsOf({ kind: "line", raw: { x: "At", y: "level, depth", by: "river" } });
  expect(missing(COLUMNS, options)).toEqual(["depth", "river"]);
});

test("rows in any order are lines over time; values that are text by their length are numbers", () => {
  const told = rows(
    ["Kaub", "2026-01-01T00:00:02Z", 2, "12345678901234567890"],
    ["Kaub", "2026-01-01T00:00:01Z", 1, 5],
    ["Bonn", "2026-01-01T00:00:01+00:00", null, 6],
  );
  const at = Date.UTC(2026, 0, 1) / 1000;
  expect(linesOf(COLUMNS, told, { x: 1, y: [2, 3], by: 0 })).toEqual({
    axis: "time",
    x: [at + 1, at + 2],
    names: [],
    lines: [
      { name: "Kaub level", values: [1, 2] },
      { name: "Kaub flow", values: [5, Number("12345678901234567890")] },
      { name: "Bonn level", values: [null, null] },
      { name: "Bonn flow", values: [6, null] },
    ],
    more: 0,
  });
  expect(linesOf(COLUMNS, told, { x: 1, y: [2], by: 0 }, at + 1.5).lines).toEqual([{ name: "Kaub", values: [2] }]);
});

test("names along the axis keep the order in which they come", () => {
  const told = rows(["Kaub", null, 2, 1], ["Bonn", null, 3, 1]);
  const { axis, names, x, lines } = linesOf(COLUMNS, told, { x: 0, y: [2], by: undefined });
  expect({ axis, names, x, lines }).toEqual({
    axis: "names",
    names: ["Kaub", "Bonn"],
    x: [0, 1],
    lines: [{ name: "level", values: [2, 3] }],
  });
});

test("more lines than can be told apart are counted", () => {
  const told = rows(...Array.from({ length: 9 }, (_, i) => [`s${i}`, "2026-01-01T00:00:00Z", i, i]));
  const found = linesOf(COLUMNS, told, { x: 1, y: [2], by: 0 });
  expect([found.lines.length, found.more]).toEqual([6, 3]);
});

test("stacked lines are sums, the whole first", () => {
  const lines = [
    { name: "a", values: [1, null] },
    { name: "b", values: [2, 3] },
  ];
  expect(stacked({ axis: "time", x: [0, 1], names: [], lines, more: 0 }).lines).toEqual([
    { name: "b", values: [3, 3] },
    { name: "a", values: [1, 0] },
  ]);
});

test("times with and without a zone", () => {
  expect(secondsOf("1970-01-01 00:00:10")).toBe(10);
  expect(secondsOf("1970-01-01T02:00:10.5+02:00")).toBe(10.5);
  expect(secondsOf("1970-01-02")).toBe(86_400);
  expect(secondsOf("soon")).toBeNull();
  expect(secondsOf(5)).toBeNull();
});

test("the past keeps its window, as many moments as can be seen, and lets go what is told no more", () => {
  const past = new Past(60);
  past.note(0, new Map([["a", 1]]));
  for (let i = 1; i <= 2000; i++) past.note(i * 0.1, new Map([["b", i]]));
  const { x, lines } = past.told();
  expect(x.length).toBeLessThanOrEqual(601);
  expect([x[0], x.at(-1)]).toEqual([expect.closeTo(140, 0), 200]);
  expect(lines.map(({ name }) => name)).toEqual(["b"]);
  expect(lines[0]?.values.at(-1)).toBe(2000);

  const fast = new Past(600);
  for (let i = 0; i < 5000; i++) fast.note(i * 0.01, new Map([["a", i]]));
  expect(fast.told().x.length).toBeLessThan(120);
  expect(fast.told().lines[0]?.values.at(-1)).toBe(4999);
});
