import { expect, test } from "vitest";
import { LruCache } from "./cache";

test("forgets what was used least lately", () => {
  const cache = new LruCache<number>(2);
  cache.set("a", 1, 100);
  cache.set("b", 2, 100);
  expect(cache.get("a", 0)).toBe(1);
  cache.set("c", 3, 100);
  expect(cache.get("b", 0)).toBeUndefined();
  expect(cache.get("a", 0)).toBe(1);
  expect(cache.get("c", 0)).toBe(3);
});

test("forgets what is out of date", () => {
  const cache = new LruCache<number>(2);
  cache.set("a", 1, 100);
  expect(cache.get("a", 99)).toBe(1);
  expect(cache.get("a", 100)).toBeUndefined();
});
