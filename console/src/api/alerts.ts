// Alerts as the catalog tells them. It must not know how they are shown.

import { CHANNELS, type Channel, SEVERITIES, type Severity } from "../sql/alerts";
import { isObject, type Json, ofJsonb } from "./json";
import { objects, runIfKnown } from "./optional";
import { type Answer, run } from "./sql";

export type AlertState = "ok" | "pending" | "firing";

export interface Alert {
  id: number;
  schema: string;
  name: string;
  owner: string;
  severity: Severity;
  query: string;
  hold: string;
  state: AlertState;
  pending: number;
  firing: number;
  since: string | null;
  silencedUntil: string | null;
  notify: Channel[];
}

/** One row of an alert's query, by its key. */
export interface Instance {
  instance: string;
  state: string;
  since: string | null;
  row: { [column: string]: Json };
  acknowledgedBy: string | null;
  acknowledgedAt: string | null;
  silencedUntil: string | null;
}

export interface Transition {
  instance: string;
  transition: string;
  at: string;
  row: { [column: string]: Json };
  /** `sent`, `silenced`, `failed` or `none`. */
  notified: string;
}

interface AlertRow {
  id: number;
  schema_name: string;
  name: string;
  owner: string | null;
  severity: string;
  query: string;
  hold: string | null;
  state: string;
  pending: number;
  firing: number;
  since: string | null;
  silenced_until: string | null;
  notify: Json;
}

const ALERTS = `SELECT id, schema_name, name, owner, severity, query, hold, state, pending, firing, since, silenced_until,
 notify FROM thalweg_catalog.alerts ORDER BY schema_name, name`;

/** Transitions that are read at most, newest first. */
const MOST_HISTORY = 200;

/** All that one may see; null if the server knows none. */
export async function readAlerts(signal?: AbortSignal): Promise<Alert[] | null> {
  const answers = await runIfKnown(ALERTS, signal);
  return answers && alertsOf(answers[0]);
}

export function alertsOf(answer: Answer | undefined): Alert[] {
  return objects<AlertRow>(answer).map(({ schema_name, silenced_until, owner, hold, ...row }) => ({
    ...row,
    schema: schema_name,
    owner: owner ?? "",
    hold: hold ?? "",
    severity: SEVERITIES.find((known) => known === row.severity) ?? "warning",
    state: row.state === "firing" || row.state === "pending" ? row.state : "ok",
    pending: Number(row.pending),
    firing: Number(row.firing),
    silencedUntil: stillTo(silenced_until),
    notify: channelsOf(row.notify),
  }));
}

/** What is over is not silenced. */
function stillTo(time: string | null): string | null {
  return time !== null && Date.parse(time) > Date.now() ? time : null;
}

function rowOf(json: Json): { [column: string]: Json } {
  const value = ofJsonb(json);
  return isObject(value) ? value : {};
}

/**
 * `[{"channel": "webhook", "state": "live", "error": null}]`; those that are not known here are left out. What a channel was given
 * (`options`) may hold secrets and is not told: who edits an alert gives it again.
 */
function channelsOf(json: Json): Channel[] {
  const value = ofJsonb(json);
  if (!Array.isArray(value)) return [];
  return value.flatMap((item) => {
    const kind = isObject(item) ? CHANNELS.find((known) => known === item.channel) : undefined;
    if (!kind || !isObject(item)) return [];
    const options = isObject(item.options) ? item.options : {};
    return [{ kind, options: Object.fromEntries(Object.entries(options).map(([key, v]) => [key, String(v)])) }];
  });
}

interface InstanceRow {
  instance: string;
  state: string;
  since: string | null;
  row: Json;
  acknowledged_by: string | null;
  acknowledged_at: string | null;
  silenced_until: string | null;
}

interface HistoryRow extends Omit<Transition, "row"> {
  row: Json;
}

export interface AlertDetail {
  instances: Instance[];
  history: Transition[];
}

/** What one alert sees now, and what has become of it, newest first. */
export async function readAlert(id: number, signal?: AbortSignal): Promise<AlertDetail> {
  const [instances, history] = await run(
    `SELECT instance, state, since, row, acknowledged_by, acknowledged_at, silenced_until
 FROM thalweg_catalog.alert_instances WHERE alert = ${id} ORDER BY state, since DESC;
SELECT instance, transition, at, row, notified
 FROM thalweg_catalog.alert_history WHERE alert = ${id} ORDER BY at DESC LIMIT ${MOST_HISTORY}`,
    [],
    signal,
  );
  return detailOf(instances, history);
}

export function detailOf(instances: Answer | undefined, history: Answer | undefined): AlertDetail {
  return {
    instances: objects<InstanceRow>(instances).map((row) => ({
      instance: row.instance,
      state: row.state,
      since: row.since,
      row: rowOf(row.row),
      acknowledgedBy: row.acknowledged_by,
      acknowledgedAt: row.acknowledged_at,
      silencedUntil: stillTo(row.silenced_until),
    })),
    history: objects<HistoryRow>(history).map((row) => ({ ...row, row: rowOf(row.row) })),
  };
}
