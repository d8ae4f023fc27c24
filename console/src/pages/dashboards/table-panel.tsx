// Rows and columns. It must not know the grid around them.

import { useMemo } from "preact/hooks";
import { indexOf } from "../../board/columns";
import { orderOf } from "../../sql/statements";
import { Grid } from "../../ui/grid";
import type { BodyProps } from "./body";

export function TablePanel({ title, query, options, table, epoch }: BodyProps) {
  const { columns, rows, commits } = table;
  const chosen = useMemo(() => options.y.flatMap((name) => indexOf(columns, name) ?? []), [options, columns]);
  const shown = useMemo(() => {
    if (chosen.length === 0) return { columns, rows };
    const pick = <T,>(of: readonly T[]) => chosen.flatMap((at) => of.slice(at, at + 1));
    return {
      columns: pick(columns),
      rows: rows.map(({ touched, ...row }) => ({
        ...row,
        values: pick(row.values),
        ...(touched ? { touched: touched.map((at) => chosen.indexOf(at)) } : {}),
      })),
    };
  }, [chosen, rows, columns, epoch]);
  return <Grid {...shown} commit={commits} order={orderOf(query)} label={`Rows of ${title}`} />;
}
