// What running something has led to, and how it is run. It must not know how outcomes are shown.

import { type ApiError, asApiError } from "../../api/errors";
import { type Answer, run } from "../../api/sql";
import { changesCatalog, isQuery, offsetOf, statements, subscribed } from "../../sql/statements";
import { catalog } from "../../state/server";

export type Outcome =
  | { kind: "done"; answers: Answer[]; milliseconds: number }
  /** `query` is followed; if it cannot be, it is asked once. It begins at `from` of the script. */
  | { kind: "live"; query: string; from: number }
  | { kind: "plan"; text: string }
  /** `at` is the place in the script, if it is told. */
  | { kind: "failed"; error: ApiError; at: number | undefined };

/** Runs `script`; its last statement is followed if it is a query and `live`. */
export async function execute(script: string, live: boolean, signal: AbortSignal): Promise<Outcome> {
  const all = statements(script);
  const last = all.at(-1);
  if (!last) return { kind: "done", answers: [], milliseconds: 0 };
  const explained = all.length === 1 && /^explain\s+([\s\S]+)$/i.exec(last.text)?.[1];
  if (explained) return planned("EXPLAIN ", explained, last.to - explained.length, signal);
  const followed = subscribed(last.text) ?? (live && isQuery(last.text) ? last.text : undefined);
  const first = followed === undefined ? all : all.slice(0, -1);
  // As it is written, in one request: one session runs it all, and places of errors are those of the script.
  const sent = script.slice(0, first.at(-1)?.to ?? 0);
  const begun = performance.now();
  try {
    const answers = sent === "" ? [] : await run(sent, [], signal);
    if (first.some((s) => changesCatalog(s.text))) catalog.now();
    if (followed !== undefined) return { kind: "live", query: followed, from: last.to - followed.length };
    return { kind: "done", answers, milliseconds: performance.now() - begun };
  } catch (error) {
    return failed(error, sent, 0);
  }
}

/** The plan of a statement: of the dataflow if it makes one, else of the dataflow that following the query would make. */
export async function explain(script: string, signal: AbortSignal): Promise<Outcome> {
  const last = statements(script).at(-1);
  if (!last) return { kind: "done", answers: [], milliseconds: 0 };
  const bare = last.text.replace(/^explain\s+/i, "");
  const from = last.to - bare.length;
  if (!isQuery(bare)) return planned("EXPLAIN ", bare, from, signal);
  const dataflow = await planned("EXPLAIN CREATE MATERIALIZED VIEW explained AS ", bare, from, signal);
  // Some queries have an answer, but none that could be kept up to date.
  return dataflow.kind === "plan" ? dataflow : planned("EXPLAIN ", bare, from, signal);
}

async function planned(verb: string, statement: string, from: number, signal: AbortSignal): Promise<Outcome> {
  const sent = `${verb}${statement}`;
  try {
    return { kind: "plan", text: await planOf(sent, signal) };
  } catch (error) {
    return failed(error, sent, from - verb.length);
  }
}

/** What was sent begins at `from` of the script. */
export function failed(thrown: unknown, sent: string, from: number): Outcome {
  const error = asApiError(thrown);
  return {
    kind: "failed",
    error,
    at: error.position === undefined ? undefined : from + offsetOf(sent, error.position),
  };
}

/** What an EXPLAIN statement prints. */
export async function planOf(statement: string, signal?: AbortSignal): Promise<string> {
  const [answer] = await run(statement, [], signal);
  return (answer?.rows ?? []).map(([line]) => String(line ?? "")).join("\n");
}
