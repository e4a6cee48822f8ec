import { describe, expect, test } from "vitest";
import type { HistorySeries } from "../api/types";
import { drawingOf, plotColumns, withLive, type Drawing } from "./drawing";

const T0 = Date.UTC(2026, 0, 1) / 1000;
const at = (seconds: number) => new Date((T0 + seconds) * 1000).toISOString();
const plan = (everyS: number) => ({ from: T0 * 1000, to: (T0 + 3600) * 1000, everyS });

function raw(...points: [number, number | null][]): Drawing {
  const series: HistorySeries = {
    thing: "pump",
    property: "pressure",
    unit: "kPa",
    columns: ["time", "value"],
    points: points.map(([seconds, value]) => [at(seconds), value]),
  };
  return drawingOf(series, plan(0));
}

function buckets(): Drawing {
  const series: HistorySeries = {
    thing: "pump",
    property: "pressure",
    unit: "kPa",
    columns: ["time", "avg", "min", "max", "count"],
    points: [
      [at(0), 2, 1, 3, 2],
      [at(60), 4, 4, 4, 1],
    ],
  };
  return drawingOf(series, plan(60));
}

describe("a drawing", () => {
  test("of readings has no band", () => {
    const drawing = raw([0, 1], [10, 2]);
    expect(drawing.times).toEqual([T0, T0 + 10]);
    expect(drawing.values).toEqual([1, 2]);
    expect(drawing.low).toEqual([]);
    expect(drawing.total).toBe(2);
  });

  test("of buckets knows how many readings are behind it", () => {
    const drawing = buckets();
    expect(drawing.low).toEqual([1, 4]);
    expect(drawing.high).toEqual([3, 4]);
    expect(drawing.total).toBe(3);
  });

  test("of nothing is empty", () => {
    expect(drawingOf(undefined, plan(0)).times).toEqual([]);
  });
});

describe("a live value", () => {
  test("is added to readings", () => {
    expect(withLive(raw([0, 1]), (T0 + 5) * 1000, 7).values).toEqual([1, 7]);
  });

  test("that is late or repeated is left to the next fetch", () => {
    const drawing = raw([0, 1], [10, 2]);
    expect(withLive(drawing, (T0 + 10) * 1000, 9)).toBe(drawing);
    expect(withLive(drawing, (T0 + 3) * 1000, 9)).toBe(drawing);
  });

  test("changes the average and the band of the bucket it falls into", () => {
    const drawing = withLive(buckets(), (T0 + 100) * 1000, 8);
    expect(drawing.times).toHaveLength(2);
    expect(drawing.values[1]).toBe(6);
    expect(drawing.low[1]).toBe(4);
    expect(drawing.high[1]).toBe(8);
    expect(drawing.counts[1]).toBe(2);
  });

  test("begins a bucket of its own", () => {
    const drawing = withLive(buckets(), (T0 + 150) * 1000, 8);
    expect(drawing.times.at(-1)).toBe(T0 + 120);
    expect([drawing.values.at(-1), drawing.low.at(-1), drawing.high.at(-1)]).toEqual([8, 8, 8]);
  });
});

describe("the columns of a plot", () => {
  test("break the line where the thing was silent", () => {
    const [times, values] = plotColumns(raw([0, 1], [10, 2], [20, 3], [300, 4], [310, 5]));
    expect(values).toEqual([1, 2, 3, null, 4, 5]);
    expect(times).toHaveLength(6);
    expect(times[3]).toBe(T0 + 160);
  });

  test("do not break it at irregular steps", () => {
    expect(plotColumns(raw([0, 1], [10, 2], [35, 3], [50, 4]))[1]).toEqual([1, 2, 3, 4]);
  });

  test("do not break it where the pace changes", () => {
    const hourly = [0, 3600, 7200, 10_800].map((second): [number, number] => [second, 1]);
    const fast = [14_400, 14_405, 14_410, 14_415, 14_420, 14_425, 14_430].map((second): [number, number] => [
      second,
      2,
    ]);
    expect(plotColumns(raw(...hourly, ...fast))[1]).not.toContain(null);
  });

  test("two readings are joined, whatever lies between them", () => {
    expect(plotColumns(raw([0, 1], [100_000, 2]))[1]).toEqual([1, 2]);
  });
});
