// `Chart`: series over time, drawn by uPlot, drawn anew at most once a frame. It must not know what the series are.

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { inFrame, notInFrame } from "../live/frames";
import { isDark } from "../state/theme";

/** Which of the colours for series. */
export type Colour = 1 | 2 | 3 | 4 | 5 | 6;

export interface ChartSeries {
  label: string;
  colour: Colour;
  /** Filled below the line. */
  filled?: boolean;
}

export type ChartData = [number[], ...(number | null)[][]];

interface Props {
  /** Says what the chart shows, for those who do not see it. */
  label: string;
  series: readonly ChartSeries[];
  /** The data of now. */
  data: () => ChartData;
  /** Changes when the data has. */
  version: number;
  format: (value: number | undefined) => string;
  height: number;
  /** Without axes and legend. */
  small?: boolean;
  bars?: boolean;
}

const LEAST_SPAN = 60;

/** Behind a colour of six hex digits: a seventh of it. */
const FILL_ALPHA = "24";

export function Chart({ label, series, data, version, format, height, small = false, bars = false }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const latest = useRef(data);
  latest.current = data;
  const dark = isDark();

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const options = optionsFor({
      series,
      format,
      small,
      bars,
      width: element.clientWidth,
      height,
      paint: paintOf(element),
    });
    const made = new uPlot(options, latest.current() as uPlot.AlignedData, element);
    plot.current = made;
    const observer = new ResizeObserver(() => {
      const width = element.clientWidth;
      if (width > 0 && width !== made.width) made.setSize({ width, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [dark, height, small, bars, series.length]);

  useLayoutEffect(() => {
    const draw = () => plot.current?.setData(latest.current() as uPlot.AlignedData);
    inFrame(draw);
    return () => notInFrame(draw);
  }, [version]);

  return (
    <div
      ref={host}
      class={small ? "chart small" : "chart"}
      role="img"
      aria-label={label}
      style={{ minHeight: `${height}px` }}
    />
  );
}

type Paint = (name: string) => string;

function paintOf(element: HTMLElement): Paint {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(name).trim();
}

interface Look {
  series: readonly ChartSeries[];
  format: Props["format"];
  small: boolean;
  bars: boolean;
  width: number;
  height: number;
  paint: Paint;
}

function optionsFor({ series, format, small, bars, width, height, paint }: Look): uPlot.Options {
  const axis = {
    stroke: paint("--ink-3"),
    grid: { stroke: paint("--grid-line"), width: 1 },
    ticks: { show: false },
    font: "11px 'Plex Sans', sans-serif",
  };
  return {
    width,
    height,
    ...(small
      ? { padding: [4, 2, 2, 2] as [number, number, number, number] }
      : { padding: [10, 12, 0, 0] as [number, number, number, number] }),
    legend: { show: false },
    cursor: { show: !small, y: false, points: { size: 6 } },
    scales: {
      x: { time: true, range: (_, least, most) => [Math.min(least, most - LEAST_SPAN), most] },
      y: { range: (_, __, most) => [0, (most ?? 0) > 0 ? (most ?? 0) * 1.12 : 1] },
    },
    axes: [
      { ...axis, show: !small, size: 26, space: 96, grid: { show: false }, values: (_, ticks) => ticks.map(timeOf) },
      { ...axis, show: !small, size: 60, space: 34, values: (_, ticks) => ticks.map((tick) => format(tick)) },
    ],
    series: [
      { label: "time" },
      ...series.map(({ label, colour: at, filled }) => {
        const stroke = paint(`--series-${at}`);
        const line = { label, stroke, width: 1.5, points: { show: false } };
        if (bars) return { ...line, fill: stroke, ...barPaths() };
        return filled ? { ...line, fill: `${stroke}${FILL_ALPHA}` } : line;
      }),
    ],
  };
}

function barPaths(): { paths?: uPlot.Series.PathBuilder } {
  const paths = uPlot.paths.bars?.({ size: [0.7, 24], radius: 0.2 });
  return paths ? { paths } : {};
}

// Made once: making one takes longer than using it.
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

function timeOf(seconds: number): string {
  return clock.format(seconds * 1000);
}
