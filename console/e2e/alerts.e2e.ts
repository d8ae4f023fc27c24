// Alerts and models: an alert made with a form, fired, seen from every page, acknowledged and silenced; a prediction.

import { afterAll, beforeAll, expect, test } from "vitest";
import { create } from "./example";
import { World } from "./world";

let world: World;

beforeAll(async () => {
  world = await World.open();
  await create(world);
});

afterAll(async () => {
  await world?.close();
});

test("an alert from its making to its silence", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/alerts`);
  await page.getByText("There are none yet").waitFor();
  await page.getByRole("link", { name: "New alert" }).click();
  await page.getByLabel("Name").fill("flood");
  await page.getByLabel("Severity").selectOption("critical");
  await world.write(page, "SELECT station, mean_level FROM levels WHERE mean_level > 4");
  await page.getByRole("button", { name: "Add a channel" }).click();
  await page.getByPlaceholder(/^url/).waitFor();
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByText("NOTIFY webhook needs url.").waitFor();
  await page.getByPlaceholder(/^url/).fill("https://hooks.example/it's");
  await page.getByText("NOTIFY webhook WITH (url = 'https://hooks.example/it''s')").waitFor();
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("heading", { name: "flood" }).waitFor();
  await page.getByText("Nothing is wrong now.").waitFor();

  // What fires is seen from another page.
  await page.goto(`${world.url}#/objects`);
  await page.getByRole("link", { name: "Alerts", exact: true }).waitFor();
  world.fake.alerts.fire("flood", "Kaub", { station: "Kaub", mean_level: 4.5 });
  await page.getByRole("link", { name: "Alerts 1 firing" }).waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await page.getByRole("row", { name: /flood critical firing/ }).waitFor();
  await page.getByRole("link", { name: "flood" }).click();

  const instances = page.getByRole("region", { name: "Instances" });
  await instances.getByRole("row", { name: /^Kaub firing .* Kaub 4.5/ }).waitFor();
  await page.getByText("told", { exact: true }).waitFor();
  await instances.getByRole("button", { name: "Acknowledge Kaub" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Reason").fill("it's seen to");
  await dialog.getByRole("button", { name: "Acknowledge" }).click();
  await instances.getByText(/by root/).waitFor();

  await page.getByRole("button", { name: "Silence", exact: true }).click();
  await dialog.getByLabel("For").selectOption("4 hours");
  await dialog.getByRole("button", { name: "Silence" }).click();
  await page.getByText(/silenced, ends in 3 h 59 min/).waitFor();
  await page.getByRole("link", { name: "Alerts", exact: true }).waitFor();
  await page.screenshot({ path: world.picture("alert") });
  await page.getByRole("button", { name: "End silence" }).click();
  await page.getByRole("link", { name: "Alerts 1 firing" }).waitFor();

  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByLabel("Fires after").fill("a while");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText(/is no span of time/).waitFor();
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("a model tells what it takes, and predicts", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/models`);
  await page.getByText("CREATE MODEL flood_risk FROM").waitFor();
  await page.getByRole("link", { name: "flood_risk" }).click();
  await page.getByLabel("level (double)").fill("high");
  await page.getByRole("button", { name: "Predict" }).click();
  await page.getByText("level should be a value of type double").waitFor();
  await page.getByLabel("level (double)").fill("1.5");
  await page.getByLabel("flow (double)").fill("2");
  await page.getByRole("button", { name: "Predict" }).click();
  await page.getByRole("status").filter({ hasText: "3.5" }).waitFor();
  await page.screenshot({ path: world.picture("model") });
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("a server that keeps none of it says so", async () => {
  process.env.THALWEG_FAKE = "no";
  const page = await world.page();
  const [answer] = (await world.sql("SELECT 1; SELECT 2")) as { rows: number[][] }[];
  expect(answer?.rows).toEqual([[1]]);
  const keeps = await world.sql("SELECT id FROM thalweg_catalog.dashboards").then(
    () => true,
    () => false,
  );
  for (const [place, words] of [
    ["dashboards", "This server does not keep dashboards."],
    ["alerts", "This server has no alerts."],
    ["models", "This server does not keep models."],
  ] as const) {
    await page.goto(`${world.url}#/${place}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    if (!keeps) await page.getByText(words).waitFor();
  }
  delete process.env.THALWEG_FAKE;
  expect(world.complaints).toEqual([]);
  await page.context().close();
});
