// The browser tests: one after the other, with time for a real server and a real browser.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["e2e/**/*.e2e.ts"], testTimeout: 300_000, hookTimeout: 120_000, fileParallelism: false },
});
