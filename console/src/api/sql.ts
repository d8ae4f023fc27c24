// Statements to answers by POST /v1/sql. It must not know what statements mean.

import { sendForJson } from "./http";
import type { Json } from "./json";

export interface Column {
  name: string;
  /** PostgreSQL's name of the type. */
  type: string;
}

/** The answer to one statement. */
export interface Answer {
  columns: Column[];
  rows: Json[][];
  row_count: number;
  /** PostgreSQL's command tag. */
  command: string;
  notices?: string[];
}

/** Runs one or more statements in one session. */
export async function run(sql: string, parameters: Json[] = [], signal?: AbortSignal): Promise<Answer[]> {
  const body = JSON.stringify(parameters.length > 0 ? { sql, parameters } : { sql });
  const init: RequestInit = { method: "POST", headers: { "content-type": "application/json" }, body };
  const answer = await sendForJson("v1/sql", signal ? { ...init, signal } : init);
  return (Array.isArray(answer) ? answer : [answer]) as unknown as Answer[];
}

/** The rows of one query as objects. */
export async function query<Row>(sql: string, signal?: AbortSignal): Promise<Row[]> {
  const answer = (await run(sql, [], signal)).at(-1);
  if (!answer) return [];
  return answer.rows.map((row) => Object.fromEntries(answer.columns.map((c, i) => [c.name, row[i]])) as Row);
}

/** A name as it is written in SQL. */
export function quoteName(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}

/** A text as it is written in SQL. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
