// Lines, areas and bars. It must not know the grid around them.

import { useMemo, useRef, useState } from "preact/hooks";
import { numbers } from "../../board/look";
import { type Lines, stacked } from "../../board/series";
import { counted } from "../../data/format";
import { Plot, type PlotData, timeOf } from "../../ui/plot";
import type { BodyProps } from "./body";
import { plotOptions } from "./plot-options";
import { useLines } from "./use-lines";

export function LinePanel(props: BodyProps) {
  const { kind, title, options, window } = props;
  const found = useLines(props);
  const [point, setPoint] = useState<number | null>(null);
  const write = useMemo(() => numbers(options), [options]);
  const drawn = useRef<Lines>(undefined);
  const lines = found?.lines;
  const stacks = kind !== "line" && (lines?.lines.length ?? 0) > 1;
  drawn.current = useMemo(() => (lines && stacks ? stacked(lines) : lines), [found?.version, stacks]);
  if (!lines || !drawn.current) return <p class="panel-note">The query has no column of numbers.</p>;
  if (lines.x.length === 0) return <p class="panel-note">No rows yet.</p>;
  const many = lines.lines.length;
  const colours = lines.lines.map((_, i) => (stacks ? many - i : i + 1));
  return (
    <figure class="panel-figure">
      <Plot
        label={`${title}: ${counted(many, "line")}`}
        shape={JSON.stringify([kind, many, lines.axis, window, options])}
        options={(paint) =>
          plotOptions({ kind, options, window, colours, lines: () => drawn.current ?? lines, onPoint: setPoint }, paint)
        }
        data={() => dataOf(drawn.current ?? lines)}
        version={found.version}
        height={undefined}
      />
      <Legend lines={lines} point={point} write={write} />
    </figure>
  );
}

function dataOf({ x, lines }: Lines): PlotData {
  return [x, ...lines.map(({ values }) => values)];
}

interface LegendProps {
  lines: Lines;
  point: number | null;
  write: (value: number | undefined) => string;
}

/** Names of the lines and what they say: at the place that is pointed at, else last. */
function Legend({ lines: { axis, x, names, lines, more }, point, write }: LegendProps) {
  const at = point !== null && point < x.length ? point : x.length - 1;
  const place = x[at];
  const where = place === undefined ? "" : axis === "time" ? timeOf(place) : (names[place] ?? String(place));
  return (
    <figcaption>
      {lines.map(({ name, values }, i) => (
        <span key={name} class={`track track-${i + 1}`}>
          {name} <b>{write(values[at] ?? undefined)}</b>
        </span>
      ))}
      {more > 0 && <span class="muted">and {counted(more, "more line")}</span>}
      {point !== null && <span class="muted">{where}</span>}
    </figcaption>
  );
}
