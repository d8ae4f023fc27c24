import { expect, test } from "vitest";
import { parseMetrics } from "../api/metrics";
import { figures } from "./figures";

function reading(at: number, values: Record<string, number>): ReturnType<typeof parseMetrics> {
  const lines = Object.entries(values).map(([name, value]) => `${name} ${value}`);
  return parseMetrics(lines.join("\n"), at);
}

const out = (job: string) => `thalweg_rows_out_total{job="${job}"}`;
const queue = (job: string) => `thalweg_queue_bytes{job="${job}"}`;

test("counters become rates by the second", () => {
  const now = figures(
    reading(0, { [out("a")]: 100, thalweg_epochs_total: 10 }),
    reading(2000, { [out("a")]: 300, thalweg_epochs_total: 30 }),
  );
  expect(now.rowsOut).toBe(100);
  expect(now.jobs.get("a")?.rowsOut).toBe(100);
  expect(now.epochLength).toBe(0.1);
});

test("a server that started anew has no negative rates", () => {
  expect(figures(reading(0, { [out("a")]: 100 }), reading(1000, { [out("a")]: 3 })).rowsOut).toBe(0);
});

test("what the server does not tell is unknown, not zero", () => {
  const now = figures(reading(0, {}), reading(1000, {}));
  expect(now).toMatchObject({
    latency: undefined,
    watermarkLag: undefined,
    epochLength: undefined,
    bottleneck: undefined,
  });
});

test("the bottleneck is the job whose queue grows", () => {
  const before = reading(0, { [out("a")]: 0, [out("b")]: 0, [queue("a")]: 0, [queue("b")]: 500 });
  expect(
    figures(before, reading(1000, { [out("a")]: 0, [out("b")]: 0, [queue("a")]: 10, [queue("b")]: 9000 })).bottleneck,
  ).toBe("b");
  expect(
    figures(before, reading(1000, { [out("a")]: 0, [out("b")]: 0, [queue("a")]: 10, [queue("b")]: 600 })).bottleneck,
  ).toBeUndefined();
});

test("where the server tells how busy jobs are, the busiest is the bottleneck", () => {
  const busy = (job: string) => `thalweg_job_busy_seconds_total{job="${job}"}`;
  const before = reading(0, { [out("a")]: 0, [out("b")]: 0, [busy("a")]: 0, [busy("b")]: 0 });
  expect(
    figures(before, reading(1000, { [out("a")]: 0, [out("b")]: 0, [busy("a")]: 0.9, [busy("b")]: 0.2 })).bottleneck,
  ).toBe("a");
  expect(
    figures(before, reading(1000, { [out("a")]: 0, [out("b")]: 0, [busy("a")]: 0.5, [busy("b")]: 0.2 })).bottleneck,
  ).toBeUndefined();
});
