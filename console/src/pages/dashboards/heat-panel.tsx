// A heat map. It must not know the grid around it.

import { useMemo, useState } from "preact/hooks";
import { isTime } from "../../board/columns";
import { type Heat, heatColumns, heatOf, warmth } from "../../board/heat";
import { numbers } from "../../board/look";
import { secondsOf } from "../../board/series";
import { counted } from "../../data/format";
import { Canvas, type Draw, type Size } from "../../ui/canvas";
import type { Paint } from "../../ui/plot";
import type { BodyProps } from "./body";

/** Room for names, in pixels. */
const LEFT = 88;
const BELOW = 22;
const LEAST_ALPHA = 0.07;

export function HeatPanel({ title, options, table, epoch, window }: BodyProps) {
  const { columns, rows } = table;
  const [point, setPoint] = useState<{ x: number; y: number }>();
  const found = useMemo(() => heatColumns(columns, options), [columns, options]);
  const heat = useMemo(() => {
    if (!found) return undefined;
    let after: number | undefined;
    if (window !== undefined && isTime(columns[found.x]?.type ?? "")) {
      const newest = rows.reduce((most, { values }) => Math.max(most, secondsOf(values[found.x]) ?? most), 0);
      after = newest - window;
    }
    return heatOf(columns, rows, found, after);
  }, [found, table, epoch, window]);
  const write = useMemo(() => numbers(options), [options]);
  if (!heat) return <p class="panel-note">A heat map needs two columns for its sides and one of numbers.</p>;
  if (heat.across.length === 0) return <p class="panel-note">No rows yet.</p>;
  const draw: Draw = (context, size, paint) =>
    drawHeat(context, size, paint, heat, (value) => warmth(value, heat, options));
  const said = point && heat.values[point.y]?.[point.x];
  return (
    <figure class="panel-figure">
      <Canvas
        role="img"
        aria-label={`${title}: ${counted(heat.down.length, "row")} by ${counted(heat.across.length, "column")}, from ${write(heat.least)} to ${write(heat.most)}`}
        draw={draw}
        version={heat}
        onPointerMove={(event) => setPoint(cellAt(event, heat))}
        onPointerLeave={() => setPoint(undefined)}
      />
      <figcaption>
        {point ? (
          <span>
            {heat.down[point.y]}, {heat.across[point.x]} <b>{write(said ?? undefined)}</b>
          </span>
        ) : (
          <span class="ramp">
            {write(options.min ?? heat.least)}
            <i />
            {write(options.max ?? heat.most)}
          </span>
        )}
      </figcaption>
    </figure>
  );
}

function cellSize({ width, height }: Size, heat: Heat): Size {
  return { width: (width - LEFT) / heat.across.length, height: (height - BELOW) / heat.down.length };
}

function cellAt(event: PointerEvent, heat: Heat): { x: number; y: number } | undefined {
  const canvas = event.currentTarget;
  if (!(canvas instanceof HTMLCanvasElement)) return undefined;
  const cell = cellSize({ width: canvas.clientWidth, height: canvas.clientHeight }, heat);
  const [x, y] = [Math.floor((event.offsetX - LEFT) / cell.width), Math.floor(event.offsetY / cell.height)];
  return x >= 0 && x < heat.across.length && y >= 0 && y < heat.down.length ? { x, y } : undefined;
}

function drawHeat(
  context: CanvasRenderingContext2D,
  size: Size,
  paint: Paint,
  heat: Heat,
  warm: (value: number) => number,
): void {
  const cell = cellSize(size, heat);
  const gap = Math.min(cell.width, cell.height) > 8 ? 1 : 0;
  context.fillStyle = paint("--series-1");
  for (const [y, line] of heat.values.entries()) {
    for (const [x, value] of line.entries()) {
      if (value === null) continue;
      context.globalAlpha = LEAST_ALPHA + (1 - LEAST_ALPHA) * warm(value);
      context.fillRect(LEFT + x * cell.width, y * cell.height, cell.width - gap, cell.height - gap);
    }
  }
  context.globalAlpha = 1;
  context.fillStyle = paint("--ink-2");
  context.font = "11px 'Plex Sans', sans-serif";
  context.textBaseline = "middle";
  context.textAlign = "right";
  const everyRow = Math.ceil(14 / cell.height);
  for (const [y, name] of heat.down.entries()) {
    if (y % everyRow === 0) context.fillText(cut(name, 15), LEFT - 8, (y + 0.5) * cell.height, LEFT - 10);
  }
  context.textAlign = "center";
  const everyColumn = Math.ceil(90 / cell.width);
  for (const [x, name] of heat.across.entries()) {
    if (x % everyColumn === 0) {
      context.fillText(cut(shortTime(name), 14), LEFT + (x + 0.5) * cell.width, size.height - BELOW / 2);
    }
  }
}

/** Of a moment the time of day: there is little room. */
function shortTime(name: string): string {
  return /^\d{4}-\d\d-\d\d (\d\d:\d\d(?::\d\d)?)/.exec(name)?.[1] ?? name;
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
