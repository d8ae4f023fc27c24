// `LiveTable`: the rows of a live answer, kept in place while deltas come. It must not know where they come from, nor
// how they are shown.

import type { Json } from "../api/json";
import type { Column } from "../api/sql";
import type { Commit, Delta } from "../live/protocol";

/** A row that is shown. Rows that are equal are shown as often as they are there. */
export interface LiveRow {
  /** Unlike that of any other row; an updated row keeps it. */
  id: number;
  values: Json[];
  /** Equal for equal values. */
  key: string;
  /** The commit that made it or changed it last, counted from 1; 0: it was there at the start. */
  changed: number;
  /** Columns that the last change touched; undefined: all of them, the row is new. */
  touched?: number[];
}

/** Rows kept at most; beyond, the oldest go. */
export const MOST_ROWS = 20_000;

export class LiveTable {
  columns: Column[] = [];
  rows: LiveRow[] = [];
  /** Commits taken after the snapshot. */
  commits = 0;
  /** Rows that came and rows that went since the snapshot. */
  added = 0;
  removed = 0;
  epoch: number | undefined;
  /** Rows that were let go because there were too many. */
  dropped = 0;
  private nextId = 1;

  constructor(private readonly most = MOST_ROWS) {}

  /** Takes a whole epoch. */
  apply(commit: Commit): void {
    if (commit.columns.length > 0) this.columns = commit.columns;
    if (commit.snapshot) {
      this.rows = [];
      this.dropped = 0;
    } else {
      this.commits += 1;
    }
    const stamp = commit.snapshot ? 0 : this.commits;
    const { gone, come } = net(commit.deltas);
    if (!commit.snapshot) {
      for (const { count } of gone.values()) this.removed += count;
      for (const { count } of come.values()) this.added += count;
    }
    const holes = this.takeAway(gone);
    const left = this.fill(holes, come, stamp);
    if (holes.size > 0) this.rows = this.rows.filter((_, i) => !holes.has(i));
    for (const { key, values } of left) this.rows.push({ id: this.nextId++, key, values, changed: stamp });
    const over = this.rows.length - this.most;
    if (over > 0) {
      this.rows.splice(0, over);
      this.dropped += over;
    }
    this.epoch = commit.epoch;
  }

  /** Places of rows that go, newest first so that of equal rows the last goes. */
  private takeAway(gone: Map<string, Counted>): Map<number, LiveRow> {
    const holes = new Map<number, LiveRow>();
    let wanted = 0;
    for (const { count } of gone.values()) wanted += count;
    for (let i = this.rows.length - 1; i >= 0 && wanted > 0; i--) {
      const row = this.rows[i];
      const counted = row && gone.get(row.key);
      if (!row || !counted || counted.count === 0) continue;
      counted.count -= 1;
      wanted -= 1;
      holes.set(i, row);
    }
    return holes;
  }

  /** Puts rows that come where a row of the same first value goes: an update stays in its place. What is left is new. */
  private fill(holes: Map<number, LiveRow>, come: Map<string, Counted>, stamp: number): Keyed[] {
    const byFirst = new Map<string, number[]>();
    for (const [at, row] of [...holes].sort(([a], [b]) => a - b)) {
      const first = JSON.stringify(row.values[0]);
      const places = byFirst.get(first);
      if (places) places.push(at);
      else byFirst.set(first, [at]);
    }
    const only = holes.size === 1 && come.size === 1 && this.rows.length === 1 ? 0 : undefined;
    const left: Keyed[] = [];
    for (const [key, { values, count }] of come) {
      for (let n = 0; n < count; n++) {
        const at = byFirst.get(JSON.stringify(values[0]))?.shift() ?? only;
        const old = at === undefined ? undefined : holes.get(at);
        if (at === undefined || !old) {
          left.push({ key, values });
          continue;
        }
        holes.delete(at);
        const touched = values.flatMap((value, i) => (same(value, old.values[i]) ? [] : [i]));
        this.rows[at] = { id: old.id, key, values, changed: stamp, touched };
      }
    }
    return left;
  }
}

interface Keyed {
  key: string;
  values: Json[];
}

interface Counted {
  values: Json[];
  count: number;
}

/** Deltas of equal rows summed, cut into what goes and what comes. */
function net(deltas: Delta[]): { gone: Map<string, Counted>; come: Map<string, Counted> } {
  const sums = new Map<string, Counted>();
  for (const { weight, row } of deltas) {
    const key = JSON.stringify(row);
    const counted = sums.get(key);
    if (counted) counted.count += weight;
    else sums.set(key, { values: row, count: weight });
  }
  const gone = new Map<string, Counted>();
  const come = new Map<string, Counted>();
  for (const [key, { values, count }] of sums) {
    if (count < 0) gone.set(key, { values, count: -count });
    else if (count > 0) come.set(key, { values, count });
  }
  return { gone, come };
}

function same(a: Json | undefined, b: Json | undefined): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
