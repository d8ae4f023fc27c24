// The catalog's answers about dashboards, as the server will give them.

import type { Fact } from "./catalog";
import { Scan } from "./scan";

interface Panel {
  name: string;
  kind: string;
  query: string;
  options: Record<string, string>;
}

interface Dashboard {
  id: number;
  schema: string;
  name: string;
  title: string | null;
  panels: Panel[];
  text: string;
}

export class FakeDashboards {
  private all: Dashboard[] = [];
  private next = 9000;

  /** The answer, if the statement is about dashboards. */
  answer(sql: string): Fact | undefined {
    if (/^create\s+(or\s+replace\s+)?dashboard\b/i.test(sql)) return this.create(sql);
    if (/^drop\s+dashboard\b/i.test(sql)) {
      const scan = new Scan(sql);
      scan.expect("drop", "dashboard");
      const ifExists = scan.words("if", "exists");
      const found = this.find(scan, !ifExists);
      this.all = this.all.filter((dashboard) => dashboard !== found);
      return { command: "DROP DASHBOARD" };
    }
    if (/^show\s+create\s+dashboard\b/i.test(sql)) {
      const scan = new Scan(sql);
      scan.expect("show", "create", "dashboard");
      const found = this.find(scan, true);
      return { command: "SHOW 1", columns: ["Name", "Create Sql"], rows: [[found?.name ?? "", found?.text ?? ""]] };
    }
    if (/from\s+thalweg_catalog\.dashboards\b/i.test(sql)) {
      const rows = this.all.map(({ id, schema, name, title }) => [id, schema, name, title, "root"]);
      return { columns: ["id", "schema_name", "name", "title", "owner"], rows };
    }
    if (/from\s+thalweg_catalog\.dashboard_panels\b/i.test(sql)) {
      const rows = this.all.flatMap(({ id, panels }) =>
        panels.map(({ name, kind, query, options }) => [id, name, kind, query, options]),
      );
      return { columns: ["dashboard", "name", "kind", "query", "options"], rows };
    }
    return undefined;
  }

  private find(scan: Scan, must: boolean): Dashboard | undefined {
    const wanted = scan.qualified();
    scan.end();
    const found = this.all.find(({ schema, name }) => schema === wanted.schema && name === wanted.name);
    if (!found && must) throw new Error(`dashboard ${wanted.name} does not exist`);
    return found;
  }

  private create(sql: string): Fact {
    const scan = new Scan(sql);
    scan.expect("create");
    const replaces = scan.words("or", "replace");
    scan.expect("dashboard");
    const named = scan.qualified();
    const title = scan.words("title") ? scan.quoted() : null;
    scan.expect("as");
    const panels: Panel[] = [];
    do {
      scan.expect("panel");
      const name = scan.name();
      const kind = scan.name();
      if (!/^(line|area|bar|number|table|heatmap|map)$/.test(kind)) throw new Error(`no such kind of panel: ${kind}`);
      panels.push({ name, kind, query: scan.brackets(), options: scan.words("with") ? scan.options() : {} });
    } while (scan.words(","));
    scan.end();
    const before = this.all.find(({ schema, name }) => schema === named.schema && name === named.name);
    if (before && !replaces) throw new Error(`dashboard ${named.name} already exists`);
    const made = { ...named, id: before?.id ?? this.next++, title, panels, text: sql };
    this.all = [...this.all.filter((dashboard) => dashboard !== before), made];
    return { command: "CREATE DASHBOARD" };
  }
}
