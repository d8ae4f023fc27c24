// Which options a kind of panel has, for a form. Pure. It must not know the form.

import { FORMATS } from "./look";
import { COLUMNS, type PanelKind, TALLEST } from "./panel";

export interface Field {
  key: string;
  label: string;
  /** `column`: one of the answer's; `columns`: some of them. */
  input: "text" | "number" | "column" | "columns" | "choice";
  hint?: string;
  choices?: readonly string[];
  most?: number;
}

const X: Field = { key: "x", label: "Along", input: "column" };
const Y: Field = { key: "y", label: "Values (none: all numbers)", input: "columns" };
const BY: Field = { key: "by", label: "A line for each", input: "column" };
const WINDOW: Field = { key: "window", label: "Time shown", input: "text", hint: "5 minutes" };
const MIN: Field = { key: "min", label: "From", input: "number" };
const MAX: Field = { key: "max", label: "To", input: "number" };
const UNIT: Field = { key: "unit", label: "Unit", input: "text" };
const FORMAT: Field = { key: "format", label: "Written", input: "choice", choices: FORMATS };
const THRESHOLDS: Field = {
  key: "thresholds",
  label: "Limits",
  input: "text",
  hint: "70, 90: warn from 70, bad from 90; 90, 70 when low is bad",
};
const WIDTH: Field = { key: "width", label: "Columns wide", input: "number", most: COLUMNS };
const HEIGHT: Field = { key: "height", label: "Rows high", input: "number", most: TALLEST };
const SIZE = [WIDTH, HEIGHT];
const CHART = [X, Y, BY, WINDOW, UNIT, FORMAT, MIN, MAX, THRESHOLDS, ...SIZE];

export const FIELDS: Record<PanelKind, readonly Field[]> = {
  line: CHART,
  area: CHART,
  bar: CHART,
  number: [Y, X, WINDOW, UNIT, FORMAT, MIN, MAX, THRESHOLDS, ...SIZE],
  table: [{ ...Y, label: "Columns (none: all)" }, ...SIZE],
  heatmap: [
    { ...X, label: "Across" },
    { key: "y", label: "Down", input: "column" },
    { key: "color", label: "Value", input: "column" },
    WINDOW,
    UNIT,
    FORMAT,
    { ...MIN, label: "Coldest" },
    { ...MAX, label: "Warmest" },
    ...SIZE,
  ],
  map: [
    { key: "lat", label: "Latitude", input: "column" },
    { key: "lon", label: "Longitude", input: "column" },
    { ...BY, label: "Name" },
    { key: "size", label: "Size", input: "column" },
    { key: "color", label: "Colour", input: "column" },
    UNIT,
    FORMAT,
    THRESHOLDS,
    ...SIZE,
  ],
};

/** What kinds are called. */
export const KIND_NAMES: Record<PanelKind, string> = {
  line: "Lines",
  area: "Areas",
  bar: "Bars",
  number: "Number",
  table: "Table",
  heatmap: "Heat map",
  map: "Map",
};
