// Answers as the contract has them, read as the pages take them.

import { expect, test } from "vitest";
import { alertsOf, detailOf } from "./alerts";
import { dashboardsOf } from "./dashboards";
import type { Json } from "./json";
import { modelsOf } from "./models";
import type { Answer } from "./sql";

function answer(columns: string, ...rows: Json[][]): Answer {
  const named = columns.split(" ").map((name) => ({ name, type: "text" }));
  return { columns: named, rows, row_count: rows.length, command: `SELECT ${rows.length}` };
}

test("dashboards have their panels, in order; a kind of a later version is a table", () => {
  const dashboards = answer("id schema_name name title owner", [7, "public", "rivers", null, "ann"]);
  const panels = answer(
    "dashboard name kind query options",
    [7, "levels", "LINE", "SELECT 1", '{"x":"at","width":4}'],
    [7, "pie", "PIE", "SELECT 2", null],
    [8, "else", "MAP", "SELECT 3", {}],
  );
  expect(dashboardsOf([dashboards, panels])).toEqual([
    {
      id: 7,
      schema: "public",
      name: "rivers",
      title: "rivers",
      owner: "ann",
      panels: [
        { name: "levels", kind: "line", query: "SELECT 1", raw: { x: "at", width: "4" } },
        { name: "pie", kind: "table", query: "SELECT 2", raw: {} },
      ],
    },
  ]);
});

test("alerts: numbers that are text, silences that are over, channels that are not known", () => {
  const columns = "id schema_name name owner severity query hold state pending firing since silenced_until notify";
  const notify = '[{"channel":"webhook","options":{"url":"https://a.example","retries":3}},{"channel":"pigeon"}]';
  const since = "2026-01-01T00:00:00+00:00";
  const row = [1, "public", "flood", "ann", "critical", "SELECT 1", null, "firing", "1", "2", since];
  const [one, two] = alertsOf(
    answer(columns, [...row, "2999-01-01T00:00:00+00:00", notify], [...row, "2020-01-01T00:00:00+00:00", []]),
  );
  expect(one).toMatchObject({ severity: "critical", state: "firing", pending: 1, firing: 2, hold: "" });
  expect(one?.silencedUntil).toBe("2999-01-01T00:00:00+00:00");
  expect(one?.notify).toEqual([{ kind: "webhook", options: { url: "https://a.example", retries: "3" } }]);
  expect(two).toMatchObject({ silencedUntil: null, notify: [] });
});

test("instances and history have their rows as objects", () => {
  const instances = answer("instance state since row acknowledged_by acknowledged_at silenced_until", [
    "Kaub",
    "firing",
    null,
    '{"station":"Kaub","level":4.5}',
    "ann",
    "2026-01-01T00:00:00Z",
    null,
  ]);
  const history = answer("instance transition at row notified", ["Kaub", "firing", "2026-01-01", { level: 5 }, "sent"]);
  const detail = detailOf(instances, history);
  expect(detail.instances[0]).toMatchObject({ acknowledgedBy: "ann", row: { station: "Kaub", level: 4.5 } });
  expect(detail.history[0]).toMatchObject({ transition: "firing", row: { level: 5 }, notified: "sent" });
});

test("models tell what they take", () => {
  const columns = "id schema_name name version owner inputs outputs bytes sha256 created";
  const inputs = '[{"name":"level","type":"real"},{"name":"flow"}]';
  const [model] = modelsOf(answer(columns, [1, "public", "risk", 2, null, inputs, [], "12", "ab", null]));
  expect(model).toMatchObject({ schema: "public", version: 2, owner: "", bytes: 12, outputs: [] });
  expect(model?.inputs).toEqual([
    { name: "level", type: "real" },
    { name: "flow", type: "double precision" },
  ]);
});
