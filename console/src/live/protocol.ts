// The events of a subscription and how they make whole epochs. It must not know sockets.

import { type ApiError, errorOf } from "../api/errors";
import { isObject, type Json, parseJson } from "../api/json";
import type { Column } from "../api/sql";

/** An event as the server sends it. */
export type ServerEvent =
  | { event: "begin"; snapshot: boolean; columns?: Column[] }
  | { event: "changes"; rows: { w: number; row: Record<string, Json> }[] }
  | { event: "commit"; epoch: number; time: string }
  | { event: "lost" }
  | { event: "resume"; after: number | null; reason: string }
  | { event: "error"; error: ApiError };

/** A row that comes (weight above 0) or goes. */
export interface Delta {
  weight: number;
  /** Values in the order of the columns. */
  row: Json[];
}

/** All changes of one epoch. */
export interface Commit {
  /** Forget what there was. */
  snapshot: boolean;
  columns: Column[];
  deltas: Delta[];
  epoch: number;
  /** When the epoch was sealed, by the server's clock. */
  time: string;
}

const NAMES = new Set(["begin", "changes", "commit", "lost", "resume", "error"]);

/** Reads a WebSocket message, or the data of a server-sent event whose name is given. Undefined: not one of ours. */
export function parseEvent(text: string, name?: string): ServerEvent | undefined {
  let body: Json;
  try {
    body = parseJson(text);
  } catch {
    return undefined;
  }
  if (!isObject(body)) return undefined;
  const event = name ?? body.event;
  if (typeof event !== "string" || !NAMES.has(event)) return undefined;
  if (event === "error") return { event, error: errorOf(body, 400) };
  return { ...body, event } as unknown as ServerEvent;
}

/** Puts the events of an epoch together. */
export class Assembler {
  private columns: Column[] = [];
  private snapshot = false;
  private deltas: Delta[] = [];

  /** The whole epoch when `event` completes one. */
  take(event: ServerEvent): Commit | undefined {
    switch (event.event) {
      case "begin":
        this.snapshot = event.snapshot;
        this.deltas = [];
        if (event.columns) this.columns = event.columns;
        return undefined;
      case "changes":
        for (const { w, row } of event.rows) {
          this.deltas.push({ weight: w, row: this.columns.map((column) => row[column.name] ?? null) });
        }
        return undefined;
      case "commit": {
        const { snapshot, columns, deltas } = this;
        this.deltas = [];
        return { snapshot, columns, deltas, epoch: event.epoch, time: event.time };
      }
      default:
        return undefined;
    }
  }
}
