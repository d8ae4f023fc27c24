// Which columns of an answer a panel shows, where its options do not name them. Pure. It must not know rows.

import type { Column } from "../api/sql";
import { isNumeric } from "../data/format";
import type { PanelOptions } from "./panel";

export function isTime(type: string): boolean {
  return type.startsWith("timestamp") || type === "date";
}

export function indexOf(columns: readonly Column[], name: string | undefined): number | undefined {
  if (name === undefined) return undefined;
  const at = columns.findIndex((column) => column.name === name);
  const loosely = at < 0 ? columns.findIndex((c) => c.name.toLowerCase() === name.toLowerCase()) : at;
  return loosely < 0 ? undefined : loosely;
}

/** Columns of a chart, as places in the answer. */
export interface ChartColumns {
  /** Along the axis; undefined: when it came. */
  x: number | undefined;
  /** Of numbers, each a line. */
  y: number[];
  /** Tells lines apart. */
  by: number | undefined;
}

/** Columns of a line, an area, bars or a number. Bars have names along the axis where there is nothing better. */
export function chartColumns(
  columns: readonly Column[],
  options: Pick<PanelOptions, "x" | "y" | "by">,
  bars = false,
): ChartColumns {
  const found = (test: (type: string, at: number) => boolean) => {
    const at = columns.findIndex(({ type }, i) => test(type, i));
    return at < 0 ? undefined : at;
  };
  const isText = (type: string) => !isNumeric(type) && !isTime(type);
  const by = indexOf(columns, options.by);
  const x =
    indexOf(columns, options.x) ??
    found((type, at) => isTime(type) && at !== by) ??
    (bars ? found((type, at) => isText(type) && at !== by) : undefined);
  const named = options.y.flatMap((name) => indexOf(columns, name) ?? []);
  const y =
    named.length > 0
      ? named
      : columns.flatMap(({ type }, at) => (isNumeric(type) && at !== x && at !== by ? [at] : []));
  return { x, y, by: by ?? found((type, at) => isText(type) && at !== x && !y.includes(at)) };
}

/** Columns that are named but are not in the answer. */
export function missing(columns: readonly Column[], options: PanelOptions): string[] {
  const { x, y, by, lat, lon, size, color } = options;
  return [x, ...y, by, lat, lon, size, color].filter(
    (name): name is string => name !== undefined && indexOf(columns, name) === undefined,
  );
}
