/** What a chart draws of one series: columns of numbers, and how new values are added at the right edge. */

import type { HistorySeries, Value } from "../api/types";
import { bucketStart, type Plan } from "./resolution";

export interface Drawing extends Plan {
  /** Seconds since the epoch, growing. */
  times: number[];
  /** The values; averages of the buckets when `everyS` is not 0. */
  values: (number | null)[];
  /** Band of the buckets; empty for single readings. */
  low: (number | null)[];
  high: (number | null)[];
  /** Readings in each bucket, for averages that live values go on changing. */
  counts: number[];
  /** The readings behind the points. */
  total: number;
}

export const AGGREGATES = ["avg", "min", "max", "count"] as const;

/** A step this many times the usual one around it is a gap in the line. */
const GAP_FACTOR = 4;
/** As many steps before and after tell what is usual. */
const NEIGHBOURS = 5;
/** Fewer points do not tell what is usual. */
const USUAL_MIN = 4;

/** Where on the axis a value is, as near as a pixel. */
export const asNumber = (value: Value | undefined): number | null =>
  typeof value === "number"
    ? value
    : typeof value === "boolean" || typeof value === "bigint"
      ? Number(value)
      : null;

export function drawingOf(series: HistorySeries | undefined, plan: Plan): Drawing {
  const drawing: Drawing = { ...plan, times: [], values: [], low: [], high: [], counts: [], total: 0 };
  if (!series) return drawing;
  const column = (name: string) => series.columns.indexOf(name);
  const banded = plan.everyS > 0;
  const at = {
    value: column(banded ? "avg" : "value"),
    low: column("min"),
    high: column("max"),
    count: column("count"),
  };
  for (const point of series.points) {
    drawing.times.push(Date.parse(point[0]) / 1000);
    drawing.values.push(asNumber(point[at.value]));
    if (!banded) continue;
    drawing.low.push(asNumber(point[at.low]));
    drawing.high.push(asNumber(point[at.high]));
    drawing.counts.push(asNumber(point[at.count]) ?? 0);
  }
  drawing.total = banded ? drawing.counts.reduce((sum, count) => sum + count, 0) : drawing.times.length;
  return drawing;
}

/** The drawing with one more reading at its end. Older or repeated readings are left to the next fetch. */
export function withLive(drawing: Drawing, timeMs: number, value: number): Drawing {
  const last = drawing.times.length - 1;
  const lastTime = drawing.times[last] ?? -Infinity;
  if (drawing.everyS === 0) {
    if (timeMs / 1000 <= lastTime) return drawing;
    return {
      ...drawing,
      times: [...drawing.times, timeMs / 1000],
      values: [...drawing.values, value],
      total: drawing.total + 1,
    };
  }
  const bucket = bucketStart(timeMs, drawing.everyS) / 1000;
  if (bucket < lastTime) return drawing;
  const fresh = bucket > lastTime;
  const count = fresh ? 0 : (drawing.counts[last] ?? 0);
  const average = fresh ? 0 : (drawing.values[last] ?? 0);
  const put = <T>(column: T[], item: T): T[] => (fresh ? [...column, item] : [...column.slice(0, -1), item]);
  return {
    ...drawing,
    times: put(drawing.times, bucket),
    values: put(drawing.values, (average * count + value) / (count + 1)),
    low: put(drawing.low, fresh ? value : Math.min(drawing.low[last] ?? value, value)),
    high: put(drawing.high, fresh ? value : Math.max(drawing.high[last] ?? value, value)),
    counts: put(drawing.counts, count + 1),
    total: drawing.total + 1,
  };
}

/** Whether the thing was silent before each point: a step much longer than the steps around it. */
export function silences(times: readonly number[]): boolean[] {
  const steps = times.slice(1).map((time, index) => time - (times[index] ?? time));
  const out = times.map(() => false);
  if (times.length < USUAL_MIN) return out;
  // Where the pace itself changes (hourly in the past, seconds now) one side has the same pace, so the slower counts.
  steps.forEach((step, index) => {
    const before = median(steps.slice(Math.max(0, index - NEIGHBOURS), index));
    const after = median(steps.slice(index + 1, index + 1 + NEIGHBOURS));
    out[index + 1] = step > GAP_FACTOR * Math.max(before, after);
  });
  return out;
}

/** 0 for an empty list. */
function median(list: number[]): number {
  return list.sort((a, b) => a - b)[list.length >> 1] ?? 0;
}

export type Columns = [times: number[], ...values: (number | null)[][]];

/** The columns for the plot (time, value, low, high) with a null wherever the thing was silent. */
export function plotColumns(drawing: Drawing): Columns {
  const { times, values } = drawing;
  const low = drawing.everyS ? drawing.low : values;
  const high = drawing.everyS ? drawing.high : values;
  const silent = silences(times);
  const out: Columns = [[], [], [], []];
  const [x, ...columns] = out;
  times.forEach((time, index) => {
    const before = times[index - 1];
    if (before !== undefined && silent[index]) {
      x.push((before + time) / 2);
      for (const column of columns) column.push(null);
    }
    x.push(time);
    columns[0]?.push(values[index] ?? null);
    columns[1]?.push(low[index] ?? null);
    columns[2]?.push(high[index] ?? null);
  });
  return out;
}
