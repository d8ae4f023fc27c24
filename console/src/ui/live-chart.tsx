// `LiveChart`: one of a live table's numbers over time, a line for each of its first rows. It must not know where rows
// are from.

import { useMemo, useRef } from "preact/hooks";
import { count } from "../data/format";
import type { LiveTable } from "../data/rows";
import { Tracks } from "../data/tracks";
import { Chart, type ChartSeries, type Colour } from "./chart";

interface Props {
  table: LiveTable;
  /** Which of its columns. */
  column: number;
  label: string;
  height: number;
}

export function LiveChart({ table, column, label, height }: Props) {
  const tracks = useMemo(() => new Tracks(column), [column]);
  const noted = useRef<number>(undefined);
  if (table.epoch !== undefined && noted.current !== table.epoch) {
    noted.current = table.epoch;
    tracks.note(table, Date.now() / 1000);
  }
  const { names } = tracks;
  const many = names.length;
  const series = useMemo(
    () => names.map((name, i): ChartSeries => ({ label: name, colour: (i + 1) as Colour, filled: many === 1 })),
    [many, tracks],
  );
  if (many === 0) return <p class="muted">No rows.</p>;
  return (
    <figure class="live-chart">
      <Chart
        key={many}
        label={label}
        series={series}
        data={() => tracks.data()}
        version={table.epoch ?? 0}
        format={count}
        height={height}
      />
      {(many > 1 || names[0] !== "") && (
        <figcaption>
          {names.map((name, i) => (
            <span key={name} class={`track track-${i + 1}`}>
              {name}
            </span>
          ))}
          {table.rows.length > many && <span class="muted">and {count(table.rows.length - many)} more rows</span>}
        </figcaption>
      )}
    </figure>
  );
}
