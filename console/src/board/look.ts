// How a panel writes numbers, and how good they are. Pure. It must not know where they are shown.

import { bytes, count, duration } from "../data/format";
import type { PanelOptions } from "./panel";

export type Tone = "good" | "warn" | "bad";

/** `format`: `compact` (12.3 k), `full` (12,345.6), `percent` (of 1), `bytes`, `seconds`, or a number of digits: `0.00`. */
export const FORMATS = ["compact", "full", "percent", "bytes", "seconds", "0", "0.0", "0.00"] as const;

const full = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });

type Write = (value: number) => string;

function writer(format: string | undefined): Write {
  const digits = /^0(?:\.(0{1,8}))?$/.exec(format ?? "");
  if (digits) {
    const fixed = (digits[1] ?? "").length;
    const exact = new Intl.NumberFormat("en", { minimumFractionDigits: fixed, maximumFractionDigits: fixed });
    return (value) => exact.format(value);
  }
  switch (format) {
    case "full":
      return (value) => full.format(value);
    case "percent":
      return (value) => `${full.format(Math.round(value * 1000) / 10)} %`;
    case "bytes":
      return bytes;
    case "seconds":
      return duration;
    default:
      return (value) =>
        Math.abs(value) < 100 && !Number.isInteger(value) ? String(Number(value.toPrecision(3))) : count(value);
  }
}

/** Writes numbers as the options say, with their unit. */
export function numbers({
  format,
  unit,
}: Pick<PanelOptions, "format" | "unit">): (value: number | undefined) => string {
  const write = writer(format);
  const after = unit === "" ? "" : unit === "%" ? " %" : ` ${unit}`;
  return (value) => (value === undefined || !Number.isFinite(value) ? "–" : `${write(value)}${after}`);
}

/** Writes the marks of an axis, so many apart: with the digits that tell them apart, if the options say nothing else. */
export function marks(options: Pick<PanelOptions, "format" | "unit">, step: number): (value: number) => string {
  const { format, unit } = options;
  if (format !== undefined || !(step > 0) || step >= 1) return numbers(options);
  const digits = Math.min(Math.ceil(-Math.log10(step) - 1e-9), 8);
  return numbers({ format: `0.${"0".repeat(Math.max(digits, 1))}`, unit });
}

/** Rising thresholds: the higher the worse. Falling ones: the lower the worse. */
export function toneOf(value: number | null | undefined, thresholds: readonly number[]): Tone | undefined {
  const [first, second] = thresholds;
  if (value === null || value === undefined || first === undefined) return undefined;
  const falling = second !== undefined && second < first;
  const beyond = (limit: number) => (falling ? value <= limit : value >= limit);
  if (second !== undefined && beyond(second)) return "bad";
  if (beyond(first)) return second === undefined ? "bad" : "warn";
  return "good";
}

/** The ends of an axis for values from `least` to `most`: what the options say, else nought if it is near, and some air. */
export function ends(least: number | null, most: number | null, { min, max }: Pick<PanelOptions, "min" | "max">) {
  const [low, high] = [least ?? 0, most ?? 1];
  const air = (high - low || Math.abs(high) || 1) * 0.08;
  const fromNought = low >= 0 && low <= high * 0.6;
  const bottom = min ?? (fromNought ? 0 : low - air);
  const top = max ?? (high <= 0 && high >= low * 0.6 ? 0 : high + air);
  return top > bottom ? { bottom, top } : { bottom, top: bottom + 1 };
}
