// The catalog as a graph of what feeds what, and what is said of each box. Pure. It must not know how it is drawn.

import type { Catalog, Relation } from "../../api/catalog";
import type { Figures } from "../../data/figures";
import { bytes, count, duration } from "../../data/format";
import type { Graph, GraphNode } from "../../plan/graph";
import type { Adornment } from "../../ui/picture";

/** Rows a second at which an edge is as wide as it gets. */
const WIDEST = 1_000_000;

/** What colours a kind. */
export const FAMILIES: Record<Relation["kind"], GraphNode["family"]> = {
  source: "source",
  table: "table",
  view: "step",
  "materialized view": "view",
  sink: "sink",
};

/** Whether a relation is one that the server made beside another. */
export function isAside({ name }: { name: string }): boolean {
  return name.endsWith("$quarantine");
}

/** All relations and what feeds them; with `around`, only what leads to that relation and what comes from it. */
export function flowGraph(catalog: Catalog, around?: string): Graph {
  const shown = catalog.relations.filter((relation) => !isAside(relation));
  const ids = new Set(shown.map(({ id }) => String(id)));
  const edges = catalog.depends
    .map(({ id, on }) => ({ from: String(on), to: String(id) }))
    .filter(({ from, to }) => ids.has(from) && ids.has(to) && from !== to);
  const kept = around === undefined ? ids : new Set([...reach(around, edges, "to"), ...reach(around, edges, "from")]);
  const nodes = shown
    .filter(({ id }) => kept.has(String(id)))
    .map(({ id, name, kind }) => ({ id: String(id), title: name, detail: kind, notes: [], family: FAMILIES[kind] }));
  return { nodes, edges: edges.filter(({ from, to }) => kept.has(from) && kept.has(to)) };
}

/** What is reached from `start` against the flow (`from`) or along it (`to`). */
function reach(start: string, edges: Graph["edges"], side: "from" | "to"): Set<string> {
  const found = new Set([start]);
  const waiting = [start];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    for (const edge of edges) {
      const [here, next] = side === "to" ? [edge.from, edge.to] : [edge.to, edge.from];
      if (here !== id || found.has(next)) continue;
      found.add(next);
      waiting.push(next);
    }
  }
  return found;
}

/** Rows a second that a relation takes in: from outside, and from what it reads. */
export function inflow(id: number, catalog: Catalog, now: Figures | undefined): number {
  const nameOf = new Map(catalog.relations.map((relation) => [relation.id, relation.name]));
  const own = now?.jobs.get(nameOf.get(id) ?? "")?.rowsIn ?? 0;
  return catalog.depends
    .filter((depend) => depend.id === id)
    .reduce((sum, { on }) => sum + (now?.jobs.get(nameOf.get(on) ?? "")?.rowsOut ?? 0), own);
}

/** What a box says now. */
export function adornmentOf(node: GraphNode, catalog: Catalog, now: Figures | undefined): Adornment {
  const figures = now?.jobs.get(node.title);
  const sink = now?.sinks.get(node.title);
  const job = catalog.jobs.find(({ name }) => name === node.title);
  if (!figures) return { facts: [node.detail, job?.state ?? "computed when it is read"] };
  const out = sink ? sink.rows : figures.rowsOut;
  const into = inflow(Number(node.id), catalog, now);
  const facts = [
    node.family === "source" || node.family === "table" ? `${count(out)}/s` : `${count(into)}/s → ${count(out)}/s`,
    `state ${bytes(figures.stateBytes)}${figures.queueBytes > 0 ? ` · waits ${bytes(figures.queueBytes)}` : ""}`,
    [
      figures.watermarkLag === undefined ? "" : `lag ${duration(figures.watermarkLag)}`,
      figures.skew === undefined ? "" : `skew ${figures.skew.toFixed(1)}`,
      sink && sink.lagEpochs > 0 ? `${count(sink.lagEpochs)} epochs behind` : "",
    ]
      .filter(Boolean)
      .join(" · ") || node.detail,
  ];
  const flow = out > 0 ? Math.min(1, Math.log10(1 + out) / Math.log10(WIDEST)) : undefined;
  const adornment: Adornment = flow === undefined ? { facts } : { facts, flow };
  if (figures.failed || sink?.failing || job?.error)
    return { ...adornment, mark: "failed", markText: job?.state ?? "failed" };
  if (now?.bottleneck === node.title) return { ...adornment, mark: "bottleneck", markText: "bottleneck" };
  if (job && job.state !== "live") return { ...adornment, mark: "waiting", markText: job.state };
  return adornment;
}
