/** Boolean and text series as stretches of equal state. */

import type { HistorySeries, Value } from "../api/types";

export interface Stretch {
  /** Milliseconds since the epoch. */
  from: number;
  to: number;
  value: Value;
}

/** Consecutive equal values become one stretch; the last one holds until `end`. */
export function stretches(points: HistorySeries["points"], column: number, end: number): Stretch[] {
  const out: Stretch[] = [];
  for (const point of points) {
    const at = Date.parse(point[0]);
    const value = point[column] ?? null;
    const last = out.at(-1);
    if (last && last.value === value) continue;
    if (last) last.to = at;
    out.push({ from: at, to: end, value });
  }
  return out.filter((one) => one.to > one.from);
}

/** The differing values in order of their first appearance; the order gives them their colours. */
export function distinct(list: readonly Stretch[], max: number): Value[] {
  const seen = new Set<Value>();
  for (const one of list) {
    seen.add(one.value);
    if (seen.size >= max) break;
  }
  return [...seen];
}
