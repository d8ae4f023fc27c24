// What a browser loads: all of the console's scripts together, gzipped, are within the bound.

import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

const ASSETS = resolve(import.meta.dirname, "..", "dist", "assets");
const MOST_BYTES = 300_000;

test("the scripts have at most 300 kB, gzipped", () => {
  const scripts = readdirSync(ASSETS).filter((name) => name.endsWith(".js"));
  expect(scripts.length).toBeGreaterThan(5);
  const bytes = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(ASSETS, name)), { level: 9 }).length, 0);
  console.log(`${scripts.length} scripts, ${Math.round(bytes / 1000)} kB gzipped`);
  expect(bytes).toBeLessThanOrEqual(MOST_BYTES);
});
