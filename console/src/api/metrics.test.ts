import { expect, test } from "vitest";
import { parseMetrics } from "./metrics";

const TEXT = `# HELP thalweg_rows_in_total Rows.
# TYPE thalweg_rows_in_total counter
thalweg_rows_in_total{job="a"} 3
thalweg_rows_in_total{job="b \\"x\\"",more="1"} 4.5
# TYPE thalweg_sink_rows_total counter
thalweg_uptime_seconds 5
`;

test("samples are read with their labels", () => {
  const metrics = parseMetrics(TEXT, 0);
  expect(metrics.one("thalweg_rows_in_total", "job", 'b "x"')).toBe(4.5);
  expect(metrics.sum("thalweg_rows_in_total")).toBe(7.5);
  expect(metrics.sum("thalweg_uptime_seconds")).toBe(5);
});

test("what is told without samples is zero, what is not told is unknown", () => {
  const metrics = parseMetrics(TEXT, 0);
  expect(metrics.sum("thalweg_sink_rows_total")).toBe(0);
  expect(metrics.sum("thalweg_nothing")).toBeUndefined();
});
