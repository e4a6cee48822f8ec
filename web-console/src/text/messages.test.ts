import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import allEn from "../messages/en.json";
import mqttEn from "../messages/mqtt.en.json";
import mqttZh from "../messages/mqtt.zh.json";
import allZh from "../messages/zh.json";
import { interpolate, pluralSuffix } from "./interpolate";

const en = { ...allEn, ...mqttEn };
const zh = { ...allZh, ...mqttZh };
const SOURCE = join(import.meta.dirname, "..");

/** Every key of the catalogue that stands in the sources as a literal; plural stems stand for their forms. */
function usedLiterals(): Set<string> {
  const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" });
  const code = files.filter((name) => /\.(svelte|ts)$/.test(name) && !name.endsWith(".test.ts"));
  const text = code.map((name) => readFileSync(join(SOURCE, name), "utf8")).join("\n");
  return new Set(
    [...text.matchAll(/"([a-z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+)+)"/g)].map((match) => match[1] ?? ""),
  );
}

const stem = (key: string) => key.replace(/\.(one|other)$/, "");
const placeholders = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

describe("the catalogues", () => {
  test("have the same keys", () => {
    // Chinese has no singular form.
    const english = Object.keys(en).filter((key) => !key.endsWith(".one"));
    expect(Object.keys(zh).sort()).toEqual(english.sort());
  });

  test("have no key that nothing uses", () => {
    const used = usedLiterals();
    expect(Object.keys(en).filter((key) => !used.has(stem(key)) && !used.has(key))).toEqual([]);
  });

  test("have a text for each key, with the same places to fill in", () => {
    for (const [key, text] of Object.entries(zh)) {
      expect(text.trim(), key).not.toBe("");
      expect(placeholders(text), key).toEqual(placeholders(en[key as keyof typeof en]));
    }
  });

  test("are in order, so that changes are easy to see", () => {
    for (const catalogue of [allEn, allZh, mqttEn, mqttZh])
      expect(Object.keys(catalogue)).toEqual(Object.keys(catalogue).sort());
  });
});

test("places are filled in, and what is missing stays visible", () => {
  expect(interpolate("{a} of {b}", { a: 1 })).toBe("1 of {b}");
});

test("plural forms follow the language", () => {
  expect([0, 1, 2].map((count) => pluralSuffix(count, "en"))).toEqual(["other", "one", "other"]);
  expect(pluralSuffix(1, "zh-CN")).toBe("other");
});
