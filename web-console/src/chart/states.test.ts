import { expect, test } from "vitest";
import { distinct, stretches } from "./states";

const at = (seconds: number) => new Date(seconds * 1000).toISOString();

test("equal neighbours are one stretch, and the last one holds until the end", () => {
  const points: [string, boolean][] = [
    [at(0), false],
    [at(10), false],
    [at(20), true],
    [at(30), false],
  ];
  expect(stretches(points, 1, 50_000)).toEqual([
    { from: 0, to: 20_000, value: false },
    { from: 20_000, to: 30_000, value: true },
    { from: 30_000, to: 50_000, value: false },
  ]);
});

test("what would begin after the end is left out", () => {
  expect(stretches([[at(60), "on"]], 1, 50_000)).toEqual([]);
});

test("distinct values keep the order of their appearance, up to a limit", () => {
  const list = ["b", "a", "b", "c"].map((value, index) => ({ from: index, to: index + 1, value }));
  expect(distinct(list, 9)).toEqual(["b", "a", "c"]);
  expect(distinct(list, 2)).toEqual(["b", "a"]);
});
