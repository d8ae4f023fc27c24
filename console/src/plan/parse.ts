// The text that EXPLAIN prints, as a graph: of the dataflow of a view (`[4] Aggregate … {…}`), and of a query's answer
// (`FilterExec: …`). It must not know how it is drawn.

import type { Graph, GraphEdge, GraphNode } from "./graph";

// Indentation; `[4] ` for nodes of a dataflow; what; `  {properties}`.
const LINE = /^( *)(?:\[(\d+)\] )?(.*?)(?: {2}\{(.*)\})?$/;

/** Reads a plan. `names` are relations by `#oid`, as scans print them. */
export function parsePlan(text: string, names: ReadonlyMap<string, string> = new Map()): Graph {
  const nodes = new Map<string, GraphNode>();
  const edges: GraphEdge[] = [];
  // The node of each depth above the current line.
  const above: { depth: number; id: string }[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    const [, spaces = "", number, what = "", properties] = LINE.exec(line) ?? [];
    if (what === "") continue;
    const id = number === undefined ? `line ${at}` : number;
    if (!nodes.has(id)) nodes.set(id, describe(id, what, properties, names));
    while ((above.at(-1)?.depth ?? -1) >= spaces.length) above.pop();
    const parent = above.at(-1);
    if (parent) edges.push({ from: id, to: parent.id });
    above.push({ depth: spaces.length, id });
  }
  return { nodes: [...nodes.values()], edges };
}

function describe(
  id: string,
  what: string,
  properties: string | undefined,
  names: ReadonlyMap<string, string>,
): GraphNode {
  const { title, detail } = split(withNames(what, names).replace(/^Sink explained \(\)$/, "Result"));
  const notes = properties === undefined ? [] : properties.split("; ").filter((note) => note !== "any");
  return { id, title, detail, notes, family: familyOf(title) };
}

function withNames(what: string, names: ReadonlyMap<string, string>): string {
  return what.replace(/^Scan (#\d+) \(\)/, (all, oid: string) => {
    const name = names.get(oid);
    return name === undefined ? all : `Scan ${name}`;
  });
}

/** `FilterExec: a = 1` and `Filter a = 1` alike. */
function split(what: string): { title: string; detail: string } {
  const exec = /^(\w+?)(?:Exec)?(?::\s*(.*))?$/.exec(what);
  if (exec && (what.includes(":") || /^\w+Exec$/.test(what))) return { title: exec[1] ?? what, detail: exec[2] ?? "" };
  const match = /^(\w+)\s*(.*)$/.exec(what);
  const [, first = what, rest = ""] = match ?? [];
  const phase = /^(Partial|Final|Single)\s+(.*)$/.exec(rest);
  if (phase) return { title: `${first} ${phase[1]?.toLowerCase()}`, detail: phase[2] ?? "" };
  return { title: first, detail: rest };
}

function familyOf(title: string): GraphNode["family"] {
  if (/^(Scan|Dead|Values|DataSource|IndexScan|Memory)/.test(title)) return "source";
  if (title === "Result") return "view";
  if (title === "Sink") return "sink";
  if (/^(Exchange|Repartition|Coalesce|SortPreserving)/.test(title)) return "move";
  if (/^(Aggregate|Join|HashJoin|TopN|Session|Over|Distinct|Hop|Sort|NestedLoop|Window)/.test(title)) return "state";
  return "step";
}
