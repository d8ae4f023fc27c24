import { expect, test } from "vitest";
import { parseJson } from "./json";

test("numbers that a double cannot hold keep their digits", () => {
  // Node 20 has no source text in revivers; then long numbers are as JSON.parse has them.
  const hasSource = JSON.parse("1", (_k: string, _v: number, context?: { source?: string }) => context?.source) === "1";
  const value = parseJson('{"rows":[[12345678901234567,1.5,"12345678901234567"]]}');
  const exact = hasSource ? "12345678901234567" : 12345678901234568;
  expect(value).toEqual({ rows: [[exact, 1.5, "12345678901234567"]] });
});

test("numbers of many digits and a point, too; what a double holds is a number", () => {
  expect(parseJson("[3.8841326942574756,0.1234567890123456]")).toEqual([3.8841326942574756, 0.1234567890123456]);
  const [long] = parseJson("[12345678901234567890.123]") as [unknown];
  expect(String(long)).toMatch(/^12345678901234567[0-9.]+$/);
});

test("short numbers are numbers", () => {
  expect(parseJson("[1,-2.5,1e3,1796082772916102]")).toEqual([1, -2.5, 1000, 1796082772916102]);
});
