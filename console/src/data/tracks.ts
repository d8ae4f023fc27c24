// `Tracks`: a live table over time: a line for each of its first rows, of one of its numbers. It must not know how lines
// are drawn.

import { cell, isNumeric } from "./format";
import type { LiveTable } from "./rows";

/** Lines at most; more cannot be told apart. */
export const MOST_TRACKS = 6;

/** Moments that are kept. */
const PAST = 600;

export class Tracks {
  readonly times: number[] = [];
  private readonly lines = new Map<string, (number | null)[]>();

  /** The column that is tracked is `column`. */
  constructor(readonly column: number) {}

  /** What lines are called, in order. */
  get names(): string[] {
    return [...this.lines.keys()];
  }

  /** Notes what the table says now. A row that was not there before has no past, one that is gone no present. */
  note(table: LiveTable, seconds: number): void {
    const seen = new Map<string, number | null>();
    for (const row of table.rows) {
      const name = nameOf(table, row.values);
      if (seen.has(name)) continue;
      if (!this.lines.has(name)) {
        if (this.lines.size >= MOST_TRACKS) continue;
        this.lines.set(
          name,
          this.times.map(() => null),
        );
      }
      const value = row.values[this.column];
      seen.set(name, value === null || value === undefined ? null : Number(value));
    }
    this.times.push(seconds);
    for (const [name, line] of this.lines) line.push(seen.get(name) ?? null);
    if (this.times.length <= PAST) return;
    this.times.shift();
    for (const line of this.lines.values()) line.shift();
  }

  /** As a chart takes it. */
  data(): [number[], ...(number | null)[][]] {
    return [this.times, ...this.lines.values()];
  }
}

/** The numbers of a table: what can be tracked. */
export function trackable(table: LiveTable): number[] {
  return table.columns.flatMap(({ type }, i) => (isNumeric(type) ? [i] : []));
}

/** What tells a row from others: its values that are not numbers. */
function nameOf(table: LiveTable, values: LiveTable["rows"][number]["values"]): string {
  const parts = table.columns.flatMap(({ type }, i) => (isNumeric(type) ? [] : [cell(values[i], type)]));
  return parts.join(" ");
}
