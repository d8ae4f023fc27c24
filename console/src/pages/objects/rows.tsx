// `Rows`: the rows of a relation, as they change if there are not too many to follow. It must not know other parts.

import { nameOf, type Relation } from "../../api/catalog";
import { count } from "../../data/format";
import { MOST_ROWS } from "../../data/rows";
import { useLive } from "../../live/use-live";
import { useAnswer } from "../../state/answer";
import { Grid } from "../../ui/grid";
import { LiveBadge } from "../../ui/live-badge";
import { Failure } from "../../ui/notice";

/** Rows that are shown of a relation that has too many to follow. */
const FIRST = 500;

export function Rows({ relation, size }: { relation: Relation; size: number | undefined }) {
  if (size !== undefined && size > MOST_ROWS) return <Sample relation={relation} />;
  return (
    <Followed query={`SELECT * FROM ${nameOf(relation)}`} what={relation.name} isStream={relation.kind === "source"} />
  );
}

interface FollowedProps {
  query: string;
  what: string;
  /** Rows pass by and are not kept. */
  isStream?: boolean;
}

/** The rows of a query, live. */
export function Followed({ query, what, isStream = false }: FollowedProps) {
  const { table, state, at } = useLive(query);
  if (state.kind === "failed") return <Failure error={state.error} what={what} />;
  return (
    <>
      <div class="result-bar">
        <LiveBadge state={state} at={at} />
        <span>
          <b>{count(table.rows.length)}</b> rows
        </span>
        {isStream && <span class="muted">that came while this is open</span>}
        {table.dropped > 0 && <span class="muted">only the newest</span>}
      </div>
      {table.columns.length > 0 && (
        <Grid columns={table.columns} rows={table.rows} commit={table.commits} label={`Rows of ${what}`} />
      )}
    </>
  );
}

function Sample({ relation }: { relation: Relation }) {
  const { value, error } = useAnswer(`SELECT * FROM ${nameOf(relation)} LIMIT ${FIRST}`);
  if (error) return <Failure error={error} what={relation.name} />;
  if (!value) return <p class="muted">Reading…</p>;
  return (
    <>
      <p class="muted">It has too many rows to follow here; these are {FIRST} of them, as of now.</p>
      <Grid
        columns={value.columns}
        rows={value.rows.map((values, id) => ({ id, values }))}
        label={`Rows of ${relation.name}`}
      />
    </>
  );
}
