// The Prometheus text of /metrics as numbers. It must not know what they mean.

import { send } from "./http";

/** One sample: its labels and value. */
export interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** All samples of one moment, by name. */
export class Metrics {
  constructor(
    private readonly samples: Map<string, Sample[]>,
    /** Milliseconds since 1970, by this browser. */
    readonly at: number,
  ) {}

  /** Samples of a name; none if the server does not tell it. */
  all(name: string): Sample[] {
    return this.samples.get(name) ?? [];
  }

  /** The sum over all labels; undefined if the server does not tell it. */
  sum(name: string): number | undefined {
    const found = this.samples.get(name);
    return found?.reduce((total, sample) => total + sample.value, 0);
  }

  /** The value with this label. */
  one(name: string, label: string, value: string): number | undefined {
    return this.all(name).find((sample) => sample.labels[label] === value)?.value;
  }
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Reads the text format; lines that are none are passed over. */
export function parseMetrics(text: string, at: number): Metrics {
  const samples = new Map<string, Sample[]>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    if (line.startsWith("#")) {
      // A name without samples is told, and is zero.
      const typed = /^# TYPE (\S+)/.exec(line)?.[1];
      if (typed && !samples.has(typed)) samples.set(typed, []);
      continue;
    }
    const match = LINE.exec(line);
    const [, name, labels, number] = match ?? [];
    if (!name || number === undefined) continue;
    const value = number === "+Inf" ? Number.POSITIVE_INFINITY : Number(number);
    const sample = { labels: labels ? readLabels(labels) : {}, value };
    const list = samples.get(name);
    if (list) list.push(sample);
    else samples.set(name, [sample]);
  }
  return new Metrics(samples, at);
}

function readLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [, name, value] of text.matchAll(LABEL)) {
    if (name && value !== undefined) labels[name] = value.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
  }
  return labels;
}

/** Asks the server. */
export async function fetchMetrics(signal?: AbortSignal): Promise<Metrics> {
  const response = await send("metrics", signal ? { signal } : {});
  return parseMetrics(await response.text(), Date.now());
}
