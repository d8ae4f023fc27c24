// `LiveResult`: the answer of a query as it changes, as rows or as a chart. It must not know the editor.

import { useEffect, useState } from "preact/hooks";
import type { ApiError } from "../../api/errors";
import { count, counted } from "../../data/format";
import { trackable } from "../../data/tracks";
import { useLive } from "../../live/use-live";
import { orderOf } from "../../sql/statements";
import { Grid } from "../../ui/grid";
import { LiveBadge } from "../../ui/live-badge";
import { LiveChart } from "../../ui/live-chart";
import { Failure } from "../../ui/notice";

interface Props {
  query: string;
  /** It cannot be followed. */
  onRefused: (error: ApiError) => void;
}

export function LiveResult({ query, onRefused }: Props) {
  const { table, state, at } = useLive(query);
  // The column of the chart; none: rows are shown.
  const [charted, setCharted] = useState<number>();
  const error = state.kind === "failed" ? state.error : undefined;
  useEffect(() => {
    if (error) onRefused(error);
  }, [error]);
  if (error) return <Failure error={error} what="this" />;
  const { rows, columns, commits, added, removed, dropped } = table;
  const numbers = trackable(table);
  return (
    <section class="result" aria-label="Live result">
      <div class="result-bar">
        <LiveBadge state={state} at={at} />
        <span>{counted(rows.length, "row")}</span>
        <span class="muted">
          {counted(commits, "change")}, +{count(added)} −{count(removed)}
        </span>
        {dropped > 0 && <span class="muted">the newest {count(rows.length)} are shown</span>}
        {numbers.length > 0 && (
          <label class="choice">
            Show
            <select
              value={charted ?? ""}
              onChange={({ currentTarget: { value } }) => setCharted(value === "" ? undefined : Number(value))}
            >
              <option value="">rows</option>
              {numbers.map((i) => (
                <option key={i} value={i}>
                  {columns[i]?.name} over time
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {columns.length > 0 && charted === undefined && (
        <Grid columns={columns} rows={rows} commit={commits} order={orderOf(query)} label="Rows of the live result" />
      )}
      {charted !== undefined && (
        <LiveChart table={table} column={charted} label={`${columns[charted]?.name} over time`} height={260} />
      )}
    </section>
  );
}
