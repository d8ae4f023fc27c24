// `Plot`: uPlot in a component: made anew when its shape changes, drawn anew at most once a frame. It must not know what
// is drawn.

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { inFrame, notInFrame } from "../live/frames";
import { isDark } from "../state/theme";

export type PlotData = [number[], ...(number | null)[][]];

/** The colour of a name as `--ink`, of the theme of now. */
export type Paint = (name: string) => string;

interface Props {
  /** Says what the chart shows, for those who do not see it. */
  label: string;
  /** What kind of chart, without its size. */
  options: (paint: Paint) => Omit<uPlot.Options, "width" | "height">;
  /** Changes when `options` would answer otherwise. */
  shape: string;
  /** The data of now. */
  data: () => PlotData;
  /** Changes when the data has. */
  version: number;
  /** In pixels; undefined: as high as its place. */
  height: number | undefined;
  small?: boolean;
}

export function Plot({ label, options, shape, data, version, height, small = false }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const latest = useRef({ data, options });
  latest.current = { data, options };
  const dark = isDark();

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const size = () => ({ width: element.clientWidth, height: height ?? element.clientHeight });
    const { options, data } = latest.current;
    const made = new uPlot({ ...options(paintOf(element)), ...size() }, data() as uPlot.AlignedData, element);
    plot.current = made;
    const resize = () => {
      const now = size();
      if (now.width > 0 && (now.width !== made.width || now.height !== made.height)) made.setSize(now);
    };
    const observer = new ResizeObserver(resize);
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [dark, height, shape]);

  useLayoutEffect(() => {
    const draw = () => plot.current?.setData(latest.current.data() as uPlot.AlignedData);
    inFrame(draw);
    return () => notInFrame(draw);
  }, [version]);

  return (
    <div
      ref={host}
      class={small ? "chart small" : "chart"}
      role="img"
      aria-label={label}
      style={height === undefined ? undefined : { minHeight: `${height}px` }}
    />
  );
}

function paintOf(element: HTMLElement): Paint {
  const style = getComputedStyle(element);
  return (name) => style.getPropertyValue(name).trim();
}

/** Of an axis, whatever it shows. */
export function axisLook(paint: Paint) {
  return {
    stroke: paint("--ink-3"),
    grid: { stroke: paint("--grid-line"), width: 1 },
    ticks: { show: false },
    font: "11px 'Plex Sans', sans-serif",
  };
}

/** Behind a colour of six hex digits: a seventh of it. */
export const FILL_ALPHA = "24";

export function barPaths(): { paths?: uPlot.Series.PathBuilder } {
  const paths = uPlot.paths.bars?.({ size: [0.7, 24], radius: 0.2 });
  return paths ? { paths } : {};
}

// Made once: making one takes longer than using it.
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function timeOf(seconds: number): string {
  return clock.format(seconds * 1000);
}
