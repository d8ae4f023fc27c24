// The world on a plane, equirectangular: a degree is as long everywhere (E. W. Grafarend, F. W. Krumm, Map Projections,
// 2006, chapter 10: plate carrée). What is in sight of it, moved and enlarged. Pure. It must not know what is drawn.

/** What is in sight: its middle, in degrees, and pixels for a degree. */
export interface View {
  lon: number;
  lat: number;
  scale: number;
}

export interface Box {
  width: number;
  height: number;
}

export interface Spot {
  lon: number;
  lat: number;
}

/** Pixels for a degree at most: about a hundred metres for each. */
const NEAREST = 1000;

export function project(view: View, { width, height }: Box, { lon, lat }: Spot): [x: number, y: number] {
  return [width / 2 + (lon - view.lon) * view.scale, height / 2 - (lat - view.lat) * view.scale];
}

export function unproject(view: View, { width, height }: Box, x: number, y: number): Spot {
  return { lon: view.lon + (x - width / 2) / view.scale, lat: view.lat - (y - height / 2) / view.scale };
}

/** Scale at which the whole world is seen. */
function farthest({ width, height }: Box): number {
  return Math.max(Math.min(width / 360, height / 180), 0.01);
}

/** Not farther than the whole world, and never off it. */
export function kept(view: View, box: Box): View {
  const scale = Math.min(Math.max(view.scale, farthest(box)), NEAREST);
  const within = (middle: number, half: number, seen: number) => {
    const room = Math.max(half - seen / 2 / scale, 0);
    return Math.min(Math.max(middle, -room), room);
  };
  return { scale, lon: within(view.lon, 180, box.width), lat: within(view.lat, 90, box.height) };
}

/** Enlarged by a factor, so that what is at a pixel stays there. */
export function zoomed(view: View, box: Box, factor: number, x = box.width / 2, y = box.height / 2): View {
  const fixed = unproject(view, box, x, y);
  const { scale } = kept({ ...view, scale: view.scale * factor }, box);
  const lon = fixed.lon - (x - box.width / 2) / scale;
  const lat = fixed.lat + (y - box.height / 2) / scale;
  return kept({ lon, lat, scale }, box);
}

/** Moved by pixels. */
export function shifted(view: View, box: Box, dx: number, dy: number): View {
  return kept({ ...view, lon: view.lon - dx / view.scale, lat: view.lat + dy / view.scale }, box);
}

/** All spots in sight, with some air; the whole world if there are none. */
export function around(spots: readonly Spot[], box: Box): View {
  if (spots.length === 0) return kept({ lon: 0, lat: 0, scale: 0 }, box);
  let [west, east, south, north] = [180, -180, 90, -90];
  for (const { lon, lat } of spots) {
    [west, east] = [Math.min(west, lon), Math.max(east, lon)];
    [south, north] = [Math.min(south, lat), Math.max(north, lat)];
  }
  // A single place is shown with its surroundings.
  const [wide, high] = [Math.max((east - west) * 1.25, 4), Math.max((north - south) * 1.25, 4)];
  const scale = Math.min(box.width / wide, box.height / high);
  return kept({ lon: (west + east) / 2, lat: (south + north) / 2, scale }, box);
}

const STEPS = [30, 15, 10, 5, 2, 1, 0.5, 0.25, 0.1];

/** Degrees between lines of the net, so that they are about a hundred pixels apart. */
export function netStep({ scale }: View): number {
  return STEPS.find((step) => step * scale <= 140) ?? 0.1;
}
