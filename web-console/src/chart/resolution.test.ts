import { describe, expect, test } from "vitest";
import { everyFor, everyText, planFor, READINGS_PER_PIXEL } from "./resolution";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 22, 8, 30, 12, 345);

describe("the bucket", () => {
  test.each([
    [HOUR, 1000, 5],
    [DAY, 1440, 60],
    [7 * DAY, 1200, 600],
    [365 * DAY, 1200, 43_200],
    [10 * 365 * DAY, 1200, 604_800],
  ])("of %d ms on %d points is %d s", (span, points, expected) => {
    expect(everyFor(span, points)).toBe(expected);
  });

  test("grows beyond the list for centuries", () => {
    expect((400 * 365 * DAY) / 1000 / everyFor(400 * 365 * DAY, 100)).toBeLessThanOrEqual(100);
  });

  test.each([
    [1, "1s"],
    [90, "90s"],
    [300, "5m"],
    [7200, "2h"],
    [604_800, "7d"],
  ])("of %d s is written %s", (seconds, text) => expect(everyText(seconds)).toBe(text));
});

describe("the plan for a view", () => {
  const spans = [2_000, 61_000, HOUR, 5 * HOUR, DAY, 7 * DAY, 31 * DAY, 366 * DAY, 30 * 366 * DAY];

  test.each(spans)("of %d ms covers it, with at most one bucket a pixel", (span) => {
    for (const width of [320, 900, 2400]) {
      const view = { from: NOW - span, to: NOW };
      const plan = planFor(view, width, undefined);
      expect(plan.from).toBeLessThanOrEqual(view.from);
      expect(plan.to).toBeGreaterThanOrEqual(view.to);
      // Whole buckets at both ends may add two.
      expect((plan.to - plan.from) / 1000 / plan.everyS).toBeLessThanOrEqual(width + 2);
    }
  });

  test("begins and ends with a whole bucket", () => {
    const plan = planFor({ from: NOW - 7 * DAY, to: NOW }, 900, undefined);
    expect(plan.from % (plan.everyS * 1000)).toBe(0);
    expect(plan.to % (plan.everyS * 1000)).toBe(0);
  });

  test("asks for the readings themselves where they are few", () => {
    expect(planFor({ from: NOW - DAY, to: NOW }, 900, 1 / 3600).everyS).toBe(0);
    expect(planFor({ from: NOW - DAY, to: NOW }, 900, 1).everyS).toBeGreaterThan(0);
    const few = planFor({ from: NOW - DAY, to: NOW }, 900, (900 * READINGS_PER_PIXEL * 0.6) / 86_400);
    expect(few.everyS).toBe(0);
  });

  test("goes beyond the view by some readings, however closely one looks", () => {
    const plan = planFor({ from: NOW - 60_000, to: NOW }, 900, 1 / 3600);
    expect(plan.everyS).toBe(0);
    expect(plan.from).toBeLessThanOrEqual(NOW - 60_000 - 3 * HOUR);
    expect(plan.to).toBeGreaterThanOrEqual(NOW + 3 * HOUR);
  });

  test("is the same for a view a little to the side, so that the cache can answer", () => {
    const view = { from: NOW - DAY, to: NOW };
    const aside = { from: view.from + 60_000, to: view.to + 60_000 };
    expect(planFor(aside, 900, undefined)).toEqual(planFor(view, 900, undefined));
  });
});
