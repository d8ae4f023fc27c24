// How uPlot draws a panel's lines. It must not know where they are from.

import type uPlot from "uplot";
import { ends, marks } from "../../board/look";
import type { PanelKind, PanelOptions } from "../../board/panel";
import type { Lines } from "../../board/series";
import { axisLook, barPaths, FILL_ALPHA, type Paint, timeOf } from "../../ui/plot";

export interface PlotLook {
  kind: PanelKind;
  options: PanelOptions;
  window: number | undefined;
  /** What is drawn now: asked at each drawing. */
  lines: () => Lines;
  /** From 1, by place in what is drawn. */
  colours: readonly number[];
  /** The place that is pointed at; null: none. */
  onPoint: (at: number | null) => void;
}

type Plain = Omit<uPlot.Options, "width" | "height">;

const LEAST_SPAN = 10;
const DAY = 86_400;
const LABEL = 14;

export function plotOptions(look: PlotLook, paint: Paint): Plain {
  const { kind, options, lines, colours } = look;
  const axis = axisLook(paint);
  const { axis: along } = lines();
  const isBars = kind === "bar";
  return {
    padding: [10, 26, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: {
      x: { time: along === "time", range: () => alongEnds(look) },
      y: {
        range: (_, least, most) => {
          const from = kind === "line" ? least : Math.min(least ?? 0, 0);
          const { bottom, top } = ends(from, most, options);
          return [bottom, top];
        },
      },
    },
    axes: [
      {
        ...axis,
        size: 26,
        space: along === "names" ? 64 : 96,
        grid: { show: false },
        ...(along === "names" ? nameTicks(lines) : along === "time" ? timeTicks() : {}),
      },
      {
        ...axis,
        size: 64,
        // At most some ten of them.
        space: (_, __, ___, ____, length) => Math.max(30, length / 10),
        values: (_, ticks) => ticks.map(marks(options, (ticks[1] ?? 0) - (ticks[0] ?? 0))),
      },
    ],
    series: [
      {},
      ...colours.map((at): uPlot.Series => {
        const stroke = paint(`--series-${at}`);
        // A single moment has no line.
        const points = { show: ({ data }: uPlot) => data[0].length === 1, size: 7, fill: stroke };
        const line = { stroke, width: 1.5, points };
        if (isBars) return { ...line, fill: stroke, ...barPaths() };
        return kind === "area" ? { ...line, fill: `${stroke}${FILL_ALPHA}` } : line;
      }),
    ],
    // Between one sum and the next; the last reaches down to nought by itself.
    bands: kind === "area" ? colours.slice(1).map((_, i) => ({ series: [i + 1, i + 2] as [number, number] })) : [],
    hooks: {
      draw: [(plot) => drawThresholds(plot, options.thresholds, paint)],
      setCursor: [(plot) => look.onPoint(plot.cursor.idx ?? null)],
    },
  };
}

function alongEnds({ kind, window, lines }: PlotLook): [number, number] {
  const { axis, names, x } = lines();
  if (axis === "names") return [-0.6, Math.max(names.length, 1) - 0.4];
  const [from, to] = [x[0] ?? 0, x.at(-1) ?? 1];
  const air = kind === "bar" ? ((to - from) / Math.max(x.length - 1, 1)) * 0.6 : 0;
  if (axis === "number") return from === to ? [from - 1, to + 1] : [from - air, to + air];
  return [Math.min(window === undefined ? from - air : to - window, to - LEAST_SPAN), to + air];
}

function nameTicks(lines: () => Lines): Pick<uPlot.Axis, "splits" | "values"> {
  return {
    splits: (plot) => {
      const many = lines().names.length;
      const step = Math.max(Math.ceil(many / Math.max(plot.width / 90, 1)), 1);
      return Array.from({ length: Math.ceil(many / step) }, (_, i) => i * step);
    },
    values: (_, ticks) =>
      ticks.map((tick) => {
        const name = lines().names[tick] ?? "";
        return name.length > LABEL ? `${name.slice(0, LABEL - 1)}…` : name;
      }),
  };
}

const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

function timeTicks(): Pick<uPlot.Axis, "values"> {
  return {
    values: ({ scales }, ticks) => {
      const seen = (scales.x?.max ?? 0) - (scales.x?.min ?? 0);
      return ticks.map((tick) => (seen > DAY ? day.format(tick * 1000) : timeOf(tick)));
    },
  };
}

function drawThresholds(plot: uPlot, thresholds: readonly number[], paint: Paint): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio || 1;
  ctx.setLineDash([6, 5]);
  for (const [i, threshold] of thresholds.entries()) {
    const y = plot.valToPos(threshold, "y", true);
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.strokeStyle = paint(i === 0 && thresholds.length > 1 ? "--warn" : "--bad");
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  ctx.restore();
}
