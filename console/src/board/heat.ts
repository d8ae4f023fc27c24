// Rows as a table of cells that are the warmer the higher their value. Pure. It must not know how cells are drawn.

import type { Json } from "../api/json";
import type { Column } from "../api/sql";
import { cell, isNumeric } from "../data/format";
import { indexOf, isTime } from "./columns";
import type { PanelOptions } from "./panel";
import { numberOf, secondsOf } from "./series";

/** Along each side at most; of times the newest, of names the first. */
export const MOST_CELLS = 120;

export interface Heat {
  across: string[];
  /** From the top. */
  down: string[];
  /** By row, then column; null: there is none. */
  values: (number | null)[][];
  least: number;
  most: number;
}

export interface HeatColumns {
  x: number;
  y: number;
  value: number;
}

/** Columns of a heat map: `x`, `y`, and `color` for the value. Undefined: there are too few. */
export function heatColumns(columns: readonly Column[], options: PanelOptions): HeatColumns | undefined {
  const value =
    indexOf(columns, options.color) ?? columns.findLastIndex(({ type }, at) => isNumeric(type) && !named(at));
  const free = (at: number) => at !== value && !named(at);
  function named(at: number): boolean {
    return at === indexOf(columns, options.x) || at === indexOf(columns, options.y[0]);
  }
  const time = columns.findIndex(({ type }, at) => isTime(type) && free(at));
  const x = indexOf(columns, options.x) ?? (time >= 0 ? time : columns.findIndex((_, at) => free(at)));
  const y = indexOf(columns, options.y[0]) ?? columns.findIndex((_, at) => free(at) && at !== x);
  return value < 0 || x < 0 || y < 0 ? undefined : { x, y, value };
}

/** Cells of rows. `after` leaves out what was before that second, if the columns are times. */
export function heatOf(
  columns: readonly Column[],
  rows: readonly { values: readonly Json[] }[],
  { x, y, value }: HeatColumns,
  after = Number.NEGATIVE_INFINITY,
): Heat {
  const recent = isTime(columns[x]?.type ?? "")
    ? rows.filter(({ values }) => (secondsOf(values[x]) ?? after) >= after)
    : rows;
  const across = marks(
    recent.map(({ values }) => values[x]),
    columns[x]?.type ?? "",
  );
  const down = marks(
    recent.map(({ values }) => values[y]),
    columns[y]?.type ?? "",
  );
  const cells = down.labels.map(() => across.labels.map((): number | null => null));
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const { values } of recent) {
    const line = cells[down.places.get(cell(values[y], "")) ?? -1];
    const at = across.places.get(cell(values[x], ""));
    const number = numberOf(values[value]);
    if (!line || at === undefined || number === null) continue;
    line[at] = number;
    [least, most] = [Math.min(least, number), Math.max(most, number)];
  }
  if (least > most) [least, most] = [0, 0];
  // Numbers rise upwards, names are read downwards.
  const upwards = isNumeric(columns[y]?.type ?? "");
  return {
    across: across.labels,
    down: upwards ? down.labels.toReversed() : down.labels,
    values: upwards ? cells.toReversed() : cells,
    least,
    most,
  };
}

interface Marks {
  labels: string[];
  /** Where a value, written plainly, is. */
  places: Map<string, number>;
}

function marks(values: readonly (Json | undefined)[], type: string): Marks {
  const rank = isTime(type) ? secondsOf : isNumeric(type) ? numberOf : () => null;
  const found = new Map(values.map((value) => [cell(value, ""), { label: cell(value, type), rank: rank(value) }]));
  const all = [...found].sort(([, a], [, b]) => (a.rank ?? 0) - (b.rank ?? 0));
  const kept = isTime(type) ? all.slice(-MOST_CELLS) : all.slice(0, MOST_CELLS);
  return {
    labels: kept.map(([, { label }]) => label),
    places: new Map(kept.map(([plain], at) => [plain, at])),
  };
}

/** How warm a value is, from 0 to 1, between ends that the options may say. */
export function warmth(value: number, { least, most }: Heat, { min, max }: Pick<PanelOptions, "min" | "max">): number {
  const [low, high] = [min ?? least, max ?? most];
  if (high <= low) return 1;
  return Math.min(Math.max((value - low) / (high - low), 0), 1);
}
