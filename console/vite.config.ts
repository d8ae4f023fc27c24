// How the console is built: relative names with hashes, nothing inline, so that it may be served from any path under a
// policy without 'unsafe-inline'.
import { defineConfig } from "vite";

const SERVER = process.env.THALWEG_URL ?? "http://localhost:4567";

export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: {
    proxy: {
      "/v1": { target: SERVER, ws: true },
      "/metrics": SERVER,
      "/readyz": SERVER,
    },
  },
  test: { include: ["src/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
