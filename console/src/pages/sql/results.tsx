// `Results`: what a run has led to. It must not know how it was run.

import { useEffect, useState } from "preact/hooks";
import type { ApiError } from "../../api/errors";
import { type Answer, run } from "../../api/sql";
import { duration } from "../../data/format";
import { parsePlan } from "../../plan/parse";
import { catalog } from "../../state/server";
import { Grid } from "../../ui/grid";
import { Failure, Notice } from "../../ui/notice";
import { Picture } from "../../ui/picture";
import { LiveResult } from "./live-result";
import { failed, type Outcome } from "./outcome";

interface Props {
  outcome: Outcome | undefined;
  /** A query that was to be followed is wrong, at a place in the script. */
  onFailed: (at: number | undefined) => void;
}

export function Results({ outcome, onFailed }: Props) {
  if (!outcome) return <p class="result-hint">Results appear here. With “Live” on, they stay up to date.</p>;
  switch (outcome.kind) {
    case "failed":
      return <Failure error={outcome.error} what="this" />;
    case "done":
      return <Done answers={outcome.answers} milliseconds={outcome.milliseconds} />;
    case "plan":
      return <Plan text={outcome.text} />;
    case "live":
      return <LiveOrOnce query={outcome.query} from={outcome.from} onFailed={onFailed} />;
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

interface LiveProps {
  query: string;
  from: number;
  onFailed: Props["onFailed"];
}

/** Not everything can be followed: system tables, for one. That is asked once, and said. */
function LiveOrOnce({ query, from, onFailed }: LiveProps) {
  const [refused, setRefused] = useState<ApiError>();
  const [once, setOnce] = useState<Outcome>();
  useEffect(() => {
    if (!refused) return;
    const begun = performance.now();
    run(query)
      .then((answers): Outcome => ({ kind: "done", answers, milliseconds: performance.now() - begun }))
      .catch((error: unknown) => failed(error, query, from))
      .then((outcome) => {
        setOnce(outcome);
        if (outcome.kind === "failed") onFailed(outcome.at);
      });
  }, [refused]);
  if (!refused) return <LiveResult query={query} onRefused={setRefused} />;
  if (!once) return null;
  return (
    <>
      {once.kind === "done" && (
        <Notice kind="info" title="This cannot be followed; it was asked once." detail={refused.message} />
      )}
      <Results outcome={once} onFailed={onFailed} />
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
