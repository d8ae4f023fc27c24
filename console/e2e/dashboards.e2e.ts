// Dashboards: made, arranged, shown live, exported and imported; a view that goes away, a phone, a screen on a wall.

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { create, DASHBOARD } from "./example";
import { World } from "./world";

let world: World;

beforeAll(async () => {
  world = await World.open();
  await create(world);
  await reading("Kaub", 3);
});

afterAll(async () => {
  await world?.close();
});

async function reading(station: string, level: number): Promise<void> {
  await world.ingest("readings", [{ station, level, flow: level * 100, at: new Date().toISOString() }]);
}

/** The one value of an answer. */
async function value(sql: string): Promise<number> {
  const { rows } = (await world.sql(sql)) as { rows: number[][] };
  return rows[0]?.[0] ?? Number.NaN;
}

const panel = (page: Page, name: string) => page.getByRole("region", { name, exact: true });

/** Where panels are, from the left and top, in pixels of the window. */
async function placesOf(page: Page, ...names: string[]): Promise<{ x: number; y: number; width: number }[]> {
  const found: { x: number; y: number; width: number }[] = [];
  for (const name of names) {
    const box = await panel(page, name).boundingBox();
    if (!box) throw new Error(`no panel ${name}`);
    found.push(box);
  }
  return found;
}

