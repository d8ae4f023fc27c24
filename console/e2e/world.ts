// A server with a data directory of its own and a browser: made for a test and cleared away after it. Pages come from the
// server itself, or, for a page made for a test, from a door before it. It must not know what is tested.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { openDoor } from "./door";

const ROOT = resolve(import.meta.dirname, "..");
const OUT = join(ROOT, "e2e", "out");

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What is known of a port that nobody has. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done) => probe.listen(0, "127.0.0.1", done));
  const address = probe.address();
  await new Promise((done) => probe.close(done));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

export class World {
  /** Refusals by the policy, and errors that pages did not catch. */
  readonly complaints: string[] = [];
  private constructor(
    private server: ChildProcess,
    readonly port: number,
    private readonly httpPort: number,
    private readonly pgPort: number,
    private readonly data: string,
    private readonly browser: Browser,
    private readonly closeDoor: () => void,
  ) {}

  /** With the console that the server has, or with what is built in `dist`. */
  static async open(dist?: string): Promise<World> {
    mkdirSync(OUT, { recursive: true });
    const data = mkdtempSync(join(tmpdir(), "thalweg-console-"));
    const [httpPort, pgPort] = [await freePort(), await freePort()];
    const server = start(data, httpPort, pgPort);
    const door = dist === undefined ? undefined : await openDoor(dist, httpPort);
    const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
    const browser = await chromium.launch({ executablePath, args: ARGUMENTS, headless: true });
    const closeDoor = () => {
      door?.server.closeAllConnections();
      door?.server.close();
    };
    const world = new World(server, door?.port ?? httpPort, httpPort, pgPort, data, browser, closeDoor);
    await world.ready();
    return world;
  }

  get url(): string {
    return `http://localhost:${this.port}/`;
  }

  /** A page of a browser that knows nothing yet. */
  async page(options: BrowserContextOptions = {}): Promise<Page> {
    const context: BrowserContext = await this.browser.newContext({
      viewport: { width: 1280, height: 800 },
      ...options,
    });
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
      });
    });
    const page = await context.newPage();
    page.on("console", (message) => {
      const text = message.text();
      if (message.type() === "error" && !/^(Failed to load resource|WebSocket connection to)/.test(text))
        this.complaints.push(text);
    });
    page.on("pageerror", (error) => this.complaints.push(String(error.stack ?? error)));
    return page;
  }

  /** Puts `text` in the place of what is in the editor, as a user would. */
  async write(page: Page, text: string): Promise<void> {
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+A");
    await page.keyboard.press("Delete");
    await page.keyboard.insertText(text);
  }

  /** Runs SQL as root, or as who is given. */
  async sql(sql: string, basic?: string): Promise<unknown> {
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (basic) headers.authorization = `Basic ${Buffer.from(basic).toString("base64")}`;
    const response = await fetch(`http://localhost:${this.httpPort}/v1/sql`, {
      method: "POST",
      headers,
      body: JSON.stringify({ sql }),
    });
    const body = await response.text();
    if (!response.ok) throw new Error(`${sql}: ${body}`);
    return JSON.parse(body);
  }

  /** Hands rows in. */
  async ingest(relation: string, rows: object[], basic?: string): Promise<void> {
    const headers: Record<string, string> = { "content-type": "application/x-ndjson" };
    if (basic) headers.authorization = `Basic ${Buffer.from(basic).toString("base64")}`;
    const body = rows.map((row) => JSON.stringify(row)).join("\n");
    const response = await fetch(`http://localhost:${this.httpPort}/v1/ingest/${relation}`, {
      method: "POST",
      headers,
      body,
    });
    if (!response.ok) throw new Error(await response.text());
    await response.text();
  }

  /** Kills the server and starts it on the same data. */
  async restart(): Promise<void> {
    await stop(this.server);
    this.server = start(this.data, this.httpPort, this.pgPort);
    await this.ready();
  }

  /** Notes what the browser does, until `traced`. */
  async trace(page: Page): Promise<void> {
    await this.browser.startTracing(page, {
      categories: ["toplevel"],
    });
  }

  async traced(): Promise<Buffer> {
    return this.browser.stopTracing();
  }

  /** Where a picture goes. */
  picture(name: string): string {
    return join(OUT, `${name}.png`);
  }

  async close(): Promise<void> {
    await this.browser.close();
    this.closeDoor();
    await stop(this.server);
    rmSync(this.data, { recursive: true, force: true });
  }

  private async ready(): Promise<void> {
    for (let i = 0; i < 300; i++) {
      const answer = await fetch(`http://localhost:${this.httpPort}/readyz`).catch(() => undefined);
      if (answer?.ok) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error("the server does not become ready");
  }
}

function start(data: string, http: number, pg: number): ChildProcess {
  const binary = process.env.THALWEG_BIN;
  if (!binary) throw new Error("THALWEG_BIN is to name the server's binary");
  const flags = [
    "serve",
    "--data",
    data,
    "--http",
    `127.0.0.1:${http}`,
    "--pg",
    `127.0.0.1:${pg}`,
    "--workers",
    "1",
    "--log",
    "warn",
  ];
  return spawn(binary, flags, { stdio: ["ignore", "ignore", "inherit"] });
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null) return;
  const gone = new Promise((done) => server.once("exit", done));
  server.kill("SIGTERM");
  const patience = setTimeout(() => server.kill("SIGKILL"), 15_000);
  await gone;
  clearTimeout(patience);
}
