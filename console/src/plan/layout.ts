// Where the boxes of a graph go: in layers along the flow, few crossings, each box near what it is connected with. Pure.
// It must not know what the boxes are.

import type { Graph } from "./graph";

export interface Size {
  width: number;
  height: number;
}

export interface Placed extends Size {
  id: string;
  x: number;
  y: number;
}

export interface PlacedEdge {
  from: string;
  to: string;
  /** An SVG path. */
  path: string;
}

export interface Layout extends Size {
  nodes: Map<string, Placed>;
  edges: PlacedEdge[];
}

export interface LayoutOptions {
  box: Size;
  /** Between layers, and between boxes of one. */
  gap: Size;
  /** Where the flow goes. */
  direction: "right" | "down";
}

const SWEEPS = 6;

export function layOut(graph: Graph, options: LayoutOptions): Layout {
  const layers = order(graph, layersOf(graph));
  const across = options.direction === "right" ? "height" : "width";
  const along = options.direction === "right" ? "width" : "height";
  const widest = Math.max(1, ...layers.map((layer) => layer.length));
  const span = widest * options.box[across] + (widest - 1) * options.gap[across];
  const at = settle(graph, layers, options.box[across] + options.gap[across], span - options.box[across]);
  const nodes = new Map<string, Placed>();
  for (const [depth, layer] of layers.entries()) {
    for (const id of layer) {
      const main = depth * (options.box[along] + options.gap[along]);
      const cross = at.get(id) ?? 0;
      const [x, y] = options.direction === "right" ? [main, cross] : [cross, main];
      nodes.set(id, { id, x, y, ...options.box });
    }
  }
  const edges = graph.edges.flatMap(({ from, to }) => {
    const [a, b] = [nodes.get(from), nodes.get(to)];
    return a && b ? [{ from, to, path: curve(a, b, options.direction) }] : [];
  });
  const end = (of: (placed: Placed) => number) => Math.max(0, ...[...nodes.values()].map(of));
  return { nodes, edges, width: end((n) => n.x + n.width), height: end((n) => n.y + n.height) };
}

/** Each box one layer after the last that feeds it; cycles, which there should be none of, are cut. */
function layersOf(graph: Graph): string[][] {
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
  const layers: string[][] = [];
  for (const { id } of graph.nodes) {
    const depth = walk(id, new Set());
    while (layers.length <= depth) layers.push([]);
    layers[depth]?.push(id);
  }
  return layers;
}

function neighbours(graph: Graph): Map<string, { before: string[]; after: string[] }> {
  const all = new Map(graph.nodes.map(({ id }) => [id, { before: [] as string[], after: [] as string[] }]));
  for (const { from, to } of graph.edges) {
    all.get(from)?.after.push(to);
    all.get(to)?.before.push(from);
  }
  return all;
}

/** Orders each layer by where its neighbours are, forth and back. */
function order(graph: Graph, layers: string[][]): string[][] {
  const near = neighbours(graph);
  const place = new Map<string, number>();
  const note = (layer: string[]) => {
    for (const [i, id] of layer.entries()) place.set(id, (i + 0.5) / layer.length);
  };
  for (const layer of layers) note(layer);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const side = sweep % 2 === 0 ? "before" : "after";
    for (const layer of side === "before" ? layers : [...layers].reverse()) {
      const want = new Map(layer.map((id) => [id, mean(near.get(id)?.[side] ?? [], place) ?? place.get(id) ?? 0]));
      layer.sort((a, b) => (want.get(a) ?? 0) - (want.get(b) ?? 0));
      note(layer);
    }
  }
  return layers;
}

/** Positions across the flow: as near to the neighbours as the others of the layer let them. */
function settle(graph: Graph, layers: string[][], step: number, last: number): Map<string, number> {
  const near = neighbours(graph);
  const at = new Map<string, number>();
  for (const layer of layers) {
    const start = (last - (layer.length - 1) * step) / 2;
    for (const [i, id] of layer.entries()) at.set(id, start + i * step);
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const layer of sweep % 2 === 0 ? layers : [...layers].reverse()) {
      const want = layer.map((id) => {
        const { before = [], after = [] } = near.get(id) ?? {};
        return mean([...before, ...after], at) ?? at.get(id) ?? 0;
      });
      // From the left no box may come before its place, from the right none after its.
      let least = 0;
      const placed = want.map((w, i) => {
        const room = last - (layer.length - 1 - i) * step;
        const here = Math.min(Math.max(w, least), room);
        least = here + step;
        return here;
      });
      for (const [i, id] of layer.entries()) at.set(id, placed[i] ?? 0);
    }
  }
  return at;
}

function mean(ids: string[], of: Map<string, number>): number | undefined {
  if (ids.length === 0) return undefined;
  return ids.reduce((sum, id) => sum + (of.get(id) ?? 0), 0) / ids.length;
}

function curve(a: Placed, b: Placed, direction: "right" | "down"): string {
  if (direction === "right") {
    const [x1, y1, x2, y2] = [a.x + a.width, a.y + a.height / 2, b.x, b.y + b.height / 2];
    const bend = Math.max(24, (x2 - x1) / 2);
    return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  }
  const [x1, y1, x2, y2] = [a.x + a.width / 2, a.y + a.height, b.x + b.width / 2, b.y];
  const bend = Math.max(20, (y2 - y1) / 2);
  return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}
