/** Fetches the history of one series at the resolution that a chart can show. */

import type { HistorySeries } from "../api/types";
import { LruCache } from "./cache";
import { AGGREGATES, drawingOf, type Drawing } from "./drawing";
import { everyText, planFor, READINGS_PER_PIXEL, zoneOf, type Plan, type Span } from "./resolution";
import { Together, type Found } from "./together";

/** Answers kept, for all charts together. */
const CACHE_MAX = 60;
/** The past can be corrected by late readings, so even it is asked for again after a while. */
const PAST_MS = 300_000;
/** Whatever reaches up to now is soon out of date. */
const OPEN_MS = 2_000;

const cache = new LruCache<HistorySeries | undefined>(CACHE_MAX);
const together = new Together();
const rfc3339 = (ms: number) => new Date(ms).toISOString();

export interface Answer {
  series: HistorySeries | undefined;
  plan: Plan;
}

export class SeriesSource {
  /** Readings a second, learned from what was fetched. */
  perSecond: number | undefined;

  constructor(
    readonly thing: string,
    readonly property: string,
  ) {}

  plan(view: Span, widthPx: number): Plan {
    return planFor(view, widthPx, this.perSecond);
  }

  /** `early` is handed a coarse drawing when a finer one is still on its way. */
  async drawing(
    view: Span,
    widthPx: number,
    now: number,
    signal: AbortSignal,
    early: (drawing: Drawing) => void,
  ): Promise<Drawing> {
    const coarse = ({ series, plan }: Answer) => early(drawingOf(series, plan));
    const { series, plan } = await this.fetch(view, widthPx, AGGREGATES, now, signal, coarse);
    return drawingOf(series, plan);
  }

  /** As single readings where they are few enough, else in buckets with the aggregates given ("count" among them). */
  async fetch(
    view: Span,
    widthPx: number,
    aggregates: readonly string[],
    now: number,
    signal: AbortSignal,
    early: (answer: Answer) => void = () => {},
  ): Promise<Answer> {
    const pointsMax = Math.round(widthPx * READINGS_PER_PIXEL);
    const first = this.plan(view, widthPx);
    if (first.everyS === 0) {
      const raw = await this.ask(first, [], pointsMax * 2, now, signal);
      if (raw.complete) return { series: raw.series, plan: first };
      // Denser here than elsewhere.
      this.perSecond = undefined;
    }
    const plan = this.plan(view, widthPx);
    const { series } = await this.ask(plan, aggregates, undefined, now, signal);
    const total = countOf(series);
    this.perSecond = total / ((Math.min(plan.to, now) - plan.from) / 1000);
    if (total > pointsMax || total === 0) return { series, plan };
    early({ series, plan });
    const finer = { ...this.plan(view, widthPx), everyS: 0 };
    const raw = await this.ask(finer, [], pointsMax * 2, now, signal);
    return raw.complete ? { series: raw.series, plan: finer } : { series, plan };
  }

  private async ask(
    plan: Plan,
    aggregates: readonly string[],
    limit: number | undefined,
    now: number,
    signal: AbortSignal,
  ): Promise<Found> {
    const zone = zoneOf(plan.everyS);
    const query = {
      thing: this.thing,
      from: rfc3339(plan.from),
      to: rfc3339(plan.to),
      ...(plan.everyS ? { every: everyText(plan.everyS), aggregate: aggregates } : {}),
      ...(zone ? { zone } : {}),
      ...(limit ? { limit } : {}),
    };
    const key = JSON.stringify([this.property, query]);
    const known = cache.get(key, now);
    if (known) return { series: known, complete: true };
    const found = await together.ask(query, this.property, signal);
    if (found.complete) cache.set(key, found.series, now + (plan.to < now ? PAST_MS : OPEN_MS));
    return found;
  }
}

function countOf(series: HistorySeries | undefined): number {
  const column = series?.columns.indexOf("count") ?? -1;
  if (!series || column < 0) return 0;
  return series.points.reduce((sum, point) => sum + Number(point[column] ?? 0), 0);
}
