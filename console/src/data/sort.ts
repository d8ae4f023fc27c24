// Rows in an order. Pure. It must not know how they are shown.

import type { Json } from "../api/json";
import type { Column } from "../api/sql";
import type { Order } from "../sql/statements";
import { isNumeric } from "./format";

export type { Order };

/** The rows in order; the same array if none is asked for or the column is not there. Nulls come last. */
export function sorted<Row extends { values: Json[] }>(
  rows: Row[],
  columns: Column[],
  order: Order | undefined,
): Row[] {
  const at = order ? columns.findIndex((column) => column.name === order.column) : -1;
  const column = columns[at];
  if (!order || !column) return rows;
  const compare = isNumeric(column.type) ? byNumber : byText;
  const sign = order.descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [a.values[at] ?? null, b.values[at] ?? null];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    return sign * compare(x, y);
  });
}

/** Numbers that are kept as text because of their length compare as what they are. */
function byNumber(a: Json, b: Json): number {
  const [x, y] = [Number(a), Number(b)];
  if (x !== y) return x - y;
  return typeof a === "string" && typeof b === "string" && /^\d+$/.test(a) && /^\d+$/.test(b)
    ? BigInt(a) < BigInt(b)
      ? -1
      : 1
    : 0;
}

function byText(a: Json, b: Json): number {
  const [x, y] = [typeof a === "string" ? a : JSON.stringify(a), typeof b === "string" ? b : JSON.stringify(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}
