import { expect, test } from "vitest";
import { type Catalog, namesChanged } from "./catalog";

function catalog(...relations: [id: number, name: string][]): Catalog {
  const empty = { depends: [], jobs: [], expectations: [], rows: new Map() };
  const known = { schema: "public", kind: "view" as const, definition: "", comment: null, columns: [] };
  return { ...empty, relations: relations.map(([id, name]) => ({ ...known, id, name })) };
}

test("relations that went, came, or were made anew", () => {
  const before = catalog([1, "stays"], [2, "goes"], [3, "again"]);
  expect(namesChanged(before, catalog([1, "stays"], [4, "again"], [5, "comes"]))).toEqual(["goes", "again", "comes"]);
  expect(namesChanged(before, catalog([1, "stays"], [2, "goes"], [3, "again"]))).toEqual([]);
});
