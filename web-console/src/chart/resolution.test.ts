import { describe, expect, test } from "vitest";
import {
  bucketEnd,
  bucketStart,
  everyFor,
  everyText,
  planFor,
  READINGS_PER_PIXEL,
  zoneOf,
} from "./resolution";

process.env["TZ"] = "Europe/Berlin";

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
    [86_400, "1d"],
    [604_800, "1w"],
    [2_592_000, "1mo"],
    [7_862_400, "3mo"],
    [31_536_000, "1y"],
    [63_072_000, "2y"],
  ])("of %d s is written %s", (seconds, text) => expect(everyText(seconds)).toBe(text));
});

describe("a bucket of a day and more", () => {
  test.each([
    // The clocks are put forward on 29 March and back on 25 October.
    ["1d", 86_400, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"],
    ["1d", 86_400, "2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"],
    ["1d", 86_400, "2026-10-25T23:00:00Z", "2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z"],
    ["2d", 172_800, "1970-01-01T12:00:00Z", "1969-12-31T23:00:00Z", "1970-01-02T23:00:00Z"],
    ["1w", 604_800, "2026-03-29T12:00:00Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"],
    ["1mo", 2_592_000, "2026-02-28T23:30:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"],
    ["1mo", 2_592_000, "2026-02-10T00:00:00Z", "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z"],
    ["3mo", 7_862_400, "2026-06-30T12:00:00Z", "2026-03-31T22:00:00Z", "2026-06-30T22:00:00Z"],
    ["1y", 31_536_000, "2025-12-31T23:30:00Z", "2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z"],
    ["2y", 63_072_000, "2027-06-01T00:00:00Z", "2025-12-31T23:00:00Z", "2027-12-31T23:00:00Z"],
  ])("of %s is the viewer's", (text, everyS, time, start, end) => {
    expect(everyText(everyS)).toBe(text);
    expect(zoneOf(everyS)).toBe("Europe/Berlin");
    const ms = Date.parse(time);
    expect(new Date(bucketStart(ms, everyS)).toISOString()).toBe(start.replace("Z", ".000Z"));
    expect(new Date(bucketEnd(ms, everyS)).toISOString()).toBe(end.replace("Z", ".000Z"));
  });

  test.each([86_400, 604_800, 2_592_000, 7_862_400, 31_536_000])(
    "of %d s follows the one before",
    (everyS) => {
      let at = bucketStart(Date.UTC(2019, 5, 1), everyS);
      for (let count = 0; count < 100; count += 1) {
        const end = bucketEnd(at, everyS);
        expect(end).toBeGreaterThan(at);
        expect(bucketStart(end - 1, everyS)).toBe(at);
        expect(bucketStart(end, everyS)).toBe(end);
        at = end;
      }
    },
  );

  test("is UTC's when it is shorter", () => {
    expect(zoneOf(43_200)).toBeUndefined();
    expect(bucketStart(Date.UTC(2026, 6, 1, 13), 43_200)).toBe(Date.UTC(2026, 6, 1, 12));
    expect(bucketEnd(Date.UTC(2026, 6, 1, 13), 43_200)).toBe(Date.UTC(2026, 6, 2));
  });
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
