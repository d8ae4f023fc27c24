// A dashboard while it is edited: what is done to its panels, and back again. Pure. It must not know the page.

import type { Draft } from "../sql/dashboards";
import { moved } from "./layout";
import { COLUMNS, optionsOf, type Panel, TALLEST, withOption } from "./panel";

/** The draft, and those before it, newest last. */
export interface Editing {
  now: Draft;
  before: readonly Draft[];
}

const MOST_BEFORE = 100;

/** `merge`: the same thing goes on (a drag, letters of a title), so that it is undone at once. */
export function changed({ now, before }: Editing, change: Partial<Draft>, merge = false): Editing {
  const kept = merge ? before : [...before, now].slice(-MOST_BEFORE);
  return { now: { ...now, ...change }, before: kept };
}

export function undone(editing: Editing): Editing {
  const last = editing.before.at(-1);
  return last ? { now: last, before: editing.before.slice(0, -1) } : editing;
}

/** With a panel in the place of the one of that name, else at the end. */
export function withPanel(panels: readonly Panel[], panel: Panel, instead: string | undefined): Panel[] {
  if (!panels.some(({ name }) => name === instead)) return [...panels, panel];
  return panels.map((old) => (old.name === instead ? panel : old));
}

export function withoutPanel(panels: readonly Panel[], name: string): Panel[] {
  return panels.filter((panel) => panel.name !== name);
}

export function withPanelAt(panels: readonly Panel[], name: string, to: number): readonly Panel[] {
  const from = panels.findIndex((panel) => panel.name === name);
  return from < 0 || from === to ? panels : moved(panels, from, to);
}

/** With another size; the same panels if it has that size. */
export function resized(panels: readonly Panel[], name: string, width: number, height: number): readonly Panel[] {
  const panel = panels.find((p) => p.name === name);
  if (!panel) return panels;
  const [w, h] = [Math.min(Math.max(width, 1), COLUMNS), Math.min(Math.max(height, 1), TALLEST)];
  const now = optionsOf(panel);
  if (now.width === w && now.height === h) return panels;
  const raw = withOption(withOption(panel.raw, "width", String(w)), "height", String(h));
  return withPanel(panels, { ...panel, raw }, name);
}
