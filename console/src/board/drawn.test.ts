import { expect, test } from "vitest";
import { coastOf } from "./coast";
import { heatColumns, heatOf, warmth } from "./heat";
import { ends, marks, numbers, toneOf } from "./look";
import { optionsOf } from "./panel";
import { around, kept, netStep, project, shifted, unproject, zoomed } from "./sphere";
import { mapColumns, spotsOf } from "./spots";

const BOX = { width: 720, height: 360 };

test("numbers are written as asked for", () => {
  const write = (format: string | undefined, value: number, unit = "") => numbers({ format, unit })(value);
  expect(write(undefined, 12_345)).toBe("12.3 k");
  expect(write(undefined, 0.0123, "m")).toBe("0.0123 m");
  expect(write("full", 12_345.5)).toBe("12,345.5");
  expect(write("percent", 0.256)).toBe("25.6 %");
  expect(write("bytes", 2048)).toBe("2.00 KiB");
  expect(write("seconds", 90)).toBe("1 min 30 s");
  expect(write("0.00", 1234.567, "€")).toBe("1,234.57 €");
  expect(numbers({ format: undefined, unit: "m" })(undefined)).toBe("–");
});

test("marks of an axis differ", () => {
  const write = (step: number, format?: string) => marks({ format, unit: "m" }, step);
  expect([3.9, 3.925, 3.95].map(write(0.025))).toEqual(["3.90 m", "3.93 m", "3.95 m"]);
  expect([0.1, 0.2].map(write(0.1))).toEqual(["0.1 m", "0.2 m"]);
  expect([0, 5000, 20_000].map(write(5000))).toEqual(["0 m", "5,000 m", "20.0 k m"]);
  expect(write(0.1, "0")(3.9)).toBe("4 m");
});

test("thresholds rise or fall", () => {
  expect([69, 70, 90].map((value) => toneOf(value, [70, 90]))).toEqual(["good", "warn", "bad"]);
  expect([91, 90, 70].map((value) => toneOf(value, [90, 70]))).toEqual(["good", "warn", "bad"]);
  expect([4, 5].map((value) => toneOf(value, [5]))).toEqual(["good", "bad"]);
  expect(toneOf(4, [])).toBeUndefined();
  expect(toneOf(null, [5])).toBeUndefined();
});

test("an axis begins at nought if that is near, and always has a length", () => {
  const none = { min: undefined, max: undefined };
  expect(ends(10, 100, none)).toMatchObject({ bottom: 0 });
  expect(ends(95, 100, none).bottom).toBeGreaterThan(90);
  expect(ends(-100, -10, none)).toMatchObject({ top: 0 });
  expect(ends(5, 5, none).top).toBeGreaterThan(5);
  expect(ends(null, null, none).top).toBeGreaterThan(0);
  expect(ends(0, 10, { min: 5, max: 2 })).toEqual({ bottom: 5, top: 6 });
});

const HEAT = [
  { name: "hour", type: "integer" },
  { name: "station", type: "character varying" },
  { name: "level", type: "double precision" },
];

test("cells lie where their row says; numbers rise upwards", () => {
  const told = [
    [2, "Kaub", 5],
    [1, "Kaub", 3],
    [2, "Bonn", null],
  ].map((values) => ({ values }));
  const found = heatColumns(HEAT, optionsOf({ kind: "heatmap", raw: {} }));
  expect(found).toEqual({ x: 0, y: 1, value: 2 });
  const heat = heatOf(HEAT, told, { x: 0, y: 1, value: 2 });
  expect(heat).toEqual({
    across: ["1", "2"],
    down: ["Kaub", "Bonn"],
    values: [
      [3, 5],
      [null, null],
    ],
    least: 3,
    most: 5,
  });
  expect(heatOf(HEAT, told, { x: 1, y: 0, value: 2 })).toMatchObject({
    down: ["2", "1"],
    values: [
      [5, null],
      [3, null],
    ],
  });
  expect([3, 4, 9].map((value) => warmth(value, heat, { min: undefined, max: 5 }))).toEqual([0, 0.5, 1]);
});

test("a heat map needs two sides and a value", () => {
  expect(heatColumns(HEAT.slice(1), optionsOf({ kind: "heatmap", raw: {} }))).toBeUndefined();
  expect(heatColumns(HEAT, optionsOf({ kind: "heatmap", raw: { x: "station", y: "hour" } }))).toEqual({
    x: 1,
    y: 0,
    value: 2,
  });
});

test("what is projected is found again", () => {
  const view = { lon: 7, lat: 50, scale: 30 };
  const [x, y] = project(view, BOX, { lon: 8.5, lat: 49 });
  expect([x, y]).toEqual([405, 210]);
  expect(unproject(view, BOX, x, y)).toEqual({ lon: 8.5, lat: 49 });
});

test("enlarging keeps what is at the pointer; the world is never left", () => {
  const view = zoomed({ lon: 0, lat: 0, scale: 2 }, BOX, 4, 500, 100);
  const before = unproject({ lon: 0, lat: 0, scale: 2 }, BOX, 500, 100);
  const after = unproject(view, BOX, 500, 100);
  expect([after.lon, after.lat]).toEqual([expect.closeTo(before.lon), expect.closeTo(before.lat)]);
  expect(zoomed(view, BOX, 0.001)).toEqual({ lon: 0, lat: 0, scale: 2 });
  expect(shifted({ lon: 0, lat: 0, scale: 4 }, BOX, -10_000, 10_000)).toEqual({ lon: 90, lat: 45, scale: 4 });
  expect(kept({ lon: 0, lat: 0, scale: 1e9 }, BOX).scale).toBe(1000);
});

test("all spots are in sight", () => {
  const spots = [
    { lon: 6.9, lat: 50.9 },
    { lon: 16.4, lat: 48.2 },
  ];
  const view = around(spots, BOX);
  for (const spot of spots) {
    const [x, y] = project(view, BOX, spot);
    expect(x > 0 && x < BOX.width && y > 0 && y < BOX.height).toBe(true);
  }
  expect(around([], BOX)).toEqual({ lon: 0, lat: 0, scale: 2 });
  expect(netStep(view)).toBeLessThanOrEqual(5);
});

test("arcs of a topology are lines of degrees", () => {
  const topology = {
    transform: { scale: [0.5, 2], translate: [-180, -90] },
    arcs: [
      [
        [10, 20],
        [2, -1],
      ],
    ],
  };
  expect(coastOf(topology).map((line) => [...line])).toEqual([[-175, -50, -174, -52]]);
});

test("rows without a place are not on the map; sizes are shares", () => {
  const columns = ["name", "lat", "lng", "load"].map((name, i) => ({ name, type: i === 0 ? "text" : "real" }));
  const options = optionsOf({ kind: "map", raw: { by: "name", size: "load" } });
  const found = mapColumns(columns, options);
  expect(found).toEqual({ lat: 1, lon: 2 });
  const told = [
    ["Kaub", 50.1, 7.8, 10],
    ["Nowhere", null, 7, 5],
    ["Beyond", 91, 7, 5],
    ["Bonn", 50.7, 7.1, 40],
  ].map((values) => ({ values }));
  expect(spotsOf(columns, told, { lat: 1, lon: 2 }, options).map(({ label, size }) => [label, size])).toEqual([
    ["Kaub", 0.25],
    ["Bonn", 1],
  ]);
  expect(mapColumns(columns.slice(0, 1), options)).toBeUndefined();
});
