import { expect, test } from "vitest";
import type { Relation } from "../api/catalog";
import { complete } from "./completion";

const relation = (name: string, columns: string[], schema = "public"): Relation => ({
  id: 1,
  schema,
  name,
  kind: "table",
  definition: "",
  comment: null,
  columns: columns.map((column) => ({ name: column, type: "integer", isKey: false })),
});

const RELATIONS = [
  relation("orders", ["id", "amount", "Station"]),
  relation("stations", ["name", "river"]),
  relation("logs", ["line"], "ops"),
];

/** `|` is the cursor. */
function at(text: string, kind?: string): string[] {
  const found = complete(text.replace("|", ""), text.indexOf("|"), RELATIONS);
  return (found?.suggestions ?? []).filter((s) => kind === undefined || s.kind === kind).map((s) => s.label);
}

test("after FROM and JOIN come relations alone", () => {
  expect(at("SELECT * FROM |")).toEqual(["orders", "stations", "logs"]);
  expect(at("SELECT * FROM orders o JOIN st|")).toEqual(["orders", "stations", "logs"]);
});

test("columns of the relations that are named, also before they are", () => {
  expect(at("SELECT a| FROM orders", "column")).toEqual(["id", "amount", "Station"]);
  expect(at("SELECT * FROM orders JOIN stations ON n|", "column")).toEqual([
    "id",
    "amount",
    "Station",
    "name",
    "river",
  ]);
  expect(at("SELECT x FROM TUMBLE(orders, at, INTERVAL '1 s') WHERE a|", "column")).toEqual([
    "id",
    "amount",
    "Station",
  ]);
});

test("after an alias or a name and a dot come its columns", () => {
  expect(at("SELECT s.| FROM orders o JOIN stations AS s ON true")).toEqual(["name", "river"]);
  expect(at("SELECT orders.| FROM orders")).toEqual(["id", "amount", "Station"]);
  expect(at("SELECT * FROM ops.|")).toEqual(["logs"]);
  expect(at("SELECT x.| FROM orders")).toEqual([]);
});

test("names are written as SQL needs them; keywords as the user types", () => {
  const found = complete("SELECT s FROM orders", 8, RELATIONS);
  expect(found?.from).toBe(7);
  expect(found?.suggestions.find((s) => s.label === "Station")?.apply).toBe('"Station"');
  expect(found?.suggestions.find((s) => s.label === "select")).toBeDefined();
  expect(complete("S", 1, RELATIONS)?.suggestions.find((s) => s.label === "SELECT")).toBeDefined();
  expect(complete("SELECT * FROM l", 15, RELATIONS)?.suggestions.find((s) => s.label === "logs")?.apply).toBe(
    "ops.logs",
  );
});
