// What all pages look at: the catalog and the figures of the server, asked for once for all of them. It must not know
// pages.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { readCatalog } from "../api/catalog";
import { fetchMetrics, type Metrics } from "../api/metrics";
import { type Figures, figures } from "../data/figures";
import { History } from "../data/history";
import { Poll } from "./poll";

/** Seconds of the past that are kept. */
const PAST = 300;

/** Columns of the history, in order. */
export const SERIES = [
  "rowsIn",
  "rowsOut",
  "epochLength",
  "stateBytes",
  "hubBytes",
  "queueBytes",
  "latency",
  "watermarkLag",
] as const;
export type Series = (typeof SERIES)[number];

const history = new History(SERIES.length, PAST);

/** Changes with each reading. */
export const pulse = signal(0);

/** A series over time, as a chart takes it. */
export function seriesOf(...names: Series[]): [number[], ...(number | null)[][]] {
  const [times, ...columns] = history.data();
  return [times, ...names.map((name) => columns[SERIES.indexOf(name)] ?? [])];
}

/** Rows put out a second by job, over time. */
const jobs = new Map<string, History>();

/** Changes out of a job, as a chart takes it. */
export function jobSeries(name: string): [number[], ...(number | null)[][]] {
  return jobs.get(name)?.data() ?? [[], []];
}

let before: Metrics | undefined;

async function read(signal: AbortSignal): Promise<Figures | undefined> {
  const now = await fetchMetrics(signal);
  const found = before && figures(before, now);
  before = now;
  if (!found) return undefined;
  const seconds = found.at / 1000;
  history.push(
    seconds,
    SERIES.map((name) => found[name]),
  );
  for (const [name, job] of found.jobs) {
    let past = jobs.get(name);
    if (!past) {
      past = new History(1, PAST);
      jobs.set(name, past);
    }
    past.push(seconds, [job.rowsOut]);
  }
  for (const name of jobs.keys()) if (!found.jobs.has(name)) jobs.delete(name);
  pulse.value += 1;
  return found;
}

export const metrics = new Poll(read, 1000);
export const catalog = new Poll(readCatalog, 5000);

/** The server's figures, while a component is there. */
export function useFigures(): Figures | undefined {
  useEffect(() => metrics.use(), []);
  return metrics.state.value.value;
}

/** The catalog, while a component is there. */
export function useCatalog() {
  useEffect(() => catalog.use(), []);
  return catalog.state.value;
}
