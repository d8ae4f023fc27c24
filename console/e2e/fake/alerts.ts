// The catalog's answers about alerts, as the server will give them. Nothing fires by itself: tests say what fires.

import type { Fact } from "./catalog";
import { Scan } from "./scan";

interface Instance {
  instance: string;
  state: string;
  since: string;
  row: Record<string, unknown>;
  acknowledgedBy: string | null;
  acknowledgedAt: string | null;
  silencedUntil: string | null;
}

interface Alert {
  id: number;
  schema: string;
  name: string;
  severity: string;
  query: string;
  hold: string | null;
  notify: { kind: string; options: Record<string, string> }[];
  silencedUntil: string | null;
  since: string;
  instances: Instance[];
  history: { instance: string; transition: string; at: string; row: unknown; notified: string }[];
}

const ALERT = [
  "id",
  "schema_name",
  "name",
  "owner",
  "severity",
  "query",
  "hold",
  "state",
  "pending",
  "firing",
  "since",
];
const ALERT_COLUMNS = [...ALERT, "silenced_until", "notify"];
const INSTANCE_COLUMNS = ["instance", "state", "since", "row", "acknowledged_by", "acknowledged_at", "silenced_until"];
const HISTORY_COLUMNS = ["instance", "transition", "at", "row", "notified"];

const now = () => new Date().toISOString();

export class FakeAlerts {
  private all: Alert[] = [];
  private next = 9500;

  /** Has one instance of an alert fire. */
  fire(name: string, instance: string, row: Record<string, unknown>): void {
    const alert = this.all.find((a) => a.name === name);
    if (!alert) throw new Error(`no alert ${name}`);
    alert.since = now();
    for (const transition of ["pending", "firing"]) {
      const notified = transition === "pending" ? "none" : alert.silencedUntil ? "silenced" : "sent";
      alert.history.unshift({ instance, transition, at: now(), row, notified });
    }
    const none = { acknowledgedBy: null, acknowledgedAt: null, silencedUntil: null };
    alert.instances.push({ instance, state: "firing", since: now(), row, ...none });
  }

  answer(sql: string): Fact | undefined {
    if (/^create\s+(or\s+replace\s+)?alert\b/i.test(sql)) return this.create(sql);
    if (/^(silence|unsilence|acknowledge|drop)\s+alert\b/i.test(sql)) return this.act(sql);
    if (/from\s+thalweg_catalog\.alerts\b/i.test(sql)) return { columns: ALERT_COLUMNS, rows: this.all.map(rowOf) };
    const of = /from\s+thalweg_catalog\.alert_(instances|history)\s+where\s+alert\s*=\s*(\d+)/i.exec(sql);
    const alert = of && this.all.find(({ id }) => id === Number(of[2]));
    if (!of) return undefined;
    if (of[1]?.toLowerCase() === "history") {
      const rows = (alert?.history ?? []).map((h) => [h.instance, h.transition, h.at, h.row, h.notified]);
      return { columns: HISTORY_COLUMNS, rows };
    }
    const rows = (alert?.instances ?? []).map((i) => [
      ...[i.instance, i.state, i.since, i.row],
      ...[i.acknowledgedBy, i.acknowledgedAt, i.silencedUntil],
    ]);
    return { columns: INSTANCE_COLUMNS, rows };
  }

  private create(sql: string): Fact {
    const scan = new Scan(sql);
    scan.expect("create");
    const replaces = scan.words("or", "replace");
    scan.expect("alert");
    const named = scan.qualified();
    scan.expect("on");
    const query = scan.brackets();
    const hold = scan.words("for") ? scan.quoted() : null;
    const severity = scan.words("severity") ? scan.name() : "warning";
    const notify: Alert["notify"] = [];
    do {
      scan.expect("notify");
      notify.push({ kind: scan.name(), options: scan.words("with") ? scan.options() : {} });
    } while (scan.words(","));
    scan.end();
    const before = this.all.find(({ schema, name }) => schema === named.schema && name === named.name);
    if (before && !replaces) throw new Error(`alert ${named.name} already exists`);
    const id = before?.id ?? this.next++;
    const made = { ...named, id, query, hold, severity, notify, silencedUntil: null, since: now() };
    this.all = [...this.all.filter((a) => a !== before), { ...made, instances: [], history: [] }];
    return { command: "CREATE ALERT" };
  }

  private act(sql: string): Fact {
    const scan = new Scan(sql);
    const verb = scan.name();
    scan.expect("alert");
    const named = scan.qualified();
    const alert = this.all.find(({ schema, name }) => schema === named.schema && name === named.name);
    if (!alert) throw new Error(`alert ${named.name} does not exist`);
    const key = scan.words("instance") ? scan.quoted() : undefined;
    const hold = verb === "silence" && scan.words("for") ? scan.quoted() : "";
    if (scan.words("reason")) scan.quoted();
    scan.end();
    const instances = alert.instances.filter(({ instance }) => key === undefined || instance === key);
    if (verb === "drop") this.all = this.all.filter((a) => a !== alert);
    if (verb === "acknowledge") {
      for (const instance of instances) [instance.acknowledgedBy, instance.acknowledgedAt] = ["root", now()];
    }
    if (verb === "silence" || verb === "unsilence") {
      const hours = Number(/^(\d+) hours?$/.exec(hold)?.[1] ?? 1);
      const until = verb === "silence" ? new Date(Date.now() + hours * 3_600_000).toISOString() : null;
      if (key === undefined) alert.silencedUntil = until;
      else for (const instance of instances) instance.silencedUntil = until;
    }
    return { command: `${verb.toUpperCase()} ALERT` };
  }
}

function rowOf(alert: Alert): unknown[] {
  const { id, schema, name, severity, query, hold, instances, since, silencedUntil, notify } = alert;
  const many = (state: string) => instances.filter((i) => i.state === state).length;
  const state = many("firing") > 0 ? "firing" : many("pending") > 0 ? "pending" : "ok";
  const counts = [state, many("pending"), many("firing"), since];
  return [id, schema, name, "root", severity, query, hold, ...counts, silencedUntil, notify];
}
