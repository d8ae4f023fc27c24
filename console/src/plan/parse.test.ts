import { expect, test } from "vitest";
import { parsePlan } from "./parse";

const DATAFLOW = `Sink explained ()
  [9] Join inner on (#0 = #0)  {updates; key (#0, #2); hash(#0)}
    [5] Aggregate Final by (#0) [count(*)]  {updates; key (#0); hash(#0)}
      [0] Scan #16384 () [id, a, t]  {append-only; any; #2 >= wm(0)}
    [8] Project a@0 as a  {updates; any}
      [5] (shared, above)`;

test("a dataflow: what is used twice is one box", () => {
  const { nodes, edges } = parsePlan(DATAFLOW, new Map([["#16384", "readings"]]));
  expect(nodes.map((n) => n.title)).toEqual(["Result", "Join", "Aggregate final", "Scan", "Project"]);
  expect(nodes.find((n) => n.id === "0")).toMatchObject({
    detail: "readings [id, a, t]",
    notes: ["append-only", "#2 >= wm(0)"],
    family: "source",
  });
  expect(edges).toContainEqual({ from: "5", to: "9" });
  expect(edges).toContainEqual({ from: "5", to: "8" });
  expect(edges).toHaveLength(5);
});

test("the plan of an answer", () => {
  const { nodes, edges } = parsePlan("FilterExec: a@0 = 1\n  CooperativeExec\n    IndexScan: by=[a], keys=1");
  expect(nodes.map((n) => [n.title, n.detail])).toEqual([
    ["Filter", "a@0 = 1"],
    ["Cooperative", ""],
    ["IndexScan", "by=[a], keys=1"],
  ]);
  expect(edges).toHaveLength(2);
});

test("nothing is an empty graph", () => {
  expect(parsePlan("")).toEqual({ nodes: [], edges: [] });
});
