// `LiveResult`: the answer of a query as it changes. It must not know the editor.

import { useEffect } from "preact/hooks";
import type { ApiError } from "../../api/errors";
import { count } from "../../data/format";
import { useLive } from "../../live/use-live";
import { orderOf } from "../../sql/statements";
import { Grid } from "../../ui/grid";
import { LiveBadge } from "../../ui/live-badge";
import { Failure } from "../../ui/notice";

interface Props {
  query: string;
  /** It cannot be followed. */
  onRefused: (error: ApiError) => void;
}

export function LiveResult({ query, onRefused }: Props) {
  const { table, state, at } = useLive(query);
  const error = state.kind === "failed" ? state.error : undefined;
  useEffect(() => {
    if (error) onRefused(error);
  }, [error]);
  if (error) return <Failure error={error} what="this" />;
  const { rows, columns, commits, added, removed, dropped } = table;
  return (
    <section class="result" aria-label="Live result">
      <div class="result-bar">
        <LiveBadge state={state} at={at} />
        <span>
          <b>{count(rows.length)}</b> {rows.length === 1 ? "row" : "rows"}
        </span>
        <span class="muted">
          {count(commits)} {commits === 1 ? "change" : "changes"}, +{count(added)} −{count(removed)}
        </span>
        {dropped > 0 && <span class="muted">the newest {count(rows.length)} are shown</span>}
      </div>
      {columns.length > 0 && (
        <Grid columns={columns} rows={rows} commit={commits} order={orderOf(query)} label="Rows of the live result" />
      )}
    </section>
  );
}
