import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const platform = process.env.ALLTHINGS_HTTP ?? "http://127.0.0.1:8484";
const outDir = "../src/allthings/console/static";
/** Smaller files do not gain from it. */
const COMPRESS_BYTES_MIN = 1024;

/** What only the pages about MQTT need. */
const MQTT_ONLY = /src\/(api\/mqtt\.ts|(components|state)\/mqtt\/)/;

/** Beside each file a packed one, which the platform sends to browsers that understand it. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    closeBundle() {
      for (const name of readdirSync(outDir, { recursive: true, encoding: "utf8" })) {
        if (!/\.(js|css|html|svg)$/.test(name)) continue;
        const data = readFileSync(join(outDir, name));
        if (data.length < COMPRESS_BYTES_MIN) continue;
        writeFileSync(join(outDir, `${name}.br`), brotliCompressSync(data));
        writeFileSync(join(outDir, `${name}.gz`), gzipSync(data, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [svelte(), compressed()],
  build: {
    outDir,
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    rolldownOptions: {
      // What several pages share is one file, not twenty; what only those of MQTT share is not for the others.
      output: {
        codeSplitting: {
          groups: [
            { name: "shared", test: (id) => !MQTT_ONLY.test(id), minShareCount: 2, priority: 2 },
            { name: "mqtt-pages", test: MQTT_ONLY, minShareCount: 2, priority: 1 },
          ],
        },
      },
    },
    license: { fileName: "licenses.md" },
  },
  server: {
    // `npm run dev` beside a running platform.
    proxy: { "/api": platform, "/things": platform },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
