// Which cell of the grid a point of the window is in, by the grid as it is drawn. It must not know panels.

/** The cell, from 0; it may be beyond the last row. */
export function cellAt(board: HTMLElement, x: number, y: number): { column: number; row: number } {
  const style = getComputedStyle(board);
  const { left, top } = board.getBoundingClientRect();
  const tracks = style.gridTemplateColumns.split(" ").map(Number.parseFloat);
  const [gap, rowHeight] = [Number.parseFloat(style.columnGap) || 0, Number.parseFloat(style.gridAutoRows) || 1];
  const wide = (tracks[0] ?? 1) + gap;
  const column = Math.min(Math.max(Math.floor((x - left) / wide), 0), tracks.length - 1);
  return { column, row: Math.max(Math.floor((y - top) / (rowHeight + gap)), 0) };
}
