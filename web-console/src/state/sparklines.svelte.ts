/** The last day of many series for small lines, fetched in batches as they come into view. */

import { SvelteMap } from "svelte/reactivity";
import { api } from "../api/client";
import { asNumber } from "../chart/drawing";
import { clock } from "./clock.svelte";

export type Points = [ms: number, value: number | null][];

export const SPARK_SPAN_MS = 86_400_000;
const EVERY = "30m";
const EVERY_MS = 1_800_000;
const WAIT_MS = 120;
const BATCH_MAX = 40;
/** How long a line serves before it is asked for again. */
const FRESH_MS = 120_000;
const KEEP_MAX = 3_000;

export interface Series {
  thing: string;
  property: string;
}

const keyOf = (series: Series) => `${series.thing}/${series.property}`;

class Sparklines {
  private readonly lines = new SvelteMap<string, Points>();
  private readonly askedAt = new Map<string, number>();
  private wanted: Series[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  of(series: Series): Points | undefined {
    return this.lines.get(keyOf(series));
  }

  /** These are in view now; a later call takes the place of one not yet sent. */
  want(list: readonly Series[]): void {
    const now = clock.read();
    this.wanted = list.filter((one) => now - (this.askedAt.get(keyOf(one)) ?? -Infinity) > FRESH_MS);
    clearTimeout(this.timer);
    if (this.wanted.length) this.timer = setTimeout(() => this.send(), WAIT_MS);
  }

  /** A request asks for things × properties: the properties of one thing go together, or the things with one. */
  private send(): void {
    const list = this.wanted;
    this.wanted = [];
    const [first] = list;
    if (first && list.every((one) => one.thing === first.thing)) {
      const properties = list.map((one) => one.property);
      for (const part of parts(properties)) void this.fetch([first.thing], part);
      return;
    }
    for (const property of new Set(list.map((one) => one.property))) {
      const things = list.filter((one) => one.property === property).map((one) => one.thing);
      for (const part of parts(things)) void this.fetch(part, [property]);
    }
  }

  private async fetch(things: string[], properties: string[]): Promise<void> {
    const now = clock.read();
    const keys = things.flatMap((thing) => properties.map((property) => keyOf({ thing, property })));
    for (const key of keys) this.askedAt.set(key, now);
    const from = new Date(Math.floor((now - SPARK_SPAN_MS) / EVERY_MS) * EVERY_MS).toISOString();
    const query = { thing: things, property: properties, from, every: EVERY, aggregate: ["avg"] };
    try {
      const answer = await api.history(query);
      if (this.lines.size > KEEP_MAX) this.lines.clear();
      for (const key of keys) this.lines.set(key, []);
      for (const series of answer.series) {
        const points = series.points.map(([time, value]): Points[number] => [
          Date.parse(time),
          asNumber(value),
        ]);
        this.lines.set(keyOf(series), points);
      }
    } catch {
      // A line that is missing is no error worth a message; it is asked for again when next in view.
      for (const key of keys) this.askedAt.delete(key);
    }
  }
}

function* parts(list: string[]): Generator<string[]> {
  for (let start = 0; start < list.length; start += BATCH_MAX) yield list.slice(start, start + BATCH_MAX);
}

export const sparklines = new Sparklines();
