// The layers of a graph and the order within each. Pure. It must not know sizes.

import type { Graph } from "./graph";

/** An edge and the slots it passes through. */
export interface Path {
  from: string;
  to: string;
  through: string[];
}

const SWEEPS = 6;

interface Near {
  before: string[];
  after: string[];
}

/** Boxes and slots by layer, in order. */
export class Layers {
  constructor(
    readonly rows: string[][],
    readonly paths: Path[],
    private readonly near: ReadonlyMap<string, Near>,
    private readonly slots: ReadonlySet<string>,
  ) {}

  /** Whether something is the slot of an edge rather than a box. */
  isSlot(id: string): boolean {
    return this.slots.has(id);
  }

  /** The mean of a number over the neighbours of `id`; undefined without any. */
  mean(id: string, side: "before" | "after" | "both", of: ReadonlyMap<string, number>): number | undefined {
    const near = this.near.get(id);
    const ids = side === "both" ? [...(near?.before ?? []), ...(near?.after ?? [])] : (near?.[side] ?? []);
    return ids.length === 0 ? undefined : ids.reduce((sum, other) => sum + (of.get(other) ?? 0), 0) / ids.length;
  }
}

export function layersOf(graph: Graph): Layers {
  const depths = depthsOf(graph);
  const rows: string[][] = [];
  const put = (id: string, depth: number) => {
    while (rows.length <= depth) rows.push([]);
    rows[depth]?.push(id);
  };
  const near = new Map<string, Near>();
  for (const { id } of graph.nodes) {
    put(id, depths.get(id) ?? 0);
    near.set(id, { before: [], after: [] });
  }
  const slots = new Set<string>();
  const paths: Path[] = [];
  for (const { from, to } of graph.edges) {
    const [start, end] = [depths.get(from), depths.get(to)];
    if (start === undefined || end === undefined || start >= end) continue;
    const through: string[] = [];
    for (let depth = start + 1; depth < end; depth++) {
      const slot = `${from} to ${to} at ${depth}`;
      through.push(slot);
      slots.add(slot);
      put(slot, depth);
      near.set(slot, { before: [], after: [] });
    }
    paths.push({ from, to, through });
    const stops = [from, ...through, to];
    for (const [i, stop] of stops.entries()) {
      const next = stops[i + 1];
      if (next === undefined) break;
      near.get(stop)?.after.push(next);
      near.get(next)?.before.push(stop);
    }
  }
  const layers = new Layers(rows, paths, near, slots);
  order(layers);
  return layers;
}

/** Each box one layer after the last that feeds it; cycles, which there should be none of, are cut. */
function depthsOf(graph: Graph): Map<string, number> {
  const feeds = new Map<string, string[]>();
  for (const { from, to } of graph.edges) feeds.set(to, [...(feeds.get(to) ?? []), from]);
  const depths = new Map<string, number>();
  const walk = (id: string, path: Set<string>): number => {
    const known = depths.get(id);
    if (known !== undefined) return known;
    if (path.has(id)) return 0;
    path.add(id);
    const depth = Math.max(0, ...(feeds.get(id) ?? []).map((from) => walk(from, path) + 1));
    path.delete(id);
    depths.set(id, depth);
    return depth;
  };
  for (const { id } of graph.nodes) walk(id, new Set());
  return depths;
}

/** Orders each layer by where its neighbours are, forth and back. */
function order(layers: Layers): void {
  const place = new Map<string, number>();
  const note = (row: string[]) => {
    for (const [i, id] of row.entries()) place.set(id, (i + 0.5) / row.length);
  };
  for (const row of layers.rows) note(row);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const side = sweep % 2 === 0 ? "before" : "after";
    for (const row of side === "before" ? layers.rows : [...layers.rows].reverse()) {
      const want = new Map(row.map((id) => [id, layers.mean(id, side, place) ?? place.get(id) ?? 0]));
      row.sort((a, b) => (want.get(a) ?? 0) - (want.get(b) ?? 0));
      note(row);
    }
  }
}
