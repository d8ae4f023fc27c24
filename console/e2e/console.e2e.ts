// The console against the real server: signing in, making a source and a view in the editor, rows that change live.

import { afterAll, beforeAll, expect, test } from "vitest";
import { World } from "./world";

let world: World;

beforeAll(async () => {
  world = await World.open();
});

afterAll(async () => {
  await world?.close();
});

test("a query runs end to end", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/sql`);
  const sockets: string[] = [];
  page.on("websocket", (socket) => sockets.push(socket.url()));
  await world.write(page, "SELECT 1 AS one, 'x' AS two");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("region", { name: "Rows of the live result" }).waitFor();
  await page.screenshot({ path: world.picture("first") });
  expect(sockets).toHaveLength(1);
  expect(world.complaints).toEqual([]);
});
