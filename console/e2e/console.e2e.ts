// The console against the real server: a source and a view made in the editor, rows that change live, a server that goes
// away and comes back, users and what they may not see.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { World } from "./world";

let world: World;

beforeAll(async () => {
  world = await World.open();
});

afterAll(async () => {
  await world?.close();
});

const rowsOf = (page: Page) => page.getByRole("region", { name: "Rows of the live result" });

/** Runs `sql` in the editor and waits for what `done` says is there then. */
async function runInEditor(page: Page, sql: string, done: string): Promise<void> {
  await world.write(page, sql);
  await page.keyboard.press("Control+Enter");
  await page.getByText(done, { exact: true }).waitFor();
}

test("from nothing to rows that change live, over a WebSocket", async () => {
  const page = await world.page();
  const sockets: string[] = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await page.goto(world.url);
  await page.getByText("Nothing runs yet.").waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await page.locator(".cm-content").waitFor();
  await runInEditor(page, "CREATE SOURCE clicks (page varchar, visitor bigint);", "CREATE SOURCE");
  await runInEditor(
    page,
    "CREATE MATERIALIZED VIEW pages AS SELECT page, count(*) AS views FROM clicks GROUP BY page;",
    "CREATE MATERIALIZED VIEW",
  );
  await world.write(page, "SELECT page, views FROM pages ORDER BY views DESC");
  await page.keyboard.press("Control+Enter");
  await rowsOf(page).waitFor();
  await world.ingest("clicks", [
    { page: "/a", visitor: 1 },
    { page: "/a", visitor: 2 },
    { page: "/b", visitor: 1 },
  ]);
  await rowsOf(page).getByRole("row", { name: "/a 2" }).waitFor();
  await world.ingest("clicks", [{ page: "/a", visitor: 3 }]);
  await rowsOf(page).getByRole("row", { name: "/a 3" }).waitFor();
  expect(await rowsOf(page).getByRole("row").allInnerTexts()).toHaveLength(3);
  expect(sockets).toHaveLength(1);

  await page.getByLabel("Show").selectOption({ label: "views over time" });
  await page.getByRole("img", { name: "views over time" }).waitFor();
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("the editor completes names of the catalog", async () => {
  await world.sql("CREATE TABLE parts (vendor varchar, weight integer)");
  const page = await world.page();
  await page.goto(`${world.url}#/sql`);
  await page.locator(".cm-content").waitFor();
  // The catalog is asked for when the page opens.
  await page.waitForTimeout(500);
  await world.write(page, "SELECT v FROM parts");
  await page.keyboard.press("Home");
  for (let i = 0; i < 8; i++) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Control+Space");
  await page.getByRole("option", { name: /^vendor/ }).waitFor();
  // A choice that has only just appeared is not taken.
  await page.waitForTimeout(200);
  await page.keyboard.press("Enter");
  expect(await page.locator(".cm-content").textContent()).toBe("SELECT vendor FROM parts");
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("what is wrong is said and its place is marked; what cannot be followed is asked once", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/sql`);
  await world.write(page, "SELECT page FROM pagez");
  await page.keyboard.press("Control+Enter");
  await page.getByText("relation pagez does not exist").waitFor();
  await page.locator(".cm-fault", { hasText: "pagez" }).waitFor();
  for (const live of [true, false]) {
    await page.getByRole("switch", { name: "Live" }).setChecked(live);
    await world.write(page, "SELECT '🌊' AS a;\n\nSELECT page\nFROM pagez");
    await page.keyboard.press("Control+A");
    await page.keyboard.press("Control+Enter");
    await page.locator(".cm-fault", { hasText: "pagez" }).waitFor();
  }
  await page.getByRole("switch", { name: "Live" }).check();
  await world.write(page, "SELECT name FROM thalweg_catalog.sources");
  await page.keyboard.press("Control+Enter");
  await page.getByText("This cannot be followed; it was asked once.").waitFor();
  await page.getByRole("cell", { name: "clicks" }).waitFor();
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("a plan is drawn, and the flow of all jobs", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/sql`);
  await world.write(page, "SELECT page, count(*) FROM clicks GROUP BY page");
  await page.keyboard.press("Control+Shift+Enter");
  const plan = page.getByRole("group", { name: "The plan, drawn" });
  await plan.waitFor();
  expect(await plan.getByText("clicks", { exact: false }).count()).toBeGreaterThan(0);
  expect(await plan.getByText("Aggregate partial", { exact: true }).count()).toBe(1);

  await page.goto(`${world.url}#/flow`);
  await page.getByRole("button", { name: /^pages\b/ }).click();
  await page.getByRole("group", { name: "The operators of pages" }).waitFor();
  await page.getByText("CREATE MATERIALIZED VIEW pages AS").waitFor();
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("a server that was away: the same rows, and what was missed", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/sql`);
  await world.write(page, "SELECT page, views FROM pages");
  await page.keyboard.press("Control+Enter");
  await rowsOf(page).getByRole("row", { name: "/a 3" }).waitFor();
  const restarted = world.restart();
  await page.getByText(/connection lost, trying again/).waitFor();
  await restarted;
  await world.ingest("clicks", [{ page: "/a", visitor: 9 }]);
  await rowsOf(page).getByRole("row", { name: "/a 4" }).waitFor();
  await page.locator(".live-badge.live").waitFor();
  expect(await rowsOf(page).getByRole("row").allInnerTexts()).toHaveLength(3);
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("quarantined rows are tried again", async () => {
  await world.sql("CREATE TABLE orders (id bigint PRIMARY KEY, amount integer) EXPECT (positive CHECK (amount > 0))");
  await world.sql("INSERT INTO orders VALUES (1, 5), (2, -5)");
  const page = await world.page();
  await page.goto(`${world.url}#/objects/public/orders`);
  await page.getByRole("tab", { name: "Quality" }).click();
  await page.getByRole("cell", { name: "-5" }).waitFor();
  await world.sql('UPDATE "orders$quarantine" SET amount = 7 WHERE id = 2');
  await page.getByRole("cell", { name: "7", exact: true }).waitFor();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText(/1 row went in\./).waitFor();
  await page.getByRole("tab", { name: "Rows" }).click();
  await page.getByRole("cell", { name: "7", exact: true }).waitFor();
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("users sign in; what one may not see is said; signing out ends it", async () => {
  await world.sql("CREATE USER ann PASSWORD 'river'");
  await world.sql("ALTER USER root PASSWORD 'sea'");
  const page = await world.page();
  await page.goto(world.url);
  await page.getByLabel("User").fill("ann");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("Name or password is wrong.").waitFor();
  await page.screenshot({ path: world.picture("sign-in") });
  await page.getByLabel("Password").fill("river");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();

  await page.goto(`${world.url}#/sql`);
  await world.write(page, "SELECT * FROM pages");
  await page.keyboard.press("Control+Enter");
  await page.getByText("You may not see this.").waitFor();
  await page.screenshot({ path: world.picture("forbidden") });
  await world.sql("GRANT SELECT ON pages TO ann", "root:sea");
  await page.keyboard.press("Control+Enter");
  await rowsOf(page).getByRole("row", { name: "/a 4" }).waitFor();
  await world.ingest("clicks", [{ page: "/c", visitor: 1 }], "root:sea");
  await rowsOf(page).getByRole("row", { name: "/c 1" }).waitFor();

  // Nothing of it outlives the tab, and nothing is in the address.
  expect(page.url()).not.toContain("river");
  expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toMatch(/token|ann/);
  await page.reload();
  await page.getByRole("heading", { name: "SQL" }).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("User").waitFor();
  await page.reload();
  await page.getByLabel("User").waitFor();
  expect(world.complaints).toEqual([]);
  await page.context().close();
});
