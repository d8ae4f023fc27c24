// `Arrange`: panels on the grid, moved and resized by pointer or keys. What a panel is comes first in the page as long as
// it is moved: it would lose the focus otherwise; only its place changes. It must not know what panels show.

import { useRef, useState } from "preact/hooks";
import { resized, withPanelAt } from "../../board/draft";
import { indexAt, type Place, place } from "../../board/layout";
import { optionsOf, type Panel, titleOf } from "../../board/panel";
import { Icon } from "../../ui/icon";
import { cellAt } from "./cells";
import { PanelView } from "./panel-view";
import { placeStyle } from "./place-style";

interface Props {
  panels: readonly Panel[];
  /** `merge`: it goes on with the last change. */
  onChange: (panels: readonly Panel[], merge: boolean) => void;
  onEdit: (panel: Panel) => void;
  onRemove: (panel: Panel) => void;
}

const STEPS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export function Arrange({ panels, onChange, onEdit, onRemove }: Props) {
  const board = useRef<HTMLDivElement>(null);
  const [held, setHeld] = useState<string>();
  const [said, setSaid] = useState("");
  const latest = useRef(panels);
  latest.current = panels;
  const sizes = (of: readonly Panel[]) => place(of.map(optionsOf));
  const places = sizes(panels);

  const put = (next: readonly Panel[], name: string, merge: boolean) => {
    if (next === latest.current) return;
    latest.current = next;
    onChange(next, merge);
    const at = next.findIndex((panel) => panel.name === name);
    setSaid(saidOf(next, at, sizes(next)[at]));
  };
  /** Follows the pointer until it is let go. */
  const hold = (event: PointerEvent, panel: Panel, onMove: (x: number, y: number) => readonly Panel[]) => {
    if (event.button !== 0) return;
    event.preventDefault();
    (event.currentTarget as HTMLElement).focus();
    setHeld(panel.name);
    let merge = false;
    const move = ({ clientX, clientY }: PointerEvent) => {
      const next = onMove(clientX, clientY);
      if (next === latest.current) return;
      put(next, panel.name, merge);
      merge = true;
    };
    const end = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
      setHeld(undefined);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
  };
  const moveBy = (panel: Panel) => (x: number, y: number) => {
    const now = latest.current;
    const cell = board.current && cellAt(board.current, x, y);
    const at = now.findIndex(({ name }) => name === panel.name);
    return cell ? withPanelAt(now, panel.name, indexAt(sizes(now), at, cell.column, cell.row)) : now;
  };
  const resizeBy = (panel: Panel) => (x: number, y: number) => {
    const now = latest.current;
    const cell = board.current && cellAt(board.current, x, y);
    const from = sizes(now)[now.findIndex(({ name }) => name === panel.name)];
    if (!cell || !from) return now;
    return resized(now, panel.name, cell.column - from.column + 1, cell.row - from.row + 1);
  };
  const onMoveKey = (event: KeyboardEvent, panel: Panel, at: number) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const to = Math.min(Math.max(at + step[0] + step[1], 0), panels.length - 1);
    put(withPanelAt(panels, panel.name, to), panel.name, false);
  };
  const onResizeKey = (event: KeyboardEvent, panel: Panel) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const { width, height } = optionsOf(panel);
    put(resized(panels, panel.name, width + step[0], height + step[1]), panel.name, false);
  };

  const inPage = panels.map((panel, at) => ({ panel, at })).sort((a, b) => (a.panel.name < b.panel.name ? -1 : 1));
  return (
    <>
      <div ref={board} class={held ? "board arranging held" : "board arranging"}>
        {inPage.map(({ panel, at }) => {
          const title = titleOf(panel);
          const { width, height } = optionsOf(panel);
          return (
            <section
              key={panel.name}
              class={held === panel.name ? "board-panel held" : "board-panel"}
              style={placeStyle(places[at], at)}
              aria-label={panel.name}
            >
              <header class="panel-head">
                <button
                  type="button"
                  class="quiet handle"
                  aria-label={`Move ${title}, ${at + 1} of ${panels.length}: arrow keys`}
                  onPointerDown={(event) => hold(event, panel, moveBy(panel))}
                  onKeyDown={(event) => onMoveKey(event, panel, at)}
                >
                  <Icon name="move" />
                </button>
                <h2>{title}</h2>
                <button type="button" class="quiet" aria-label={`Edit ${title}`} onClick={() => onEdit(panel)}>
                  <Icon name="edit" />
                </button>
                <button type="button" class="quiet" aria-label={`Remove ${title}`} onClick={() => onRemove(panel)}>
                  <Icon name="bin" />
                </button>
              </header>
              <PanelView panel={panel} window={undefined} headless />
              <button
                type="button"
                class="quiet handle corner"
                aria-label={`Resize ${title}, ${width} by ${height}: arrow keys`}
                onPointerDown={(event) => hold(event, panel, resizeBy(panel))}
                onKeyDown={(event) => onResizeKey(event, panel)}
              >
                <Icon name="resize" />
              </button>
            </section>
          );
        })}
      </div>
      <p class="unseen" role="status" aria-live="polite">
        {said}
      </p>
    </>
  );
}

function saidOf(panels: readonly Panel[], at: number, placed: Place | undefined): string {
  const panel = panels[at];
  if (!panel || !placed) return "";
  const { row, column, width, height } = placed;
  return `${titleOf(panel)}: ${at + 1} of ${panels.length}, row ${row + 1}, column ${column + 1}, ${width} by ${height}`;
}
