// Statements about alerts. Pure. It must not know how alerts are shown.

import { nameOf } from "../api/catalog";
import { quoteText } from "../api/sql";
import { spanOf } from "../data/span";
import { bracketed, type Named, notOneQuery, withClause } from "./write";

export const SEVERITIES = ["info", "warning", "critical"] as const;
export type Severity = (typeof SEVERITIES)[number];

export const CHANNELS = ["log", "webhook", "slack", "email"] as const;
export type ChannelKind = (typeof CHANNELS)[number];

/** Where it is told, and what that needs. */
export interface Channel {
  kind: ChannelKind;
  options: Readonly<Record<string, string>>;
}

/** Options of a channel in a form; others are written with SQL. */
export const CHANNEL_FIELDS: Record<ChannelKind, readonly { key: string; hint: string }[]> = {
  log: [],
  webhook: [{ key: "url", hint: "https://…" }],
  slack: [{ key: "url", hint: "https://hooks.slack.com/…" }],
  email: [
    { key: "to", hint: "ann@example.com" },
    { key: "from", hint: "thalweg@example.com" },
    { key: "host", hint: "smtp.example.com:587" },
  ],
};

export interface AlertDraft extends Named {
  query: string;
  /** How long a row must be there before it fires: a span, or nothing. */
  hold: string;
  severity: Severity;
  notify: readonly Channel[];
}

export function createAlert(draft: AlertDraft, replace: boolean): string {
  const hold = draft.hold.trim() === "" ? "" : ` FOR ${quoteText(draft.hold.trim())}`;
  const told = draft.notify.map(({ kind, options }) => `  NOTIFY ${kind}${withClause(given(options))}`);
  const head = `CREATE ${replace ? "OR REPLACE " : ""}ALERT ${nameOf(draft)} ON ${bracketed(draft.query, "")}`;
  return `${head}${hold} SEVERITY ${draft.severity}\n${told.join(",\n")};\n`;
}

function given(options: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value.trim() !== ""));
}

/** Why a draft cannot be created; undefined if it can. */
export function alertProblem({ name, query, hold, notify }: AlertDraft): string | undefined {
  if (name.trim() === "") return "The alert needs a name.";
  const wrong = notOneQuery(query);
  if (wrong) return wrong;
  if (hold.trim() !== "" && spanOf(hold) === undefined) return `“${hold}” is no span of time: write 2 minutes.`;
  if (notify.length === 0) return "It should be told somewhere: the log, at least.";
  for (const { kind, options } of notify) {
    const [first] = CHANNEL_FIELDS[kind];
    if (first && !options[first.key]?.trim()) return `NOTIFY ${kind} needs ${first.key}.`;
  }
  return undefined;
}

const instanceClause = (instance: string | undefined) =>
  instance === undefined ? "" : ` INSTANCE ${quoteText(instance)}`;

const reasonClause = (reason: string) => (reason.trim() === "" ? "" : ` REASON ${quoteText(reason.trim())}`);

/** No instance: all of it. */
export function silenceAlert(alert: Named, instance: string | undefined, span: string, reason: string): string {
  return `SILENCE ALERT ${nameOf(alert)}${instanceClause(instance)} FOR ${quoteText(span)}${reasonClause(reason)}`;
}

export function unsilenceAlert(alert: Named, instance: string | undefined): string {
  return `UNSILENCE ALERT ${nameOf(alert)}${instanceClause(instance)}`;
}

export function acknowledgeAlert(alert: Named, instance: string | undefined, reason: string): string {
  return `ACKNOWLEDGE ALERT ${nameOf(alert)}${instanceClause(instance)}${reasonClause(reason)}`;
}
