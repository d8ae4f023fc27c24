// Questions about what an older server does not have. It must not know what is asked.

import { asApiError } from "./errors";
import { type Answer, run } from "./sql";

const NO_SUCH_RELATION = "42P01";

/** The answers; null if the server does not know a relation that is asked about. */
export async function runIfKnown(sql: string, signal?: AbortSignal): Promise<Answer[] | null> {
  try {
    return await run(sql, [], signal);
  } catch (error) {
    const failure = asApiError(error);
    if (failure.code === NO_SUCH_RELATION && failure.message.includes("thalweg_catalog.")) return null;
    throw error;
  }
}

/** Rows of an answer as objects. */
export function objects<Row>(answer: Answer | undefined): Row[] {
  return (answer?.rows ?? []).map(
    (row) => Object.fromEntries((answer?.columns ?? []).map(({ name }, i) => [name, row[i] ?? null])) as Row,
  );
}

/** Milliseconds between questions about what changes now and then; rarely where the server does not know it. */
export function nowAndThen(told: unknown): number {
  return told === null ? 60_000 : 5000;
}
