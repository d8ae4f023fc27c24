// Where panels are on the grid: in their order, each at the first place after the one before it where it fits, as CSS
// places what flows in rows. Pure. It must not know what panels show.

import { COLUMNS } from "./panel";

export interface Size {
  width: number;
  height: number;
}

/** From 0, in cells. */
export interface Place extends Size {
  column: number;
  row: number;
}

/** Places of panels of these sizes, in order. */
export function place(sizes: readonly Size[], columns = COLUMNS): Place[] {
  const placed: Place[] = [];
  let [row, column] = [0, 0];
  for (const size of sizes) {
    const width = Math.min(size.width, columns);
    for (;;) {
      if (column + width > columns) [row, column] = [row + 1, 0];
      const at = { row, column, width, height: size.height };
      const inTheWay = placed.find((other) => overlap(at, other));
      if (!inTheWay) {
        placed.push(at);
        column += width;
        break;
      }
      column = inTheWay.column + inTheWay.width;
    }
  }
  return placed;
}

function overlap(a: Place, b: Place): boolean {
  return (
    a.column < b.column + b.width &&
    b.column < a.column + a.width &&
    a.row < b.row + b.height &&
    b.row < a.row + a.height
  );
}

/** Rows that are used. */
export function rowsOf(places: readonly Place[]): number {
  return places.reduce((most, { row, height }) => Math.max(most, row + height), 0);
}

/** Where in the order a panel comes that is let go at a cell: before the first that lies there or after it in reading
 * order. `moving` is where it is in the order now. */
export function indexAt(places: readonly Place[], moving: number, column: number, row: number): number {
  const under = places.findIndex(
    (p) => column >= p.column && column < p.column + p.width && row >= p.row && row < p.row + p.height,
  );
  if (under >= 0) return under;
  const after = places.findIndex(
    (p, i) => i !== moving && (p.row > row || (p.row + p.height > row && p.column > column)),
  );
  if (after < 0) return places.length - 1;
  return after > moving ? after - 1 : after;
}

/** The same things with the one at `from` at `to`. */
export function moved<T>(things: readonly T[], from: number, to: number): T[] {
  const rest = things.filter((_, i) => i !== from);
  const [thing] = things.slice(from, from + 1);
  if (thing === undefined) return [...things];
  rest.splice(Math.min(Math.max(to, 0), rest.length), 0, thing);
  return rest;
}
