// Rows as lines along an axis of time, numbers or names. Pure. It must not know how lines are drawn.

import type { Json } from "../api/json";
import type { Column } from "../api/sql";
import { cell, isNumeric } from "../data/format";
import { type ChartColumns, isTime } from "./columns";

/** Lines at most; more cannot be told apart. */
export const MOST_LINES = 6;

/** Names along an axis at most. */
export const MOST_NAMES = 60;

export type Axis = "time" | "number" | "names";

export interface Lines {
  axis: Axis;
  /** Along the axis, rising: seconds since 1970, numbers, or places of names. */
  x: number[];
  /** Names along the axis, if it is one of names. */
  names: string[];
  lines: { name: string; values: (number | null)[] }[];
  /** Lines that are not shown because there are too many. */
  more: number;
}

type Row = readonly Json[];

/** A number as it is told; null if it is none. */
export function numberOf(value: Json | undefined): number | null {
  if (value === null || value === undefined || typeof value === "object") return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

/** Seconds since 1970; null if it is no time. */
export function secondsOf(value: Json | undefined): number | null {
  if (typeof value !== "string") return null;
  // Times without a zone are read as they are shown elsewhere: in UTC.
  const written = /[zZ]$|[+-]\d{2}:?\d{2}$/.test(value) || !value.includes(":") ? value : `${value}Z`;
  const at = Date.parse(written.replace(" ", "T"));
  return Number.isFinite(at) ? at / 1000 : null;
}

export function axisOf(columns: readonly Column[], x: number): Axis {
  const type = columns[x]?.type ?? "";
  return isTime(type) ? "time" : isNumeric(type) ? "number" : "names";
}

/** What a row's values are called: what tells it apart, then the column where there are several. */
export function lineNames(columns: readonly Column[], { y, by }: ChartColumns, row: Row): string[] {
  const prefix = by === undefined ? "" : cell(row[by], columns[by]?.type ?? "");
  return y.map((at) => {
    const column = columns[at]?.name ?? "";
    if (by === undefined) return column;
    return y.length > 1 ? `${prefix} ${column}` : prefix;
  });
}

/** Lines of rows that say themselves where they are along the axis. `after` leaves out what was before that second. */
export function linesOf(
  columns: readonly Column[],
  rows: readonly { values: Row }[],
  chart: ChartColumns & { x: number },
  after = Number.NEGATIVE_INFINITY,
): Lines {
  const axis = axisOf(columns, chart.x);
  const places = new Map<string, number>();
  const lines = new Map<string, Map<number, number | null>>();
  const xs = new Set<number>();
  const dropped = new Set<string>();
  for (const { values } of rows) {
    const at = along(axis, values[chart.x], places);
    if (at === null || (axis === "time" && at < after)) continue;
    xs.add(at);
    const names = lineNames(columns, chart, values);
    for (const [i, name] of names.entries()) {
      let line = lines.get(name);
      if (!line) {
        if (lines.size >= MOST_LINES) {
          dropped.add(name);
          continue;
        }
        line = new Map();
        lines.set(name, line);
      }
      line.set(at, numberOf(values[chart.y[i] ?? -1]));
    }
  }
  const x = [...xs].sort((a, b) => a - b);
  return {
    axis,
    x,
    names: [...places.keys()],
    lines: [...lines].map(([name, line]) => ({ name, values: x.map((at) => line.get(at) ?? null) })),
    more: dropped.size,
  };
}

function along(axis: Axis, value: Json | undefined, places: Map<string, number>): number | null {
  if (axis === "time") return secondsOf(value);
  if (axis === "number") return numberOf(value);
  const name = cell(value, "");
  const known = places.get(name);
  if (known !== undefined) return known;
  if (places.size >= MOST_NAMES) return null;
  places.set(name, places.size);
  return places.size - 1;
}

/** Lines one above the other, the whole first: each is the sum of itself and those below it. */
export function stacked({ lines, ...rest }: Lines): Lines {
  const sums = rest.x.map(() => 0);
  const summed = lines.map(({ name, values }) => ({
    name,
    values: values.map((value, i) => {
      const sum = (sums[i] ?? 0) + (value ?? 0);
      sums[i] = sum;
      return sum;
    }),
  }));
  return { ...rest, lines: summed.reverse() };
}
