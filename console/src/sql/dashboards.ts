// Statements about dashboards. Pure. It must not know how dashboards are shown.

import { nameOf } from "../api/catalog";
import { quoteName, quoteText } from "../api/sql";
import type { Panel } from "../board/panel";
import { statements } from "./statements";
import { bracketed, type Named, notOneQuery, withClause } from "./write";

export interface Draft extends Named {
  title: string;
  panels: readonly Panel[];
}

/** The statement that makes a dashboard; with `replace` in the place of the one of its name. */
export function createDashboard(draft: Draft, replace: boolean): string {
  const title = draft.title.trim() === "" ? "" : ` TITLE ${quoteText(draft.title.trim())}`;
  const panels = draft.panels.map(
    ({ name, kind, query, raw }) =>
      `  PANEL ${quoteName(name)} ${kind.toUpperCase()} ${bracketed(query, "  ")}${withClause(raw)}`,
  );
  return `CREATE ${replace ? "OR REPLACE " : ""}DASHBOARD ${nameOf(draft)}${title} AS\n${panels.join(",\n")};\n`;
}

export function dropDashboard(dashboard: Named): string {
  return `DROP DASHBOARD ${nameOf(dashboard)}`;
}

/** Asks for the statement's text. */
export function showDashboard(dashboard: Named): string {
  return `SHOW CREATE DASHBOARD ${nameOf(dashboard)}`;
}

/** Why a draft cannot be saved; undefined if it can. */
export function problemOf({ name, panels }: Draft): string | undefined {
  if (name.trim() === "") return "The dashboard needs a name.";
  if (panels.length === 0) return "A dashboard has at least one panel.";
  for (const panel of panels) {
    const problem = notOneQuery(panel.query);
    if (problem) return `Panel ${panel.name}: ${problem}`;
  }
  return undefined;
}

const CREATES = /^create\s+(?:or\s+replace\s+)?dashboard\s/i;

/** Why a file is not to be run: it may make dashboards, and do nothing else. Undefined: it is fine. */
export function notAnExport(text: string): string | undefined {
  const all = statements(text);
  if (all.length === 0) return "The file holds no statement.";
  const other = all.find((statement) => !CREATES.test(withoutLeadingComments(statement.text)));
  if (!other) return undefined;
  return `The file should hold CREATE DASHBOARD statements only; it also holds “${firstWords(other.text)}”.`;
}

function withoutLeadingComments(text: string): string {
  return text.replace(/^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?(?:\*\/|$))+/, "");
}

function firstWords(text: string): string {
  return withoutLeadingComments(text).split(/\s+/).slice(0, 4).join(" ");
}
