// Coasts as lines of degrees, out of a topology's arcs (M. Bostock, C. Metcalf, The TopoJSON Format Specification, 2013,
// 2.1.3 and 2.1.4: differences of whole numbers, scaled and moved). Pure. It must not know how lines are drawn.

export interface Topology {
  transform: { scale: number[]; translate: number[] };
  arcs: number[][][];
}

/** Each line: longitudes and latitudes by turns. */
export function coastOf({ transform, arcs }: Topology): Float32Array[] {
  const [sx = 1, sy = 1] = transform.scale;
  const [tx = 0, ty = 0] = transform.translate;
  return arcs.map((arc) => {
    const line = new Float32Array(arc.length * 2);
    let [x, y] = [0, 0];
    for (const [i, [dx = 0, dy = 0]] of arc.entries()) {
      [x, y] = [x + dx, y + dy];
      line[2 * i] = x * sx + tx;
      line[2 * i + 1] = y * sy + ty;
    }
    return line;
  });
}
