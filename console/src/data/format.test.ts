import { expect, test } from "vitest";
import { bytes, cell, count, counted, duration, fromNow, textOfBytes } from "./format";

test.each([
  [0, "0"],
  [0.53, "0.5"],
  [1234, "1,234"],
  [12_345, "12.3 k"],
  [4_560_000, "4.56 M"],
  [undefined, "–"],
])("count %s", (n, text) => expect(count(n)).toBe(text));

test.each([
  [0, "0 B"],
  [1536, "1.50 KiB"],
  [200 * 1024 * 1024, "200 MiB"],
])("bytes %s", (n, text) => expect(bytes(n)).toBe(text));

test.each([
  [0.0008, "0.8 ms"],
  [0.103, "103 ms"],
  [12.4, "12 s"],
  [185, "3 min 5 s"],
  [7800, "2 h 10 min"],
  [270_000, "3 d 3 h"],
])("duration %s", (n, text) => expect(duration(n)).toBe(text));

test("cells", () => {
  expect(cell(null, "text")).toBe("null");
  expect(cell("2026-11-30T23:54:49.85+00:00", "timestamp with time zone")).toBe("2026-11-30 23:54:49.85");
  expect(cell("2026-11-30T23:54:49", "text")).toBe("2026-11-30T23:54:49");
  expect(cell({ a: [1] }, "jsonb")).toBe('{"a":[1]}');
  expect(counted(1, "row")).toBe("1 row");
});

test("bytes that are a text are shown as one", () => {
  expect(textOfBytes("\\x7b22c3a4227d")).toBe('{"ä"}');
  expect(textOfBytes("\\xff00")).toBe("\\xff00");
});

test("times as they are from now", () => {
  const now = Date.UTC(2026, 0, 1, 12);
  expect(fromNow("2026-01-01T11:58:55Z", now)).toBe("1 min 5 s ago");
  expect(fromNow("2026-01-01T12:00:40+00:00", now)).toBe("in 40 s");
  expect([fromNow(null, now), fromNow("soon", now)]).toEqual(["", ""]);
});
