import { expect, test } from "vitest";
import type { Panel } from "../board/panel";
import { createDashboard, dropDashboard, notAnExport, problemOf } from "./dashboards";

const panel = (query: string, raw = {}): Panel => ({ name: "levels", kind: "line", query, raw });
const draft = (...panels: Panel[]) => ({ schema: "public", name: "rivers", title: "The king's rivers", panels });

test("a dashboard is written as one reads it", () => {
  const raw = { x: "at", title: "Water's height" };
  const other: Panel = { name: "Peak", kind: "number", query: "SELECT max(level) FROM levels -- all;", raw: {} };
  expect(createDashboard(draft(panel("SELECT at, level\nFROM readings;", raw), other), true)).toBe(
    `CREATE OR REPLACE DASHBOARD rivers TITLE 'The king''s rivers' AS
  PANEL levels LINE (
    SELECT at, level
    FROM readings
  ) WITH (x = 'at', title = 'Water''s height'),
  PANEL "Peak" NUMBER (
    SELECT max(level) FROM levels -- all;
  );
`,
  );
});

test("writing again what was read changes nothing; quoted texts keep their lines", () => {
  const query = (text: string) => text.slice(text.indexOf("(") + 1, text.lastIndexOf(")"));
  const once = query(createDashboard(draft(panel("SELECT a,\n    b\n  FROM c; -- done")), true));
  expect(once).toBe("\n    SELECT a,\n      b\n    FROM c\n  ");
  expect(query(createDashboard(draft(panel(once)), true))).toBe(once);
  expect(createDashboard(draft(panel("SELECT 'a\nb'\nFROM c")), true)).toContain("SELECT 'a\nb'\nFROM c");
});

test("names in a schema, names with capitals, no title", () => {
  const text = createDashboard({ schema: "Ops", name: "Main board", title: " ", panels: [panel("SELECT 1")] }, false);
  expect(text).toMatch(/^CREATE DASHBOARD "Ops"\."Main board" AS\n/);
  expect(dropDashboard({ schema: "public", name: 'a"b' })).toBe('DROP DASHBOARD "a""b"');
});

test("what cannot be saved is said before it is sent", () => {
  expect(problemOf({ ...draft(panel("SELECT 1")), name: " " })).toMatch(/name/);
  expect(problemOf(draft())).toMatch(/at least one/);
  expect(problemOf(draft(panel("-- nothing")))).toBe("Panel levels: A query is missing.");
  expect(problemOf(draft(panel("SELECT 1; DROP TABLE a")))).toMatch(/more than one/);
  expect(problemOf(draft(panel("DROP TABLE a")))).toMatch(/not a query/);
  expect(problemOf(draft(panel("SELECT ';' AS a; ")))).toBeUndefined();
});

test("only files that make dashboards are run", () => {
  expect(notAnExport("-- mine\nCREATE OR REPLACE DASHBOARD a AS PANEL b LINE (SELECT 1);")).toBeUndefined();
  expect(notAnExport("create dashboard a as panel b line (SELECT 1); create dashboard c …")).toBeUndefined();
  expect(notAnExport("CREATE DASHBOARD a AS PANEL b LINE (SELECT 1); DROP TABLE all_of_it CASCADE")).toMatch(
    /DROP TABLE all_of_it CASCADE/,
  );
  expect(notAnExport(" \n")).toMatch(/no statement/);
});
