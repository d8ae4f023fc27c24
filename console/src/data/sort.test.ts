import { expect, test } from "vitest";
import { sorted } from "./sort";

const row = (...values: (string | number | null)[]) => ({ values });

test("numbers as numbers, also those too long to be one; nulls last", () => {
  const columns = [{ name: "n", type: "bigint" }];
  const rows = [row(10), row(null), row("12345678901234567891"), row(9), row("12345678901234567890")];
  const ascending = sorted(rows, columns, { column: "n", descending: false });
  expect(ascending.map((r) => r.values[0])).toEqual([9, 10, "12345678901234567890", "12345678901234567891", null]);
  expect(sorted(rows, columns, { column: "n", descending: true }).at(-1)?.values[0]).toBeNull();
});

test("without an order, or by what is not there, rows are as they come", () => {
  const rows = [row("b"), row("a")];
  expect(sorted(rows, [{ name: "t", type: "text" }], undefined)).toBe(rows);
  expect(sorted(rows, [{ name: "t", type: "text" }], { column: "x", descending: false })).toBe(rows);
});
