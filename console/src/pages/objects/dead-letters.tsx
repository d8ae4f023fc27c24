// `DeadLetters`: what came for a source and could not be read, and why. It must not know how rows are read.

import { useState } from "preact/hooks";
import { deadLettersOf, type Relation } from "../../api/catalog";
import { count, textOfBytes } from "../../data/format";
import { useAnswer } from "../../state/answer";
import { Grid } from "../../ui/grid";
import { Icon } from "../../ui/icon";
import { Failure } from "../../ui/notice";

const MOST = 1000;

export function DeadLetters({ relation }: { relation: Relation }) {
  const [version, setVersion] = useState(0);
  const { value, error } = useAnswer(
    `SELECT reason, raw, origin, "offset" FROM ${deadLettersOf(relation)} LIMIT ${MOST}`,
    version,
  );
  if (error) return <Failure error={error} what={`the dead letters of ${relation.name}`} />;
  if (!value) return <p class="muted">Reading…</p>;
  const columns = value.columns.map((column) => (column.type === "bytea" ? { ...column, type: "text" } : column));
  const rows = value.rows.map((row, id) => ({
    id,
    values: row.map((v, i) => (value.columns[i]?.type === "bytea" && typeof v === "string" ? textOfBytes(v) : v)),
  }));
  return (
    <section class="panel grows">
      <div class="page-head">
        <p>
          {rows.length === 0 ? "All that came could be read." : `${count(rows.length)} could not be read.`}{" "}
          <span class="muted">Mend them where they are from, and send them again.</span>
        </p>
        <button type="button" class="button" onClick={() => setVersion(version + 1)}>
          <Icon name="replay" /> Look again
        </button>
      </div>
      {rows.length > 0 && <Grid columns={columns} rows={rows} label={`Dead letters of ${relation.name}`} />}
    </section>
  );
}
