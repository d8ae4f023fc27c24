// Statements about models. Pure. It must not know how models are shown.

import { quoteText } from "../api/sql";
import type { Named } from "./write";

/** A value that a model takes or gives. */
export interface Port {
  name: string;
  /** PostgreSQL's name of the type. */
  type: string;
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const NUMERIC = /^(real|double|float|int|smallint|bigint|numeric|decimal)/i;

/** How a value that was typed is written for a port; undefined if it is none of its type. */
export function literal({ type }: Port, typed: string): string | undefined {
  const text = typed.trim();
  if (text.toLowerCase() === "null") return `NULL::${type}`;
  if (NUMERIC.test(type)) return NUMBER.test(text) ? `${quoteText(text)}::${type}` : undefined;
  if (/^bool/i.test(type)) return /^(true|false)$/i.test(text) ? text.toLowerCase() : undefined;
  return quoteText(typed);
}

/** Asks a model; an error names the port whose value is not of its type. */
export function predict(
  model: Named,
  ports: readonly Port[],
  typed: readonly string[],
): { sql: string } | { wrong: Port } {
  const values: string[] = [];
  for (const [i, port] of ports.entries()) {
    const value = literal(port, typed[i] ?? "");
    if (value === undefined) return { wrong: port };
    values.push(value);
  }
  const name = model.schema === "public" ? model.name : `${model.schema}.${model.name}`;
  return { sql: `SELECT ml_predict(${[quoteText(name), ...values].join(", ")}) AS prediction` };
}
