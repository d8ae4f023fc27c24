// A dashboard's panels as data: kinds, options as they are written and as they are meant. Pure. It must not know how they
// are drawn.

import { isObject, type Json, ofJsonb } from "../api/json";
import { spanOf } from "../data/span";

export const KINDS = ["line", "area", "bar", "number", "table", "heatmap", "map"] as const;
export type PanelKind = (typeof KINDS)[number];

/** Options as they are written: what is not understood is kept, so that saving loses nothing. */
export type RawOptions = Readonly<Record<string, string>>;

/** A panel as the catalog tells it. */
export interface Panel {
  name: string;
  kind: PanelKind;
  query: string;
  raw: RawOptions;
}

/** Options as they are meant. Columns that are not named are chosen by what they hold. */
export interface PanelOptions {
  title: string | undefined;
  x: string | undefined;
  y: string[];
  by: string | undefined;
  unit: string;
  /** Columns of the grid, from 1 to 12. */
  width: number;
  /** Rows of the grid. */
  height: number;
  min: number | undefined;
  max: number | undefined;
  /** Seconds that a chart shows. */
  window: number | undefined;
  lat: string | undefined;
  lon: string | undefined;
  size: string | undefined;
  color: string | undefined;
  format: string | undefined;
  thresholds: number[];
}

export const COLUMNS = 12;
export const TALLEST = 24;

const SIZES: Record<PanelKind, { width: number; height: number }> = {
  line: { width: 6, height: 4 },
  area: { width: 6, height: 4 },
  bar: { width: 6, height: 4 },
  number: { width: 3, height: 2 },
  table: { width: 6, height: 4 },
  heatmap: { width: 6, height: 4 },
  map: { width: 6, height: 5 },
};

/** A kind's name in any case; undefined if there is none of this name. */
export function kindOf(text: string): PanelKind | undefined {
  return KINDS.find((kind) => kind === text.toLowerCase());
}

/** What the catalog tells, as an object or as its text. */
export function readOptions(value: Json | undefined): RawOptions {
  const found = ofJsonb(value);
  if (!isObject(found)) return {};
  return Object.fromEntries(
    Object.entries(found).flatMap(([key, option]) => (option === null ? [] : [[key.toLowerCase(), written(option)]])),
  );
}

function written(option: Json): string {
  if (Array.isArray(option)) return option.map(written).join(", ");
  return typeof option === "object" ? JSON.stringify(option) : String(option);
}

/** What options mean for a panel of this kind. What cannot be read counts as not given. */
export function optionsOf({ kind, raw }: Pick<Panel, "kind" | "raw">): PanelOptions {
  const text = (key: string) => raw[key]?.trim() || undefined;
  const number = (key: string) => {
    const value = text(key);
    return value === undefined || !Number.isFinite(Number(value)) ? undefined : Number(value);
  };
  const list = (key: string) => (text(key) ?? "").split(",").flatMap((part) => part.trim() || []);
  const whole = (key: "width" | "height", most: number) =>
    Math.min(Math.max(Math.round(number(key) ?? SIZES[kind][key]), 1), most);
  return {
    title: text("title"),
    x: text("x"),
    y: list("y"),
    by: text("by"),
    unit: text("unit") ?? "",
    width: whole("width", COLUMNS),
    height: whole("height", TALLEST),
    min: number("min"),
    max: number("max"),
    window: spanOf(text("window") ?? ""),
    lat: text("lat"),
    lon: text("lon"),
    size: text("size"),
    color: text("color"),
    format: text("format"),
    thresholds: list("thresholds").map(Number).filter(Number.isFinite),
  };
}

/** With one option changed; one without a text is taken away. */
export function withOption(raw: RawOptions, key: string, value: string): RawOptions {
  const { [key]: _, ...rest } = raw;
  return value.trim() === "" ? rest : { ...rest, [key]: value };
}

/** What a panel is called where it is shown. */
export function titleOf(panel: Panel): string {
  return panel.raw.title?.trim() || panel.name.replaceAll("_", " ");
}

/** A name that no other panel has, made of a title. */
export function freeName(title: string, taken: readonly string[]): string {
  const slug =
    title
      .normalize("NFKD")
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, "_")
      .replaceAll(/^_+|_+$/g, "") || "panel";
  const base = /^\d/.test(slug) ? `panel_${slug}` : slug;
  let name = base;
  for (let n = 2; taken.includes(name); n++) name = `${base}_${n}`;
  return name;
}
