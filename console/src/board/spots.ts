// Rows as spots on the world. Pure. It must not know the map.

import type { Json } from "../api/json";
import type { Column } from "../api/sql";
import { cell } from "../data/format";
import { indexOf } from "./columns";
import type { PanelOptions } from "./panel";
import { numberOf } from "./series";
import type { Spot } from "./sphere";

export interface MapSpot extends Spot {
  label: string;
  /** From 0 to 1, of its size; undefined: all are alike. */
  size: number | undefined;
  value: number | undefined;
  /** From 0 to 1, of the value among the others. */
  warmth: number | undefined;
}

const LAT = /^(lat|latitude|y)$/i;
const LON = /^(lon|lng|long|longitude|x)$/i;

export interface MapColumns {
  lat: number;
  lon: number;
}

/** Columns of places; undefined: there are none. */
export function mapColumns(columns: readonly Column[], options: PanelOptions): MapColumns | undefined {
  const lat = indexOf(columns, options.lat) ?? columns.findIndex(({ name }) => LAT.test(name));
  const lon = indexOf(columns, options.lon) ?? columns.findIndex(({ name }) => LON.test(name));
  return lat < 0 || lon < 0 ? undefined : { lat, lon };
}

/** Spots of rows; rows without a place on the world are left out. */
export function spotsOf(
  columns: readonly Column[],
  rows: readonly { values: readonly Json[] }[],
  { lat, lon }: MapColumns,
  options: PanelOptions,
): MapSpot[] {
  const [by, size, color] = [options.by, options.size, options.color].map((name) => indexOf(columns, name));
  const of = (at: number | undefined) => rows.map(({ values }) => (at === undefined ? null : numberOf(values[at])));
  // Sizes are compared with nought, colours with each other.
  const [sizes, colours] = [shares(of(size), 0), shares(of(color))];
  return rows.flatMap(({ values }, i) => {
    const place = { lat: numberOf(values[lat]), lon: numberOf(values[lon]) };
    if (place.lat === null || place.lon === null || Math.abs(place.lat) > 90 || Math.abs(place.lon) > 180) return [];
    return {
      lat: place.lat,
      lon: place.lon,
      label: by === undefined ? "" : cell(values[by], columns[by]?.type ?? ""),
      size: size === undefined ? undefined : sizes[i],
      value: color === undefined ? undefined : (numberOf(values[color]) ?? undefined),
      warmth: color === undefined ? undefined : colours[i],
    };
  });
}

/** Each value's share of the way from the least, or from what is given if that is less, to the most. */
function shares(values: (number | null)[], from = Number.POSITIVE_INFINITY): (number | undefined)[] {
  let [least, most] = [from, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value !== null) [least, most] = [Math.min(least, value), Math.max(most, value)];
  }
  return values.map((value) => (value === null ? undefined : most > least ? (value - least) / (most - least) : 1));
}
