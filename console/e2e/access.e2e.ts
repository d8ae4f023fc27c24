// Whether every page can be used by all: axe's rules, contrast among them, in light and dark.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { create, furnish } from "./example";
import { World } from "./world";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let world: World;

beforeAll(async () => {
  world = await World.open();
  await create(world);
  await furnish(world);
});

afterAll(async () => {
  await world?.close();
});

async function wrongOn(page: Page): Promise<string[]> {
  // Not as a script of the page, which the policy would refuse.
  await page.evaluate(AXE);
  const results = (await page.evaluate("axe.run()")) as AxeResults;
  return results.violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.target.join(" ")} ${node.any[0]?.message ?? node.failureSummary ?? ""}`),
  );
}

const PLACES = [
  { at: "#/overview", ready: "Checkpoints" },
  { at: "#/sql", ready: "SQL" },
  { at: "#/flow/alarms", ready: "alarms" },
  { at: "#/objects", ready: "Objects" },
  { at: "#/objects/public/orders", ready: "orders" },
  { at: "#/dashboards", ready: "Dashboards" },
  { at: "#/dashboards/public/rivers", ready: "Rivers" },
  { at: "#/dashboards/public/rivers/edit", ready: "Edit Rivers" },
  { at: "#/alerts", ready: "Alerts" },
  { at: "#/alerts/public/flood", ready: "flood" },
  { at: "#/alerts/public/flood/edit", ready: "Edit flood" },
  { at: "#/models", ready: "Models" },
];

test.each(["light", "dark"] as const)("nothing is wrong, %s", async (colorScheme) => {
  const page = await world.page({ colorScheme });
  const wrong: string[] = [];
  for (const { at, ready } of PLACES) {
    await page.goto(`${world.url}${at}`);
    await page.getByRole("heading", { name: ready, exact: true }).waitFor();
    await page.waitForTimeout(1500);
    wrong.push(...(await wrongOn(page)).map((text) => `${at} ${text}`));
  }
  await page.goto(`${world.url}#/dashboards/public/rivers/edit`);
  await page.getByRole("button", { name: "Edit Mean level" }).click();
  await page.getByRole("dialog").waitFor();
  await page.waitForTimeout(1500);
  wrong.push(...(await wrongOn(page)).map((text) => `panel ${text}`));
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.goto(`${world.url}#/alerts/public/flood`);
  await page.getByRole("button", { name: "Silence Kaub" }).click();
  await page.getByRole("dialog").waitFor();
  wrong.push(...(await wrongOn(page)).map((text) => `silence ${text}`));
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.keyboard.press("?");
  await page.getByRole("dialog").waitFor();
  wrong.push(...(await wrongOn(page)).map((text) => `help ${text}`));
  expect(wrong).toEqual([]);
});
