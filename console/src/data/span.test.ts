import { expect, test } from "vitest";
import { spanOf } from "./span";

test.each([
  ["5 minutes", 300],
  ["1 hour 30 min", 5400],
  ["90s", 90],
  ["250 ms", 0.25],
  ["00:05:00", 300],
  ["2 Days", 172_800],
])("%s", (text, seconds) => expect(spanOf(text)).toBe(seconds));

test.each(["", "soon", "5", "0 minutes", "5 minutes or so", "3 fortnights"])("%j is no span", (text) => {
  expect(spanOf(text)).toBeUndefined();
});
