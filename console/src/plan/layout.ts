// Where the boxes of a graph go: in layers along the flow, few crossings, each box near what it is connected with. An
// edge over several layers gets a slot in each, so that it passes between the boxes. Pure. It must not know what the
// boxes are.

import type { Graph } from "./graph";
import { type Layers, layersOf } from "./layers";

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

/** How thick the slot of a passing edge is. */
const SLOT = 10;

const SWEEPS = 8;

export function layOut(graph: Graph, options: LayoutOptions): Layout {
  const { box, gap, direction } = options;
  const [along, across] = direction === "right" ? (["width", "height"] as const) : (["height", "width"] as const);
  const layers = layersOf(graph);
  const centres = settle(layers, (id) => (layers.isSlot(id) ? SLOT : box[across]), gap[across]);
  const nodes = new Map<string, Placed>();
  const points = new Map<string, { main: number; cross: number }>();
  for (const [depth, layer] of layers.rows.entries()) {
    const main = depth * (box[along] + gap[along]);
    for (const id of layer) {
      const cross = centres.get(id) ?? 0;
      points.set(id, { main, cross });
      if (layers.isSlot(id)) continue;
      const start = cross - box[across] / 2;
      const [x, y] = direction === "right" ? [main, start] : [start, main];
      nodes.set(id, { id, x, y, ...box });
    }
  }
  const edges = layers.paths.map(({ from, to, through }) => {
    const stops = [from, ...through, to].flatMap((id) => points.get(id) ?? []);
    return { from, to, path: curve(stops, box[along], direction) };
  });
  const end = (of: (placed: Placed) => number) => Math.max(0, ...[...nodes.values()].map(of));
  return { nodes, edges, width: end((n) => n.x + n.width), height: end((n) => n.y + n.height) };
}

/** Centres across the flow: as near to the neighbours as the others of the layer let them. */
function settle(layers: Layers, size: (id: string) => number, gap: number): Map<string, number> {
  const lengthOf = (layer: string[]) => layer.reduce((sum, id) => sum + size(id) + gap, -gap);
  const whole = Math.max(0, ...layers.rows.map(lengthOf));
  const at = new Map<string, number>();
  for (const layer of layers.rows) {
    let start = (whole - lengthOf(layer)) / 2;
    for (const id of layer) {
      at.set(id, start + size(id) / 2);
      start += size(id) + gap;
    }
  }
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const layer of sweep % 2 === 0 ? layers.rows : [...layers.rows].reverse()) {
      let least = 0;
      let room = whole - lengthOf(layer);
      for (const id of layer) {
        const half = size(id) / 2;
        const want = (layers.mean(id, "both", at) ?? at.get(id) ?? 0) - half;
        // Neither into the box before, nor so far that those after it find no place.
        const start = Math.min(Math.max(want, least), least + room);
        room -= start - least;
        at.set(id, start + half);
        least = start + size(id) + gap;
      }
    }
  }
  return at;
}

function curve(stops: { main: number; cross: number }[], length: number, direction: "right" | "down"): string {
  const point = (main: number, cross: number) => (direction === "right" ? `${main} ${cross}` : `${cross} ${main}`);
  const [first, ...others] = stops;
  if (!first) return "";
  let from = { main: first.main + length, cross: first.cross };
  let path = `M${point(from.main, from.cross)}`;
  for (const [i, stop] of others.entries()) {
    const bend = (stop.main - from.main) / 2;
    path += `C${point(from.main + bend, from.cross)} ${point(stop.main - bend, stop.cross)} ${point(stop.main, stop.cross)}`;
    from = stop;
    if (i < others.length - 1) {
      // Straight along the boxes of a layer that it passes.
      from = { main: stop.main + length, cross: stop.cross };
      path += `L${point(from.main, from.cross)}`;
    }
  }
  return path;
}
