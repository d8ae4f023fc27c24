// What running something has led to, and how it is run. It must not know how outcomes are shown.

import { type ApiError, asApiError } from "../../api/errors";
import { type Answer, run } from "../../api/sql";
import { changesCatalog, isQuery, statements, subscribed } from "../../sql/statements";
import { catalog } from "../../state/server";

export type Outcome =
  | { kind: "done"; answers: Answer[]; milliseconds: number }
  /** `query` is followed; if it cannot be, it is asked once. */
  | { kind: "live"; query: string }
  | { kind: "plan"; text: string }
  | { kind: "failed"; error: ApiError };

/** Runs `script`; its last statement is followed if it is a query and `live`. */
export async function execute(script: string, live: boolean, signal: AbortSignal): Promise<Outcome> {
  const all = statements(script);
  const last = all.at(-1);
  if (!last) return { kind: "done", answers: [], milliseconds: 0 };
  const followed = subscribed(last.text) ?? (live && isQuery(last.text) ? last.text : undefined);
  const first = followed === undefined ? all : all.slice(0, -1);
  const begun = performance.now();
  try {
    const [only] = all.length === 1 ? all : [];
    const explained = only && /^explain\s+([\s\S]+)$/i.exec(only.text)?.[1];
    if (explained) return { kind: "plan", text: await planOf(explained, signal) };
    // In one request, as all of them belong to one session.
    const answers = first.length > 0 ? await run(first.map((s) => s.text).join(";\n"), [], signal) : [];
    if (first.some((s) => changesCatalog(s.text))) catalog.now();
    if (followed !== undefined) return { kind: "live", query: followed };
    return { kind: "done", answers, milliseconds: performance.now() - begun };
  } catch (error) {
    return { kind: "failed", error: asApiError(error) };
  }
}

/** The plan of a statement: of the dataflow if it makes one, else of the dataflow that following the query would make. */
export async function explain(statement: string, signal: AbortSignal): Promise<Outcome> {
  const bare = statement.replace(/^\s*explain\s+/i, "");
  const view = isQuery(bare) ? `CREATE MATERIALIZED VIEW explained AS ${bare}` : bare;
  try {
    return { kind: "plan", text: await planOf(view, signal) };
  } catch (error) {
    if (!isQuery(bare)) return { kind: "failed", error: asApiError(error) };
  }
  try {
    return { kind: "plan", text: await planOf(bare, signal) };
  } catch (error) {
    return { kind: "failed", error: asApiError(error) };
  }
}

/** What EXPLAIN prints. */
export async function planOf(statement: string, signal?: AbortSignal): Promise<string> {
  const [answer] = await run(`EXPLAIN ${statement}`, [], signal);
  return (answer?.rows ?? []).map(([line]) => String(line ?? "")).join("\n");
}
