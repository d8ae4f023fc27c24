// `Grid`: rows of any number; only those in sight are in the page. It must not know where rows are from.

import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Json } from "../api/json";
import type { Column } from "../api/sql";
import { cell, isNumeric, shortType } from "../data/format";
import { type Order, sorted } from "../data/sort";

/** A row; `changed` and `touched` as of a live table. */
export interface GridRow {
  id: number;
  values: Json[];
  changed?: number;
  touched?: number[];
}

interface Props {
  columns: Column[];
  rows: GridRow[];
  /** What the table is of, for those who do not see it. */
  label: string;
  /** The commit that is shown: rows that it changed are marked. */
  commit?: number;
  /** How rows are ordered until the user chooses. */
  order?: Order | undefined;
}

const ROW = 28;
const AROUND = 6;
const LEAST_CH = 6;
const MOST_CH = 44;

export function Grid({ columns, rows, label, commit, order }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const pace = useRef<Pace>({ commit: 0, at: 0, fades: true });
  pace.current = paced(pace.current, commit ?? 0);
  const [chosen, setChosen] = useState<Order>();
  const by = chosen ?? order;
  const shown = useMemo(() => sorted(rows, columns, by), [rows, columns, by, commit]);
  const widths = useMemo(() => columns.map((column, i) => widthOf(column, rows, i)), [columns, rows.length === 0]);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);

  const first = Math.max(0, Math.floor(view.top / ROW) - AROUND);
  const last = Math.min(shown.length, Math.ceil((view.top + view.height) / ROW) + AROUND);
  const choose = (column: string) => {
    const again = by?.column === column;
    setChosen({ column, descending: again ? !by.descending : false });
  };
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <div ref={box} class="grid" tabIndex={0} role="region" aria-label={label}>
      <table aria-rowcount={shown.length + 1}>
        <colgroup>
          {widths.map((ch) => (
            <col style={{ width: `${ch}ch` }} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {columns.map(({ name, type }) => {
              const sort = by?.column === name ? (by.descending ? "descending" : "ascending") : undefined;
              return (
                <th scope="col" class={isNumeric(type) ? "number" : undefined} aria-sort={sort}>
                  <button type="button" title={`${name} ${type}`} onClick={() => choose(name)}>
                    {name}
                    <small>{shortType(type)}</small>
                  </button>
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          <tr class="space" aria-hidden="true" style={{ height: `${first * ROW}px` }} />
          {shown.slice(first, last).map((row, i) => (
            <tr key={row.id} aria-rowindex={first + i + 2}>
              {columns.map((column, c) => (
                <td class={classes(row, c, column, pace.current)} title={titleOf(row.values[c], column.type)}>
                  {cell(row.values[c], column.type)}
                </td>
              ))}
            </tr>
          ))}
          <tr class="space" aria-hidden="true" style={{ height: `${(shown.length - last) * ROW}px` }} />
        </tbody>
      </table>
      {shown.length === 0 && <p class="grid-empty">No rows.</p>}
    </div>
  );
}

/** When the last two commits came: a mark that fades is for changes that one can follow; it costs each frame. */
interface Pace {
  commit: number;
  at: number;
  fades: boolean;
}

const FOLLOWABLE = 400;

function paced(pace: Pace, commit: number): Pace {
  if (pace.commit === commit) return pace;
  const now = performance.now();
  return { commit, at: now, fades: now - pace.at > FOLLOWABLE };
}

/** A change of a value is marked; two names of one animation, so that it begins anew each time. */
function classes(row: GridRow, at: number, column: Column, { commit, fades }: Pace): string {
  const names = isNumeric(column.type) ? ["number"] : [];
  const value = row.values[at];
  if (value === null || value === undefined) names.push("null");
  if (commit && row.changed === commit && (row.touched === undefined || row.touched.includes(at))) {
    names.push(fades ? (commit % 2 === 0 ? "fading-a" : "fading-b") : "fresh");
  }
  return names.join(" ");
}

function titleOf(value: Json | undefined, type: string): string | undefined {
  const text = cell(value, type);
  return text.length > 24 ? text : undefined;
}

function widthOf(column: Column, rows: GridRow[], at: number): number {
  let most = column.name.length + shortType(column.type).length + 2;
  for (const row of rows.slice(0, 60)) most = Math.max(most, cell(row.values[at], column.type).length);
  return Math.min(Math.max(most, LEAST_CH), MOST_CH) + 3;
}
