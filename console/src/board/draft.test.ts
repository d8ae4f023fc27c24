import { expect, test } from "vitest";
import type { Draft } from "../sql/dashboards";
import { changed, resized, undone, withoutPanel, withPanel, withPanelAt } from "./draft";
import { FIELDS } from "./fields";
import { KINDS, optionsOf, type Panel } from "./panel";

const panel = (name: string): Panel => ({ name, kind: "line", query: "SELECT 1", raw: {} });
const PANELS = [panel("a"), panel("b"), panel("c")];
const names = (panels: readonly Panel[]) => panels.map(({ name }) => name).join("");

test("panels are added, changed, moved and taken away", () => {
  expect(names(withPanel(PANELS, panel("d"), undefined))).toBe("abcd");
  expect(names(withPanel(PANELS, panel("d"), "b"))).toBe("adc");
  expect(names(withPanelAt(PANELS, "a", 2))).toBe("bca");
  expect(withPanelAt(PANELS, "a", 0)).toBe(PANELS);
  expect(names(withoutPanel(PANELS, "b"))).toBe("ac");
});

test("a size stays within the grid; the same size is no change", () => {
  const sizeOf = (panels: readonly Panel[]) => panels[1] && optionsOf(panels[1]);
  expect(sizeOf(resized(PANELS, "b", 40, 0))).toMatchObject({ width: 12, height: 1 });
  expect(resized(PANELS, "b", 6, 4)).toBe(PANELS);
});

test("what was done is undone, a drag as one", () => {
  const draft: Draft = { schema: "public", name: "d", title: "", panels: PANELS };
  let editing = changed({ now: draft, before: [] }, { panels: PANELS.slice(1) });
  for (const title of ["L", "Le", "Lev"]) editing = changed(editing, { title }, title !== "L");
  expect(undone(editing).now).toMatchObject({ title: "", panels: PANELS.slice(1) });
  expect(undone(undone(editing)).now).toBe(draft);
  expect(undone({ now: draft, before: [] }).now).toBe(draft);
});

test("every option of a form is one that panels know", () => {
  for (const kind of KINDS) {
    const known = Object.keys(optionsOf(panel("a")));
    expect(known).toEqual(expect.arrayContaining(FIELDS[kind].map(({ key }) => key)));
  }
});
