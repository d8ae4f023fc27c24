// The parts that written statements have in common. Pure. It must not know what statements are for.

import { quoteName, quoteText } from "../api/sql";
import { isQuery, statements } from "./statements";

/** A named thing in a schema. */
export interface Named {
  schema: string;
  name: string;
}

/** `WITH (key = 'value', …)`, or nothing. */
export function withClause(options: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(options).map(([key, value]) => `${quoteName(key)} = ${quoteText(value)}`);
  return pairs.length === 0 ? "" : ` WITH (${pairs.join(", ")})`;
}

/** A query in brackets. The closing one has a line of its own: the query may end in a comment. */
export function bracketed(query: string, indent: string): string {
  const text = statements(query)[0]?.text ?? query.trim();
  return `(\n${indent}  ${indented(text, `${indent}  `)}\n${indent})`;
}

/** A quoted text over several lines: lines of it are not to be moved. */
const LONG_QUOTE = /'[^']*\n[^']*'|"[^"]*\n[^"]*"|\$([A-Za-z_]*)\$[^$]*\n[\s\S]*?\$\1\$/;

/** Lines after the first set in as far as is asked, whatever they were before. */
function indented(text: string, indent: string): string {
  if (LONG_QUOTE.test(text)) return text;
  const [first = "", ...rest] = text.split("\n");
  const depths = rest.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length);
  const least = Math.min(...depths);
  return [first, ...rest.map((line) => (line.trim() === "" ? "" : indent + line.slice(least)))].join("\n");
}

/** Why a text is not one query; undefined if it is. */
export function notOneQuery(text: string): string | undefined {
  const all = statements(text);
  if (all.length === 0) return "A query is missing.";
  if (all.length > 1) return "There is more than one statement.";
  return isQuery(all[0]?.text ?? "") ? undefined : "It is not a query: it should begin with SELECT.";
}
