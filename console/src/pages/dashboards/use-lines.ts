// The lines of a panel: of rows that have times, or of rows as they were told over time. It must not know how lines are
// drawn.

import { useMemo, useRef } from "preact/hooks";
import { chartColumns } from "../../board/columns";
import { Past } from "../../board/past";
import { type Lines, lineNames, linesOf, numberOf, secondsOf } from "../../board/series";
import type { LiveTable } from "../../data/rows";
import { type BodyProps, USUAL_WINDOW } from "./body";

interface Found {
  lines: Lines;
  /** Another one for other lines. */
  version: number;
}

/** Lines of the table of now; undefined: there is no column of numbers. */
export function useLines({ kind, options, table, epoch, window }: BodyProps): Found | undefined {
  // They are told anew with each connection; the past goes on.
  const shape = useMemo(() => JSON.stringify(table.columns), [table.columns]);
  const columns = useMemo(() => {
    const found = chartColumns(table.columns, options, kind === "bar");
    // One number has one line, whatever the row is called that it is in.
    return kind === "number" ? { ...found, y: found.y.slice(0, 1), by: undefined } : found;
  }, [shape, options, kind]);
  const kept = window ?? USUAL_WINDOW;
  const past = useMemo(() => new Past(kept), [kept, columns]);
  const noted = useRef<{ past: Past; epoch: number | undefined }>(undefined);
  const version = useRef(0);
  const lines = useMemo(() => {
    version.current += 1;
    const { x } = columns;
    if (x !== undefined) return linesOf(table.columns, table.rows, { ...columns, x }, since(table, x, window));
    if (noted.current?.past !== past || noted.current.epoch !== epoch) {
      noted.current = { past, epoch };
      if (epoch !== undefined) past.note(Date.now() / 1000, told(table, columns));
    }
    return past.told();
  }, [epoch, table, columns, past, window]);
  return columns.y.length === 0 ? undefined : { lines, version: version.current };
}

/** The window ends at the newest row, not now: what is looked at may be long ago. */
function since(table: LiveTable, x: number, window: number | undefined): number {
  if (window === undefined) return Number.NEGATIVE_INFINITY;
  let newest = Number.NEGATIVE_INFINITY;
  for (const { values } of table.rows) newest = Math.max(newest, secondsOf(values[x]) ?? newest);
  return newest - window;
}

function told(table: LiveTable, columns: ReturnType<typeof chartColumns>): Map<string, number | null> {
  const found = new Map<string, number | null>();
  for (const { values } of table.rows) {
    for (const [i, name] of lineNames(table.columns, columns, values).entries()) {
      if (!found.has(name)) found.set(name, numberOf(values[columns.y[i] ?? -1]));
    }
  }
  return found;
}
