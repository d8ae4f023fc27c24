// Dashboards as the catalog tells them. It must not know how they are shown.

import { kindOf, type Panel, readOptions } from "../board/panel";
import { createDashboard, showDashboard } from "../sql/dashboards";
import type { Json } from "./json";
import { objects, runIfKnown } from "./optional";
import { type Answer, run } from "./sql";

export interface Dashboard {
  id: number;
  schema: string;
  name: string;
  title: string;
  owner: string;
  panels: Panel[];
}

interface DashboardRow {
  id: number;
  schema_name: string;
  name: string;
  title: string | null;
  owner: string | null;
}

interface PanelRow {
  dashboard: number;
  name: string;
  kind: string;
  query: string;
  options: Json;
}

const QUESTION = `
SELECT id, schema_name, name, title, owner FROM thalweg_catalog.dashboards ORDER BY schema_name, name;
SELECT dashboard, name, kind, query, options FROM thalweg_catalog.dashboard_panels ORDER BY dashboard, position`;

/** All that one may see; null if the server knows none. */
export async function readDashboards(signal?: AbortSignal): Promise<Dashboard[] | null> {
  const answers = await runIfKnown(QUESTION, signal);
  return answers && dashboardsOf(answers);
}

/** Of the answers to the two questions. A panel of a kind that is not known here is shown as a table. */
export function dashboardsOf([dashboards, panels]: Answer[]): Dashboard[] {
  const byDashboard = new Map<number, Panel[]>();
  for (const { dashboard, name, kind, query, options } of objects<PanelRow>(panels)) {
    const panel: Panel = { name, kind: kindOf(kind) ?? "table", query, raw: readOptions(options) };
    byDashboard.set(dashboard, [...(byDashboard.get(dashboard) ?? []), panel]);
  }
  return objects<DashboardRow>(dashboards).map(({ id, schema_name, name, title, owner }) => ({
    id,
    schema: schema_name,
    name,
    title: title || name,
    owner: owner ?? "",
    panels: byDashboard.get(id) ?? [],
  }));
}

/** The statement that makes it, as the server writes it. */
export async function exportDashboard(dashboard: Dashboard): Promise<string> {
  const [answer] = await run(showDashboard(dashboard));
  const text = answer?.rows[0]?.at(-1);
  if (typeof text !== "string") return createDashboard(dashboard, true);
  return /;\s*$/.test(text) ? text : `${text};\n`;
}
