// Models as the catalog tells them. It must not know how they are shown.

import type { Port } from "../sql/models";
import { isObject, type Json, ofJsonb } from "./json";
import { objects, runIfKnown } from "./optional";
import type { Answer } from "./sql";

export interface Model {
  id: number;
  schema: string;
  name: string;
  version: number;
  owner: string;
  inputs: Port[];
  outputs: Port[];
  bytes: number;
  sha256: string;
  created: string | null;
}

interface ModelRow {
  id: number;
  schema_name: string;
  name: string;
  version: number;
  owner: string | null;
  inputs: Json;
  outputs: Json;
  bytes: number;
  sha256: string;
  created: string | null;
}

const QUESTION = `SELECT id, schema_name, name, version, owner, inputs, outputs, bytes, sha256, created
 FROM thalweg_catalog.models ORDER BY schema_name, name, version DESC`;

/** All that one may see; null if the server knows none. */
export async function readModels(signal?: AbortSignal): Promise<Model[] | null> {
  const answers = await runIfKnown(QUESTION, signal);
  return answers && modelsOf(answers[0]);
}

export function modelsOf(answer: Answer | undefined): Model[] {
  return objects<ModelRow>(answer).map(({ schema_name, owner, ...row }) => ({
    ...row,
    schema: schema_name,
    owner: owner ?? "",
    bytes: Number(row.bytes),
    inputs: portsOf(row.inputs),
    outputs: portsOf(row.outputs),
  }));
}

/** `[{"name": "level", "type": "double precision"}]`, one for each value that ml_predict takes or gives. */
function portsOf(json: Json): Port[] {
  const value = ofJsonb(json);
  if (!Array.isArray(value)) return [];
  return value.flatMap((port) =>
    isObject(port) ? [{ name: String(port.name ?? ""), type: String(port.type ?? "double precision") }] : [],
  );
}