test("a dashboard is made of queries, arranged by keys and pointer, saved, and live", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/dashboards`);
  await page.getByText("There are none yet").waitFor();
  await page.getByRole("link", { name: "New dashboard" }).click();
  await page.getByLabel("Title").fill("The river's levels");
  await page.getByRole("button", { name: "Add a panel" }).click();
  const form = page.getByRole("dialog");
  await form.getByLabel("Title").fill("Readings");
  await form.getByLabel("Shown as").selectOption("number");
  await world.write(page, "SELECT sum(readings) AS readings FROM levels");
  await form.getByText("1", { exact: true }).waitFor();
  await form.getByRole("button", { name: "Add" }).click();

  await page.getByRole("button", { name: "Add a panel" }).click();
  await form.getByLabel("Title").fill("By station");
  await form.getByLabel("Shown as").selectOption("table");
  await world.write(page, "SELECT station, readings FROM levels; SELECT 2");
  await form.getByRole("button", { name: "Add" }).click();
  await form.getByText("There is more than one statement.").waitFor();
  await world.write(page, "SELECT station, readings FROM levels");
  await form.getByRole("cell", { name: "Kaub" }).waitFor();
  await form.getByRole("checkbox", { name: "readings" }).check();
  await form.getByRole("button", { name: "Add" }).click();

  // By keys: the table first, and narrower.
  await page.getByRole("button", { name: /^Move By station, 2 of 2/ }).press("ArrowLeft");
  await page.getByRole("button", { name: /^Move By station, 1 of 2/ }).waitFor();
  await page.getByRole("button", { name: /^Resize By station, 6 by 4/ }).press("ArrowLeft");
  await page.getByRole("button", { name: /^Resize By station, 5 by 4/ }).waitFor();
  let [table, number] = await placesOf(page, "by_station", "readings");
  expect(table?.x).toBeLessThan(number?.x ?? 0);
  // By pointer: back again.
  const handle = await page.getByRole("button", { name: /^Move By station/ }).boundingBox();
  await page.mouse.move((handle?.x ?? 0) + 5, (handle?.y ?? 0) + 5);
  await page.mouse.down();
  await page.mouse.move((number?.x ?? 0) + 60, (number?.y ?? 0) + 60, { steps: 5 });
  await page.mouse.up();
  await page.getByRole("button", { name: /^Move By station, 2 of 2/ }).waitFor();
  await page.screenshot({ path: world.picture("dashboard-edit") });
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("button", { name: /^Move By station, 1 of 2/ }).waitFor();

  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: "The river's levels" }).waitFor();
  await panel(page, "readings").getByText("1", { exact: true }).waitFor();
  await reading("Kaub", 4);
  await panel(page, "readings").getByText("2", { exact: true }).waitFor();
  [table, number] = await placesOf(page, "by_station", "readings");
  expect(table?.x).toBeLessThan(number?.x ?? 0);
  expect(await panel(page, "by_station").getByRole("columnheader").allInnerTexts()).toHaveLength(1);
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("what is exported can be imported; a file that does more is refused", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/dashboards/public/the_river_s_levels`);
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Export" }).click(),
  ]);
  expect(file.suggestedFilename()).toBe("the_river_s_levels.sql");
  const text = readFileSync(await file.path(), "utf8");
  expect(text).toContain("DASHBOARD the_river_s_levels TITLE 'The river''s levels'");

  page.on("dialog", (dialog) => dialog.accept());
  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByRole("button", { name: "Drop" }).click();
  await page.getByText("There are none yet").waitFor();
  const take = (sql: string) =>
    page
      .getByLabel("A file to import")
      .setInputFiles({ name: "board.sql", mimeType: "text/plain", buffer: Buffer.from(sql) });
  await take(`${text}; DROP TABLE stations`);
  await page.getByText(/it also holds “DROP TABLE stations”/).waitFor();
  await take(text);
  await page.getByRole("link", { name: /The river's levels/ }).click();
  await panel(page, "readings").getByText("2", { exact: true }).waitFor();
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("every kind of panel, live; what a panel shows is not dropped", async () => {
  await world.sql("CREATE MATERIALIZED VIEW passing AS SELECT station, level FROM readings WHERE level > 0");
  await world.sql(`${DASHBOARD}, PANEL passing TABLE (SELECT station, level FROM passing)`);
  const page = await world.page({ viewport: { width: 1400, height: 1300 } });
  await page.goto(`${world.url}#/dashboards/public/rivers`);
  // What passed before the view was there is not in it.
  await panel(page, "passing").getByText("No rows.").waitFor();
  await reading("Kaub", 4.5);
  await panel(page, "passing").getByRole("cell", { name: "Kaub" }).first().waitFor();
  await panel(page, "places").getByText("1 spot").waitFor();
  await panel(page, "peaks").getByRole("img", { name: "Peak flow: 1 line" }).waitFor();
  const mean = await value("SELECT max(mean_level) FROM levels");
  await panel(page, "highest")
    .getByText(`${mean.toFixed(2)} m`)
    .waitFor();
  await panel(page, "highest").getByText("near the limit").waitFor();
  await panel(page, "heights")
    .getByRole("img", { name: /Highest by window: 1 row by \d+ column/ })
    .waitFor();

  await expect(world.sql("DROP MATERIALIZED VIEW passing")).rejects.toThrow(/dashboard rivers depends on/);
  const many = await value("SELECT sum(readings) FROM levels");
  await reading("Kaub", 4);
  await panel(page, "total")
    .getByText(String(many + 1), { exact: true })
    .waitFor();
  const flow = await value("SELECT max(peak_flow) FROM levels");
  await panel(page, "peaks").getByText(`peak_flow ${flow} m³/s`).waitFor();
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("panels that show the same query follow it once", async () => {
  const same = "(SELECT station, readings FROM levels)";
  await world.sql(`CREATE DASHBOARD twice AS PANEL a TABLE ${same}, PANEL b BAR ${same}`);
  const page = await world.page();
  const sockets: string[] = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await page.goto(`${world.url}#/dashboards/public/twice`);
  await panel(page, "a").getByRole("cell", { name: "Kaub" }).waitFor();
  await panel(page, "b").getByRole("img").waitFor();
  expect(sockets).toHaveLength(1);
  await page.context().close();
});

test("full screen has nothing else, and an address; a phone has one column", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/dashboards/public/rivers/kiosk`);
  await panel(page, "total").waitFor();
  expect(await page.getByRole("navigation", { name: "Pages" }).isVisible()).toBe(false);
  await page.keyboard.press("Escape");
  await page.getByRole("navigation", { name: "Pages" }).waitFor();

  await page.setViewportSize({ width: 390, height: 844 });
  const boxes = await placesOf(page, "total", "highest", "rates", "stations");
  expect(new Set(boxes.map(({ x, width }) => `${x} ${width}`)).size).toBe(1);
  expect(boxes.map(({ y }) => y)).toEqual(boxes.map(({ y }) => y).sort((a, b) => a - b));
  expect(world.complaints).toEqual([]);
  await page.context().close();
});
