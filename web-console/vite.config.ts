import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

const platform = process.env.ALLTHINGS_HTTP ?? "http://127.0.0.1:8484";

export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: "../src/allthings/console/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.md" },
  },
  server: {
    // `npm run dev` beside a running platform.
    proxy: { "/api": platform, "/things": platform },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
