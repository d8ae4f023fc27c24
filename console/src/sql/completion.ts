// What may come next in a statement: relations, columns of those it names, keywords, functions. Pure. It must not know
// the editor.

import type { Relation } from "../api/catalog";
import { quoteName } from "../api/sql";
import { shortType } from "../data/format";

export interface Suggestion {
  label: string;
  /** What is written, if it is not the label. */
  apply?: string;
  kind: "relation" | "column" | "keyword" | "function";
  detail?: string;
  /** Higher comes first. */
  rank: number;
}

export interface Completion {
  /** Where what is replaced begins. */
  from: number;
  suggestions: Suggestion[];
}

const KEYWORDS =
  "SELECT FROM WHERE GROUP BY ORDER HAVING LIMIT OFFSET JOIN LEFT RIGHT FULL INNER CROSS ON USING AS DISTINCT UNION ALL EXCEPT INTERSECT WITH VALUES CASE WHEN THEN ELSE END AND OR NOT IN IS NULL LIKE ILIKE BETWEEN EXISTS ASC DESC CREATE SOURCE TABLE MATERIALIZED VIEW SINK INDEX SCHEMA DROP ALTER RENAME INSERT INTO UPDATE SET DELETE RETURNING PRIMARY KEY WATERMARK FOR INTERVAL EMIT WINDOW CLOSE SUBSCRIBE TO EXPLAIN SHOW JOBS COLUMNS EXPECT CHECK VIOLATION QUARANTINE FAIL REPLAY GRANT REVOKE USER FLUSH OVER PARTITION COMMENT SECRET CONNECTION CASCADE DASHBOARD PANEL TITLE LINE AREA BAR NUMBER HEATMAP MAP ALERT SEVERITY NOTIFY SILENCE UNSILENCE ACKNOWLEDGE INSTANCE REASON MODEL".split(
    " ",
  );

const FUNCTIONS =
  "count sum avg min max tumble hop session now proctime coalesce nullif greatest least round floor ceil abs lower upper length substring trim concat date_trunc extract to_timestamp row_number rank lag lead string_agg array_agg bool_and bool_or jsonb_typeof jsonb_array_length ml_predict".split(
    " ",
  );

/** Words after which a relation is named. */
const BEFORE_RELATION =
  /\b(from|join|into|update|table|subscribe to|subscribe|source|view|sink|quarantine|tumble\(|hop\(|session\()\s*[\w$"]*$/i;

const NO_ALIAS =
  "where|on|using|group|order|limit|join|left|right|full|inner|cross|union|set|values|emit|as|having|with|select";

// FROM, a relation or a window over one, perhaps its schema, perhaps an alias.
const NAMED = new RegExp(
  String.raw`\b(?:from|join|into|update|to)\s+(?:(?:tumble|hop|session)\s*\(\s*)?("[^"]+"|[\w$]+)(?:\.("[^"]+"|[\w$]+))?` +
    String.raw`(?:[^()]*?\))?(?:\s+(?:as\s+)?(?!(?:${NO_ALIAS})\b)([a-z_]\w*))?`,
  "gi",
);

/** What may come at `offset` of `statement`. */
export function complete(statement: string, offset: number, relations: readonly Relation[]): Completion | undefined {
  const before = statement.slice(0, offset);
  const word = /[\w$]*$/.exec(before)?.[0] ?? "";
  const from = offset - word.length;
  const qualifier = /([\w$]+|"[^"]+")\.$/.exec(before.slice(0, from))?.[1];
  const used = namedIn(statement, relations);
  if (qualifier !== undefined) {
    const name = unquote(qualifier);
    const of = used.find((u) => u.alias === name) ?? used.find((u) => u.relation.name === name);
    if (of) return { from, suggestions: columnsOf(of.relation) };
    const inSchema = relations.filter((r) => r.schema === name);
    return inSchema.length > 0 ? { from, suggestions: inSchema.map((r) => relationOf(r, 2)) } : undefined;
  }
  const wantsRelation = BEFORE_RELATION.test(before);
  const suggestions = relations.map((relation) => relationOf(relation, wantsRelation ? 3 : 0));
  if (wantsRelation) return { from, suggestions };
  const seen = new Set<string>();
  for (const { relation } of used) {
    for (const suggestion of columnsOf(relation)) {
      if (!seen.has(suggestion.label)) suggestions.push(suggestion);
      seen.add(suggestion.label);
    }
  }
  if (word === "")
    return seen.size > 0 ? { from, suggestions: suggestions.filter((s) => s.kind === "column") } : undefined;
  const lower = /[a-z]/.test(word);
  for (const keyword of KEYWORDS)
    suggestions.push({ label: lower ? keyword.toLowerCase() : keyword, kind: "keyword", rank: 1 });
  for (const name of FUNCTIONS) suggestions.push({ label: name, kind: "function", rank: 0 });
  return { from, suggestions };
}

interface Used {
  relation: Relation;
  alias: string | undefined;
}

/** The relations that a statement names, with their aliases. */
function namedIn(statement: string, relations: readonly Relation[]): Used[] {
  const used: Used[] = [];
  for (const [, first = "", second, alias] of statement.matchAll(NAMED)) {
    const [schema, name] = second === undefined ? [undefined, unquote(first)] : [unquote(first), unquote(second)];
    const relation = relations.find((r) => r.name === name && (schema === undefined || r.schema === schema));
    if (relation) used.push({ relation, alias });
  }
  return used;
}

function columnsOf(relation: Relation): Suggestion[] {
  return relation.columns.map(({ name, type }) => ({
    label: name,
    ...applied(name, quoteName(name)),
    kind: "column",
    detail: shortType(type),
    rank: 2,
  }));
}

function relationOf(relation: Relation, rank: number): Suggestion {
  const written =
    relation.schema === "public"
      ? quoteName(relation.name)
      : `${quoteName(relation.schema)}.${quoteName(relation.name)}`;
  return { label: relation.name, ...applied(relation.name, written), kind: "relation", detail: relation.kind, rank };
}

function applied(label: string, written: string): { apply?: string } {
  return label === written ? {} : { apply: written };
}

/** As PostgreSQL reads a name. */
function unquote(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1) : name.toLowerCase();
}
