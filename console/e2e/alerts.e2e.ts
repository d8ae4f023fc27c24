// Alerts: one made with a form, fired, told to a real receiver, seen from every page, acknowledged, silenced, resolved; what a
// server does not keep.

import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { create } from "./example";
import { World } from "./world";

let world: World;
let receiver: Server;
/** What the receiver was told. */
const told: { instance: string; transition: string }[] = [];

beforeAll(async () => {
  world = await World.open();
  await create(world);
  receiver = createServer(async (incoming, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of incoming) pieces.push(piece as Buffer);
    told.push(JSON.parse(Buffer.concat(pieces).toString()));
    response.writeHead(204).end();
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
});

afterAll(async () => {
  receiver?.close();
  await world?.close();
});

/** The address of the receiver, with a quote in it. */
function hook(): string {
  const address = receiver.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}/it's`;
}

/** Waits until the receiver was told these of Kaub, and nothing else. */
async function heard(...transitions: string[]): Promise<void> {
  const all = transitions.map((transition) => ({ instance: "Kaub", transition }));
  await expect.poll(() => told, { timeout: 20_000 }).toMatchObject(all);
}

async function levelOf(station: string, ...levels: number[]): Promise<void> {
  const at = new Date().toISOString();
  await world.ingest(
    "readings",
    levels.map((level) => ({ station, level, flow: 100, at })),
  );
}

test("an alert from its making to its end", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/alerts`);
  await page.getByText("There are none yet").waitFor();
  await page.getByRole("link", { name: "New alert" }).click();
  await page.getByLabel("Name").fill("flood");
  await page.getByLabel("Severity").selectOption("critical");
  await page.getByLabel("Fires after").fill("1 second");
  await world.write(page, "SELECT station, mean_level FROM levels WHERE mean_level > 4");
  await page.getByRole("button", { name: "Add a channel" }).click();
  await page.getByPlaceholder(/^url/).waitFor();
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByText("NOTIFY webhook needs url.").waitFor();
  await page.getByPlaceholder(/^url/).fill(hook());
  await page.getByText(`NOTIFY webhook WITH (url = '${hook().replace("'", "''")}')`).waitFor();
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("heading", { name: "flood" }).waitFor();
  await page.getByText("Nothing is wrong now.").waitFor();

  // What fires is seen from another page.
  await page.goto(`${world.url}#/objects`);
  await page.getByRole("link", { name: "Alerts", exact: true }).waitFor();
  await levelOf("Kaub", 4.5);
  await page.getByRole("link", { name: "Alerts 1 firing" }).waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("a");
  await page.getByRole("row", { name: /flood critical firing/ }).waitFor();
  await page.getByRole("link", { name: "flood" }).click();

  const instances = page.getByRole("region", { name: "Instances" });
  await instances.getByRole("row", { name: /^Kaub firing .* Kaub 4.5/ }).waitFor();
  await heard("pending", "firing");
  await expect.poll(() => page.getByText("told", { exact: true }).count(), { timeout: 20_000 }).toBe(2);
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
  await page.getByRole("button", { name: "End silence", exact: true }).click();
  await page.getByRole("link", { name: "Alerts 1 firing" }).waitFor();

  // The river falls.
  await levelOf("Kaub", 1, 1, 1);
  await page.getByText("Nothing is wrong now.").waitFor();
  await page.getByRole("link", { name: "Alerts", exact: true }).waitFor();
  await heard("pending", "firing", "resolved");

  await page.getByRole("link", { name: "Edit" }).click();
  // Where it is told to is not told; nothing is saved without it.
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("NOTIFY webhook needs url.").waitFor();
  await page.getByPlaceholder(/^url/).fill(hook());
  await page.getByLabel("Fires after").fill("a while");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText(/is no span of time/).waitFor();
  expect(world.complaints).toEqual([]);
  await page.context().close();
});

test("a server that keeps no models says so", async () => {
  const page = await world.page();
  await page.goto(`${world.url}#/models`);
  await page.getByText("This server does not keep models.").waitFor();
  expect(world.complaints).toEqual([]);
  await page.context().close();
});
