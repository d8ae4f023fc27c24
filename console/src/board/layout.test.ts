import { expect, test } from "vitest";
import { indexAt, moved, place, rowsOf } from "./layout";

const size = (width: number, height: number) => ({ width, height });
const spots = (sizes: { width: number; height: number }[]) => place(sizes).map(({ column, row }) => [column, row]);

test("panels flow in rows", () => {
  expect(spots([size(6, 4), size(6, 4), size(12, 2)])).toEqual([
    [0, 0],
    [6, 0],
    [0, 4],
  ]);
});

test("low ones lie one above the other beside a high one", () => {
  const sizes = [size(6, 8), size(6, 4), size(6, 4), size(3, 2)];
  expect(spots(sizes)).toEqual([
    [0, 0],
    [6, 0],
    [6, 4],
    [0, 8],
  ]);
  expect(rowsOf(place(sizes))).toBe(10);
});

test("none lies on another, and their order is kept, whatever their sizes", () => {
  let seed = 7;
  const next = (most: number) => {
    seed = (seed * 16_807) % 2_147_483_647;
    return 1 + (seed % most);
  };
  for (let round = 0; round < 50; round++) {
    const sizes = Array.from({ length: next(15) }, () => size(next(12), next(6)));
    const taken = new Set<string>();
    let before = -1;
    for (const { column, row, width, height } of place(sizes)) {
      expect(column + width).toBeLessThanOrEqual(12);
      expect(row * 12 + column).toBeGreaterThan(before);
      before = row * 12 + column;
      for (let r = row; r < row + height; r++) {
        for (let c = column; c < column + width; c++) {
          expect(taken.has(`${r} ${c}`)).toBe(false);
          taken.add(`${r} ${c}`);
        }
      }
    }
  }
});

test("wider than the grid is as wide as the grid", () => {
  expect(place([size(12, 1)], 1)).toEqual([{ column: 0, row: 0, width: 1, height: 1 }]);
});

test("what is let go takes the place of what lies there", () => {
  const places = place([size(6, 4), size(6, 4), size(6, 4)]);
  expect(indexAt(places, 0, 7, 1)).toBe(1);
  expect(indexAt(places, 2, 0, 0)).toBe(0);
  expect(indexAt(places, 0, 9, 6)).toBe(2);
  expect(indexAt(places, 0, 0, 40)).toBe(2);
});

test("moving keeps the others in order", () => {
  expect(moved(["a", "b", "c"], 0, 2)).toEqual(["b", "c", "a"]);
  expect(moved(["a", "b", "c"], 2, 0)).toEqual(["c", "a", "b"]);
  expect(moved(["a", "b"], 0, 9)).toEqual(["b", "a"]);
  expect(moved(["a"], 4, 0)).toEqual(["a"]);
});
