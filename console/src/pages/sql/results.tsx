// `Results`: what a run has led to. It must not know how it was run.

import { useEffect, useState } from "preact/hooks";
import { type ApiError, asApiError } from "../../api/errors";
import { type Answer, run } from "../../api/sql";
import { duration } from "../../data/format";
import { parsePlan } from "../../plan/parse";
import { catalog } from "../../state/server";
import { Grid } from "../../ui/grid";
import { Failure, Notice } from "../../ui/notice";
import { Picture } from "../../ui/picture";
import { LiveResult } from "./live-result";
import type { Outcome } from "./outcome";

interface Props {
  outcome: Outcome | undefined;
  /** The server has refused a query that was to be followed. */
  onRefused: (error: ApiError) => void;
}

export function Results({ outcome, onRefused }: Props) {
  if (!outcome) return <p class="result-hint">Results appear here. With “Live” on, they stay up to date.</p>;
  switch (outcome.kind) {
    case "failed":
      return <Failure error={outcome.error} what="this" />;
    case "done":
      return <Done answers={outcome.answers} milliseconds={outcome.milliseconds} />;
    case "plan":
      return <Plan text={outcome.text} />;
    case "live":
      return <LiveOrOnce query={outcome.query} onRefused={onRefused} />;
  }
}

function Done({ answers, milliseconds }: { answers: Answer[]; milliseconds: number }) {
  return (
    <>
      {answers.map((answer, i) => (
        <section class="result" aria-label="Result">
          <div class="result-bar">
            <span class="tag">{answer.command}</span>
            {i === answers.length - 1 && <span class="muted">{duration(milliseconds / 1000)}</span>}
          </div>
          {answer.notices?.map((notice) => (
            <Notice kind="info" title={notice} />
          ))}
          {answer.columns.length > 0 && (
            <Grid
              columns={answer.columns}
              rows={answer.rows.map((values, id) => ({ id, values }))}
              label="Rows of the result"
            />
          )}
        </section>
      ))}
    </>
  );
}

/** Not everything can be followed: system tables, for one. That is asked once, and said. */
function LiveOrOnce({ query, onRefused }: { query: string; onRefused: (error: ApiError) => void }) {
  const [refused, setRefused] = useState<ApiError>();
  const [once, setOnce] = useState<Outcome>();
  useEffect(() => {
    if (!refused) return;
    const begun = performance.now();
    run(query).then(
      (answers) => setOnce({ kind: "done", answers, milliseconds: performance.now() - begun }),
      (error: unknown) => {
        const failure = asApiError(error);
        setOnce({ kind: "failed", error: failure });
        onRefused(failure);
      },
    );
  }, [refused]);
  if (!refused) return <LiveResult query={query} onRefused={setRefused} />;
  if (once?.kind !== "done") return <Results outcome={once} onRefused={onRefused} />;
  return (
    <>
      <Notice kind="info" title="This cannot be followed; it was asked once." detail={refused.message} />
      <Results outcome={once} onRefused={onRefused} />
    </>
  );
}

function Plan({ text }: { text: string }) {
  const relations = catalog.state.value.value?.relations ?? [];
  const names = new Map(relations.map(({ id, name }) => [`#${id}`, name]));
  return (
    <section class="result" aria-label="Plan">
      <Picture graph={parsePlan(text, names)} direction="down" label="The plan, drawn" />
      <details class="plan-text">
        <summary>As text</summary>
        <pre>{text}</pre>
      </details>
    </section>
  );
}
