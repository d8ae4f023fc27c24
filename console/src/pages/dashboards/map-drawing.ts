// What is drawn of the world: coasts, the net of degrees, spots. It must not know how one moves on it.

import type { Tone } from "../../board/look";
import { type Box, netStep, project, unproject, type View } from "../../board/sphere";
import type { MapSpot } from "../../board/spots";
import type { Paint } from "../../ui/plot";

export const LEAST_RADIUS = 4;
const MOST_RADIUS = 18;

/** Colours are mixed in so many steps: reading a colour takes long. */
const STEPS = 8;

const TONES: Record<Tone, string> = { good: "--good", warn: "--warn", bad: "--bad" };

export function radiusOf({ size }: MapSpot): number {
  // By area, so that twice as much looks so.
  return size === undefined ? LEAST_RADIUS + 1 : LEAST_RADIUS + (MOST_RADIUS - LEAST_RADIUS) * Math.sqrt(size);
}

export function drawNet(context: CanvasRenderingContext2D, view: View, box: Box, paint: Paint): void {
  const step = netStep(view);
  const { lon: west, lat: north } = unproject(view, box, 0, 0);
  const { lon: east, lat: south } = unproject(view, box, box.width, box.height);
  context.strokeStyle = paint("--grid-line");
  context.lineWidth = 1;
  context.beginPath();
  const [left, right] = [project(view, box, { lon: -180, lat: 0 })[0], project(view, box, { lon: 180, lat: 0 })[0]];
  const [top, bottom] = [project(view, box, { lon: 0, lat: 90 })[1], project(view, box, { lon: 0, lat: -90 })[1]];
  for (let lon = Math.ceil(Math.max(west, -180) / step) * step; lon <= Math.min(east, 180); lon += step) {
    const [x] = project(view, box, { lon, lat: 0 });
    context.moveTo(x, Math.max(top, 0));
    context.lineTo(x, Math.min(bottom, box.height));
  }
  for (let lat = Math.ceil(Math.max(south, -90) / step) * step; lat <= Math.min(north, 90); lat += step) {
    const [, y] = project(view, box, { lon: 0, lat });
    context.moveTo(Math.max(left, 0), y);
    context.lineTo(Math.min(right, box.width), y);
  }
  context.stroke();
}

export function drawCoast(
  context: CanvasRenderingContext2D,
  view: View,
  box: Box,
  paint: Paint,
  coast: readonly Float32Array[],
): void {
  context.strokeStyle = paint("--line-strong");
  context.lineWidth = 1;
  context.beginPath();
  for (const line of coast) {
    for (let i = 0; i < line.length; i += 2) {
      const [x, y] = project(view, box, { lon: line[i] ?? 0, lat: line[i + 1] ?? 0 });
      if (i === 0) context.moveTo(x, y);
      else context.lineTo(x, y);
    }
  }
  context.stroke();
}

export function drawSpots(
  context: CanvasRenderingContext2D,
  view: View,
  box: Box,
  paint: Paint,
  spots: readonly MapSpot[],
  tone: (value: number | undefined) => Tone | undefined,
): void {
  const [cold, warm, edge] = [paint("--series-1"), paint("--series-2"), paint("--surface")];
  context.lineWidth = 1;
  context.strokeStyle = edge;
  for (const spot of spots) {
    const [x, y] = project(view, box, spot);
    const radius = radiusOf(spot);
    if (x < -radius || y < -radius || x > box.width + radius || y > box.height + radius) continue;
    const said = tone(spot.value);
    const share = Math.round((spot.warmth ?? 0) * STEPS) / STEPS;
    context.fillStyle = said ? paint(TONES[said]) : `color-mix(in oklab, ${cold}, ${warm} ${share * 100}%)`;
    context.globalAlpha = 0.82;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.globalAlpha = 1;
    context.stroke();
  }
  drawLabels(context, view, box, paint, spots);
}

/** Names beside spots, where there are few. */
function drawLabels(
  context: CanvasRenderingContext2D,
  view: View,
  box: Box,
  paint: Paint,
  spots: readonly MapSpot[],
): void {
  const seen = spots.filter((spot) => {
    const [x, y] = project(view, box, spot);
    return spot.label !== "" && x >= 0 && y >= 0 && x <= box.width && y <= box.height;
  });
  if (seen.length > 14) return;
  context.font = "11px 'Plex Sans', sans-serif";
  context.textBaseline = "middle";
  context.fillStyle = paint("--ink-2");
  for (const spot of seen) {
    const [x, y] = project(view, box, spot);
    context.fillText(spot.label, x + radiusOf(spot) + 4, y);
  }
}
