// `Canvas`: a picture of pixels, as large as its place, drawn anew at most once a frame. It must not know what is drawn.

import type { ComponentProps } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { inFrame, notInFrame } from "../live/frames";
import { isDark } from "../state/theme";
import type { Paint } from "./plot";

export interface Size {
  width: number;
  height: number;
}

export type Draw = (context: CanvasRenderingContext2D, size: Size, paint: Paint) => void;

interface Props extends Omit<ComponentProps<"canvas">, "draw" | "ref" | "size" | "width" | "height"> {
  draw: Draw;
  /** Changes when something else would be drawn. */
  version: unknown;
  /** The place has a size now, or another. */
  onSize?: (size: Size) => void;
}

export function Canvas({ draw, version, onSize, ...rest }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef({ draw, onSize });
  latest.current = { draw, onSize };
  const dark = isDark();

  useEffect(() => {
    const element = canvas.current;
    const place = element?.parentElement;
    if (!element || !place) return;
    const resize = () => {
      const { clientWidth: width, clientHeight: height } = place;
      const dense = devicePixelRatio || 1;
      const [w, h] = [Math.round(width * dense), Math.round(height * dense)];
      if (element.width === w && element.height === h) return;
      [element.width, element.height] = [w, h];
      latest.current.onSize?.({ width, height });
      paintOn(element, latest.current.draw);
    };
    const observer = new ResizeObserver(resize);
    observer.observe(place);
    resize();
    return () => observer.disconnect();
  }, []);

  useLayoutEffect(() => {
    const again = () => canvas.current && paintOn(canvas.current, latest.current.draw);
    inFrame(again);
    return () => notInFrame(again);
  }, [version, dark]);

  return (
    <div class="canvas-place">
      <canvas ref={canvas} {...rest} />
    </div>
  );
}

function paintOn(element: HTMLCanvasElement, draw: Draw): void {
  const context = element.getContext("2d");
  if (!context) return;
  const dense = devicePixelRatio || 1;
  const size = { width: element.width / dense, height: element.height / dense };
  const style = getComputedStyle(element);
  context.setTransform(dense, 0, 0, dense, 0, 0);
  context.clearRect(0, 0, size.width, size.height);
  if (size.width > 0 && size.height > 0) draw(context, size, (name) => style.getPropertyValue(name).trim());
}
