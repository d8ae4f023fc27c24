import { expect, test } from "vitest";
import type { Graph } from "./graph";
import { layOut } from "./layout";

const OPTIONS = { box: { width: 100, height: 40 }, gap: { width: 50, height: 20 }, direction: "right" as const };

function graph(...edges: string[]): Graph {
  const pairs = edges.map((edge) => edge.split(">") as [string, string]);
  const ids = [...new Set(pairs.flat())];
  const nodes = ids.map((id) => ({ id, title: id, detail: "", notes: [], family: "step" as const }));
  return { nodes, edges: pairs.map(([from, to]) => ({ from, to })) };
}

test("what feeds comes before what is fed, and no boxes overlap", () => {
  const { nodes, edges } = layOut(graph("a>c", "b>c", "c>d", "a>d", "b>e", "e>f", "a>f"), OPTIONS);
  const placed = [...nodes.values()];
  for (const { from, to } of edges) {
    expect((nodes.get(from)?.x ?? 0) + 100).toBeLessThan(nodes.get(to)?.x ?? 0);
  }
  for (const a of placed) {
    for (const b of placed) {
      const apart =
        a === b || a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
      expect(apart, `${a.id} and ${b.id}`).toBe(true);
    }
  }
});

test("a chain is straight", () => {
  const { nodes, height } = layOut(graph("a>b", "b>c"), OPTIONS);
  expect(new Set([...nodes.values()].map((n) => n.y)).size).toBe(1);
  expect(height).toBe(40);
});

test("order within a layer follows what feeds it: no crossing where none is needed", () => {
  const { nodes } = layOut(graph("a>x", "b>y", "c>z", "x>r", "y>r", "z>r"), OPTIONS);
  const y = (id: string) => nodes.get(id)?.y ?? 0;
  const order = (...ids: string[]) => ids.sort((p, q) => y(p) - y(q)).join("");
  expect(order("x", "y", "z")).toBe(order("a", "b", "c").replace("a", "x").replace("b", "y").replace("c", "z"));
});

test("an edge over a layer passes beside its boxes", () => {
  const { nodes, edges } = layOut(graph("a>b", "b>c", "a>c"), OPTIONS);
  const long = edges.find(({ from, to }) => from === "a" && to === "c");
  const passes = /L\S+ (\S+?)C/.exec(long?.path ?? "")?.[1];
  const b = nodes.get("b");
  expect(passes).toBeDefined();
  const cross = Number(passes);
  expect(cross < (b?.y ?? 0) || cross > (b?.y ?? 0) + 40).toBe(true);
});

test("a cycle does not hang it", () => {
  expect(layOut(graph("a>b", "b>a"), OPTIONS).nodes.size).toBe(2);
});
