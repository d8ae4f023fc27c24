// What the server does not keep yet, answered at the door before it: dashboards, alerts, models. THALWEG_FAKE=no switches
// it off (for a server that keeps them); what is left then is to delete this folder and `fake` in door.ts and world.ts.

import { statements } from "../../src/sql/statements";
import { FakeAlerts } from "./alerts";
import { FakeDashboards } from "./dashboards";
import { FakeModels } from "./models";

/** An answer, short: columns by name. */
export interface Fact {
  command?: string;
  columns?: string[];
  rows?: unknown[][];
}

export class FakeCatalog {
  readonly dashboards = new FakeDashboards();
  readonly alerts = new FakeAlerts();
  readonly models = new FakeModels();

  /** Status and body of the answer to a request; undefined: the server is to answer. */
  answer(request: string): { status: number; body: string } | undefined {
    if (process.env.THALWEG_FAKE === "no") return undefined;
    const { sql } = JSON.parse(request) as { sql: string };
    try {
      const facts = statements(sql).map(({ text }) => this.one(text));
      const known = facts.filter((fact) => fact !== undefined);
      if (known.length === 0) return undefined;
      if (known.length < facts.length) throw new Error("the fake catalog cannot answer a part of a request");
      const answers = known.map(({ command = "SELECT", columns = [], rows = [] }) => ({
        command,
        columns: columns.map((name) => ({ name, type: "character varying" })),
        rows,
        row_count: rows.length,
      }));
      return { status: 200, body: JSON.stringify(answers.length === 1 ? answers[0] : answers) };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return { status: 400, body: JSON.stringify({ error: { code: "42601", message } }) };
    }
  }

  private one(sql: string): Fact | undefined {
    return this.dashboards.answer(sql) ?? this.alerts.answer(sql) ?? this.models.answer(sql);
  }
}
