// What the server holds: relations, their columns, what depends on what, jobs, expectations. It must not know pages.

import { quoteName, run } from "./sql";

export type Kind = "source" | "table" | "view" | "materialized view" | "sink";

export interface Relation {
  id: number;
  schema: string;
  name: string;
  kind: Kind;
  /** The statement, or for views their query. */
  definition: string;
  comment: string | null;
  columns: CatalogColumn[];
}

export interface CatalogColumn {
  name: string;
  type: string;
  isKey: boolean;
}

/** The state of a job as SHOW JOBS tells it. */
export interface Job {
  name: string;
  state: string;
  error: string | null;
}

export interface Expectation {
  relation: number;
  name: string;
  check: string;
  onViolation: string;
  violations: number;
}

export interface Catalog {
  relations: Relation[];
  /** `on` feeds `id`. */
  depends: { id: number; on: number }[];
  jobs: Job[];
  expectations: Expectation[];
  /** Rows by relation, of those that are kept. */
  rows: Map<number, number>;
}

const QUESTION = `
SELECT id, schema_name, name, relation_type, definition, comment FROM thalweg_catalog.relations
 WHERE relation_type <> 'index' ORDER BY schema_name, name;
SELECT relation_id, name, data_type, is_primary_key FROM thalweg_catalog.columns
 WHERE NOT is_hidden ORDER BY relation_id, position;
SELECT objid, refobjid FROM thalweg_catalog.depend;
SHOW JOBS;
SELECT relation_id, name, "check", on_violation, violations FROM thalweg_catalog.expectations;
SELECT id, total_key_count FROM rw_catalog.rw_table_stats`;

/** Reads it all, as one. */
export async function readCatalog(signal?: AbortSignal): Promise<Catalog> {
  const answers = await run(QUESTION, [], signal);
  const rows = <Row extends unknown[]>(at: number) => (answers[at]?.rows ?? []) as unknown as Row[];
  const columns = new Map<number, CatalogColumn[]>();
  for (const [relation, name, type, isKey] of rows<[number, string, string, boolean]>(1)) {
    const list = columns.get(relation);
    if (list) list.push({ name, type, isKey });
    else columns.set(relation, [{ name, type, isKey }]);
  }
  return {
    relations: rows<[number, string, string, Kind, string, string | null]>(0).map(
      ([id, schema, name, kind, definition, comment]) => ({
        id,
        schema,
        name,
        kind,
        definition,
        comment,
        columns: columns.get(id) ?? [],
      }),
    ),
    depends: rows<[number, number]>(2).map(([id, on]) => ({ id, on })),
    jobs: rows<[string, string, string, string | null]>(3).map(([, name, state, error]) => ({ name, state, error })),
    expectations: rows<[number, string, string, string, number]>(4).map(
      ([relation, name, check, onViolation, violations]) => ({ relation, name, check, onViolation, violations }),
    ),
    rows: new Map(rows<[number, number]>(5)),
  };
}

/** Names of relations that are in one of two catalogs only, or that are not the same in both. */
export function namesChanged(before: Catalog, now: Catalog): string[] {
  const ids = ({ relations }: Catalog) => new Map(relations.map((r) => [`${r.schema}.${r.name}`, r]));
  const [old, fresh] = [ids(before), ids(now)];
  const names = new Set<string>();
  for (const [key, { id, name }] of old) if (fresh.get(key)?.id !== id) names.add(name);
  for (const [key, { name }] of fresh) if (!old.has(key)) names.add(name);
  return [...names];
}

/** A relation's name as it is written in SQL. */
export function nameOf({ schema, name }: { schema: string; name: string }): string {
  return schema === "public" ? quoteName(name) : `${quoteName(schema)}.${quoteName(name)}`;
}

/** The table of rows that were set aside of a relation. */
export function quarantineOf({ schema, name }: { schema: string; name: string }): string {
  return nameOf({ schema, name: `${name}$quarantine` });
}

/** The relation of what could not be read of a source. */
export function deadLettersOf({ schema, name }: { schema: string; name: string }): string {
  return nameOf({ schema, name: `${name}$dead` });
}

/** The statement that makes a relation. */
export async function createStatement(relation: Relation): Promise<string> {
  const answer = await run(`SHOW CREATE ${relation.kind.toUpperCase()} ${nameOf(relation)}`);
  const text = answer[0]?.rows[0]?.[1];
  return typeof text === "string" ? text : relation.definition;
}
