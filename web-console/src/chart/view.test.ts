import { expect, test } from "vitest";
import { ChartView, isPreset, PRESETS } from "./view.svelte";

const NOW = 1_700_000_000_000;

function view() {
  let now = NOW;
  return { view: new ChartView(() => now), pass: (ms: number) => (now += ms) };
}

test("begins with the last day and follows the clock", () => {
  const { view: shown, pass } = view();
  expect(shown.span).toBe(PRESETS["24h"]);
  pass(600_000);
  shown.tick(1000);
  expect(shown.to).toBe(NOW + 600_000);
  expect(shown.span).toBe(PRESETS["24h"]);
});

test("does not move for less than a pixel", () => {
  const { view: shown, pass } = view();
  pass(1000);
  shown.tick(1000);
  expect(shown.to).toBe(NOW);
});

test("begins closer where all there is came within the last hour", () => {
  const { view: shown } = view();
  shown.fit(NOW - 2 * PRESETS["1h"]);
  expect(shown.preset).toBe("24h");
  shown.fit(NOW - 600_000);
  expect(shown.preset).toBe("1h");
});

test("a stretch that a person chose stays", () => {
  const { view: shown } = view();
  shown.choose("24h");
  shown.fit(NOW - 600_000);
  expect(shown.preset).toBe("24h");
});

test("stays where a person moved it", () => {
  const { view: shown, pass } = view();
  shown.pan(-3_600_000);
  expect(shown.follow).toBe(false);
  expect(shown.preset).toBeNull();
  pass(600_000);
  shown.tick(1000);
  expect(shown.to).toBe(NOW - 3_600_000);
});

test("zooms around a time", () => {
  const { view: shown } = view();
  const around = NOW - 6 * 3_600_000;
  const share = (around - shown.from) / shown.span;
  shown.zoom(0.5, around);
  expect(shown.span).toBe(PRESETS["24h"] / 2);
  expect((around - shown.from) / shown.span).toBeCloseTo(share, 9);
});

test("keeps the present in view when zooming without a place", () => {
  const { view: shown } = view();
  shown.zoom(0.5);
  expect(shown.to).toBe(NOW);
  expect(shown.follow).toBe(true);
});

test("goes down to seconds, and not far into the future", () => {
  const { view: shown } = view();
  for (let step = 0; step < 60; step++) shown.zoom(0.5, NOW - 1000);
  expect(shown.span).toBe(2_000);
  shown.choose("7d");
  for (let step = 0; step < 20; step++) shown.pan(shown.span);
  expect(shown.to - NOW).toBeLessThan(shown.span * 0.06);
});

test("comes back to now", () => {
  const { view: shown } = view();
  shown.set({ from: NOW - 9_000_000, to: NOW - 8_000_000 });
  shown.toNow();
  expect([shown.to, shown.span, shown.follow]).toEqual([NOW, 1_000_000, true]);
});

test("shows everything since the first reading", () => {
  const { view: shown } = view();
  shown.choose("all", NOW - 500 * 86_400_000);
  expect(shown.from).toBeLessThan(NOW - 500 * 86_400_000);
});

test("knows its presets", () => {
  expect(isPreset("1y")).toBe(true);
  expect(isPreset("2y")).toBe(false);
  expect(isPreset(null)).toBe(false);
});
