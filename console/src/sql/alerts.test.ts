import { expect, test } from "vitest";
import { type AlertDraft, acknowledgeAlert, alertProblem, createAlert, silenceAlert, unsilenceAlert } from "./alerts";
import { literal, predict } from "./models";

const DRAFT: AlertDraft = {
  schema: "public",
  name: "flood",
  query: "SELECT station FROM levels\nWHERE level > 4;",
  hold: "2 minutes",
  severity: "critical",
  notify: [
    { kind: "webhook", options: { url: "https://a.example/?q='x'", note: " " } },
    { kind: "log", options: {} },
  ],
};

test("an alert is written as one reads it", () => {
  expect(createAlert(DRAFT, true)).toBe(`CREATE OR REPLACE ALERT flood ON (
  SELECT station FROM levels
  WHERE level > 4
) FOR '2 minutes' SEVERITY critical
  NOTIFY webhook WITH (url = 'https://a.example/?q=''x'''),
  NOTIFY log;
`);
  expect(createAlert({ ...DRAFT, schema: "ops", hold: " " }, false)).toMatch(
    /^CREATE ALERT ops\.flood ON[\s\S]*\) SEVERITY/,
  );
});

test("what is missing is said before it is sent", () => {
  expect(alertProblem(DRAFT)).toBeUndefined();
  expect(alertProblem({ ...DRAFT, name: "" })).toMatch(/name/);
  expect(alertProblem({ ...DRAFT, query: "DROP TABLE a" })).toMatch(/not a query/);
  expect(alertProblem({ ...DRAFT, hold: "a while" })).toMatch(/2 minutes/);
  expect(alertProblem({ ...DRAFT, notify: [] })).toMatch(/log/);
  expect(alertProblem({ ...DRAFT, notify: [{ kind: "slack", options: {} }] })).toBe("NOTIFY slack needs url.");
});

test("silence and acknowledgement of all, or of one", () => {
  expect(silenceAlert(DRAFT, undefined, "1 hour", "")).toBe("SILENCE ALERT flood FOR '1 hour'");
  expect(silenceAlert(DRAFT, "O'Hara", "1 hour", " it's known ")).toBe(
    "SILENCE ALERT flood INSTANCE 'O''Hara' FOR '1 hour' REASON 'it''s known'",
  );
  expect(unsilenceAlert({ schema: "ops", name: "Flood" }, "a")).toBe(`UNSILENCE ALERT ops."Flood" INSTANCE 'a'`);
  expect(acknowledgeAlert(DRAFT, "a", "")).toBe("ACKNOWLEDGE ALERT flood INSTANCE 'a'");
  expect(acknowledgeAlert(DRAFT, undefined, "seen")).toBe("ACKNOWLEDGE ALERT flood REASON 'seen'");
});

test("values are written as their type has it, and nothing else gets through", () => {
  const real = { name: "level", type: "double precision" };
  expect(literal(real, " -1.5e3 ")).toBe("'-1.5e3'::double precision");
  expect(literal(real, "1); DROP TABLE a; --")).toBeUndefined();
  expect(literal(real, "")).toBeUndefined();
  expect(literal(real, "null")).toBe("NULL::double precision");
  expect(literal({ name: "wet", type: "boolean" }, "TRUE")).toBe("true");
  expect(literal({ name: "station", type: "text" }, "O'Hara")).toBe("'O''Hara'");
});

test("a prediction is asked for by name and values", () => {
  const ports = [
    { name: "level", type: "real" },
    { name: "station", type: "text" },
  ];
  expect(predict({ schema: "public", name: "risk" }, ports, ["3", "Kaub"])).toEqual({
    sql: "SELECT ml_predict('risk', '3'::real, 'Kaub') AS prediction",
  });
  expect(predict({ schema: "ops", name: "risk" }, ports, ["3", ""])).toMatchObject({
    sql: expect.stringContaining("'ops.risk'"),
  });
  expect(predict({ schema: "public", name: "risk" }, ports, ["high", ""])).toEqual({ wrong: ports[0] });
});
