// The catalog's answers about models, as the server will give them: one model, which adds what it is given.

import type { Fact } from "./catalog";

const COLUMNS = ["id", "schema_name", "name", "version", "owner", "inputs", "outputs", "bytes", "sha256", "created"];

export class FakeModels {
  answer(sql: string): Fact | undefined {
    if (/from\s+thalweg_catalog\.models\b/i.test(sql)) {
      const inputs = [
        { name: "level", type: "double precision" },
        { name: "flow", type: "double precision" },
      ];
      const outputs = [{ name: "risk", type: "double precision" }];
      const model = [9900, "public", "flood_risk", 3, "root", inputs, outputs, 20_480];
      return { columns: COLUMNS, rows: [[...model, "0f".repeat(32), "2026-01-02T03:04:05+00:00"]] };
    }
    const asked = /^select\s+ml_predict\('flood_risk',\s*([^()]*)\)/i.exec(sql);
    if (!asked) return undefined;
    const sum = (asked[1] ?? "")
      .split(",")
      .reduce((total, part) => total + Number(part.replaceAll(/['\s]|::.*$/g, "")), 0);
    return { columns: ["prediction"], rows: [[sum]] };
  }
}
