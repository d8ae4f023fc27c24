// `Chart`: series over time. It must not know what the series are.

import type uPlot from "uplot";
import { axisLook, barPaths, FILL_ALPHA, type Paint, Plot, type PlotData, timeOf } from "./plot";

/** Which of the colours for series. */
export type Colour = 1 | 2 | 3 | 4 | 5 | 6;

export interface ChartSeries {
  label: string;
  colour: Colour;
  /** Filled below the line. */
  filled?: boolean;
}

interface Props {
  /** Says what the chart shows, for those who do not see it. */
  label: string;
  series: readonly ChartSeries[];
  /** The data of now. */
  data: () => PlotData;
  /** Changes when the data has. */
  version: number;
  format: (value: number | undefined) => string;
  height: number;
  /** Without axes and legend. */
  small?: boolean;
  bars?: boolean;
}

const LEAST_SPAN = 60;

export function Chart({ label, series, data, version, format, height, small = false, bars = false }: Props) {
  return (
    <Plot
      label={label}
      options={(paint) => optionsFor({ series, format, small, bars, paint })}
      shape={`${small} ${bars} ${series.length}`}
      data={data}
      version={version}
      height={height}
      small={small}
    />
  );
}

interface Look {
  series: readonly ChartSeries[];
  format: Props["format"];
  small: boolean;
  bars: boolean;
  paint: Paint;
}

function optionsFor({ series, format, small, bars, paint }: Look): Omit<uPlot.Options, "width" | "height"> {
  const axis = axisLook(paint);
  return {
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
