// Pictures of every page, light, dark and on a phone, to be looked at by people.

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { create, furnish, pour } from "./example";
import { World } from "./world";

let world: World;
let stop: () => Promise<void>;

beforeAll(async () => {
  world = await World.open();
  await create(world);
  await furnish(world);
  await world.ingest("readings", [{ station: "Kaub", level: 1, flow: 2, at: new Date().toISOString() }]);
  await fetch(`${world.url}v1/ingest/readings`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: '{"station":"Kaub","level":"high"}\n{"station":\n',
  });
  stop = pour(world, 200);
}, 90_000);

afterAll(async () => {
  await stop?.();
  await world?.close();
});

const LOOKS = [
  { name: "light", options: { colorScheme: "light" as const } },
  { name: "dark", options: { colorScheme: "dark" as const } },
  {
    name: "phone",
    options: { colorScheme: "light" as const, viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
  },
];

async function shoot(page: Page, look: string, name: string): Promise<void> {
  await page.screenshot({ path: world.picture(`${look}-${name}`) });
}

test.each(LOOKS)("pictures, $name", async ({ name: look, options }) => {
  const page = await world.page(options);
  await page.goto(`${world.url}#/overview`);
  await page.getByRole("heading", { name: "Checkpoints" }).waitFor();
  await page.waitForTimeout(look === "light" ? 25_000 : 8_000);
  await shoot(page, look, "overview");

  await page.goto(`${world.url}#/sql`);
  await world.write(
    page,
    "SELECT station, readings, mean_level, peak_flow\nFROM levels\nWHERE readings > 1\nORDER BY station;",
  );
  await page.keyboard.press("Control+Enter");
  await page.getByRole("cell", { name: "Kaub" }).waitFor();
  await page.waitForTimeout(1000);
  await shoot(page, look, "sql");
  await page.keyboard.press("Control+Shift+Enter");
  await page.getByRole("group", { name: "The plan, drawn" }).waitFor();
  await shoot(page, look, "explain");
  await world.write(page, "SELECT mean FROM levels");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("alert").waitFor();
  await page.keyboard.press("End");
  await page.keyboard.type(" WHERE st");
  await page.waitForTimeout(500);
  await shoot(page, look, "wrong");

  await page.goto(`${world.url}#/flow`);
  await page.getByRole("group", { name: "What feeds what" }).waitFor();
  await page.waitForTimeout(3000);
  await shoot(page, look, "flow");
  await page.getByRole("button", { name: /^alarms / }).click();
  await page.getByRole("group", { name: "The operators of alarms" }).waitFor();
  await page.waitForTimeout(2000);
  await page.screenshot({ path: world.picture(`${look}-flow-detail`) });

  await page.goto(`${world.url}#/objects`);
  await page.getByRole("link", { name: /levels/ }).click();
  await page.getByRole("cell", { name: "Kaub" }).waitFor();
  await shoot(page, look, "objects");
  await page.goto(`${world.url}#/objects/public/orders`);
  await page.getByRole("tab", { name: "Quality" }).click();
  await page.getByRole("cell", { name: "Dresden" }).waitFor();
  await shoot(page, look, "quality");
  await page.goto(`${world.url}#/objects/public/readings`);
  await page.getByRole("tab", { name: "Dead letters" }).click();
  await page.getByRole("cell", { name: /column level/ }).waitFor();
  await shoot(page, look, "dead");

  await page.goto(`${world.url}#/dashboards`);
  await page.getByRole("link", { name: /Rivers/ }).waitFor();
  await shoot(page, look, "dashboards");
  await page.getByRole("link", { name: /Rivers/ }).click();
  await page.getByRole("cell", { name: "Kaub" }).waitFor();
  await page.waitForTimeout(6000);
  if (look !== "phone") await page.setViewportSize({ width: 1280, height: 1500 });
  await page.waitForTimeout(500);
  await shoot(page, look, "dashboard");
  if (look !== "phone") await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto(`${world.url}#/dashboards/public/rivers/edit`);
  await page.getByRole("button", { name: "Edit Mean level" }).click();
  await page.getByRole("dialog").getByRole("img").waitFor();
  await page.waitForTimeout(2000);
  await shoot(page, look, "panel-form");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.goto(`${world.url}#/alerts`);
  await page.getByRole("link", { name: "flood" }).waitFor();
  await shoot(page, look, "alerts");
  await page.getByRole("link", { name: "flood" }).click();
  await page.getByRole("button", { name: "Silence Kaub" }).waitFor();
  await shoot(page, look, "alert");
  await page.goto(`${world.url}#/alerts/public/flood/edit`);
  await page.locator(".cm-content").waitFor();
  await shoot(page, look, "alert-form");
  await page.keyboard.press("?");
  await page.waitForTimeout(200);
  await shoot(page, look, "help");
  await page.context().close();
  expect(world.complaints).toEqual([]);
});
