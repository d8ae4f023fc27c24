// Numbers, sizes and times as people read them. It must not know where they are shown.

import type { Json } from "../api/json";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const UNKNOWN = "–";

/** `1,234`, `12.3 k`, `4.56 M`. */
export function count(n: number | undefined): string {
  if (n === undefined || !Number.isFinite(n)) return UNKNOWN;
  const size = Math.abs(n);
  if (size < 10 && !Number.isInteger(n)) return n.toFixed(1);
  if (size < 10_000) return whole.format(n);
  return scaled(n, 1000, ["", " k", " M", " G", " T"]);
}

/** `512 B`, `1.50 MiB`. */
export function bytes(n: number | undefined): string {
  if (n === undefined || !Number.isFinite(n)) return UNKNOWN;
  return scaled(n, 1024, [" B", " KiB", " MiB", " GiB", " TiB"]);
}

/** `0.8 ms`, `12 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`. */
export function duration(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return UNKNOWN;
  const s = Math.abs(seconds);
  if (s < 0.01) return `${(s * 1000).toFixed(1)} ms`;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

function scaled(n: number, step: number, units: string[]): string {
  let at = 0;
  let value = n;
  while (Math.abs(value) >= step && at < units.length - 1) {
    value /= step;
    at += 1;
  }
  const digits = at === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)}${units[at] ?? ""}`;
}

/** A value of a row in one line. */
export function cell(value: Json | undefined, type: string): string {
  if (value === null || value === undefined) return "null";
  if (typeof value === "string") return type.startsWith("timestamp") ? timestamp(value) : value;
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

function timestamp(text: string): string {
  return text.replace("T", " ").replace(/\+00:00$/, "");
}

const SHORT: Record<string, string> = {
  "character varying": "varchar",
  "timestamp with time zone": "timestamptz",
  "timestamp without time zone": "timestamp",
  "time without time zone": "time",
  "double precision": "double",
};

/** A type's name where there is little room. */
export function shortType(type: string): string {
  return SHORT[type] ?? type;
}

/** `3 min 5 s ago`, `in 40 s`; nothing for no time. */
export function fromNow(time: string | null, now = Date.now()): string {
  const at = time === null ? Number.NaN : Date.parse(time);
  if (!Number.isFinite(at)) return "";
  const seconds = (at - now) / 1000;
  return seconds > 0 ? `in ${duration(seconds)}` : `${duration(-seconds)} ago`;
}

/** `1 row`, `2 rows`. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Whether values of a type are set to the right. */
export function isNumeric(type: string): boolean {
  return /^(smallint|integer|bigint|numeric|real|double precision|oid)$/.test(type);
}

/** `\x7b…` as the text it holds, if it is one. */
export function textOfBytes(hex: string): string {
  if (!hex.startsWith("\\x")) return hex;
  const pairs = hex.slice(2).match(/../g) ?? [];
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(
      Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16)),
    );
  } catch {
    return hex;
  }
}

/** `23:54:49`, by the browser's clock and place. */
export function timeOfDay(milliseconds: number): string {
  return new Date(milliseconds).toLocaleTimeString("en-GB");
}
