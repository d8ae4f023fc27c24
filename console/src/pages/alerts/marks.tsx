// How states and severities look. It must not know alerts.

import type { Severity } from "../../sql/alerts";

const TONES: Record<string, string> = { ok: "good", pending: "warn", firing: "bad", resolved: "good" };

/** A state, or the way into one. */
export function StateMark({ state }: { state: string }) {
  return <span class={`state-mark ${TONES[state] ?? ""}`}>{state}</span>;
}

const SEVERITY_TONES: Record<Severity, string> = { info: "", warning: "warn", critical: "bad" };

export function SeverityMark({ severity }: { severity: Severity }) {
  return <span class={`tag ${SEVERITY_TONES[severity]}`}>{severity}</span>;
}
