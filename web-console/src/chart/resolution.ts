/** How finely a stretch of time is asked for, so that there are about as many points as pixels. */

export interface Span {
  /** Milliseconds since the epoch. */
  from: number;
  to: number;
}

export interface Plan extends Span {
  /** Seconds of a bucket; 0 asks for the readings themselves. */
  everyS: number;
}

/** Multiples that divide into the historian's minutes, hours and days, so that its rollups serve them. */
const STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
  604_800, 2_592_000,
] as const;

/** Single readings are drawn up to this many a pixel of width; more become buckets. */
export const READINGS_PER_PIXEL = 2;
/** A bucket has a band of minimum and maximum, so that more than one a pixel would show nothing more. */
const BUCKETS_PER_PIXEL = 1;
/** What is fetched beyond each edge of the view, so that a short pan needs nothing. */
const MARGIN = 0.1;
/** Single readings are fetched so many beyond each edge, for the line to go on to where it leaves the view. */
const MARGIN_READINGS = 3;

export function everyFor(spanMs: number, pointsMax: number): number {
  const finest = spanMs / 1000 / Math.max(1, pointsMax);
  return STEPS_S.find((step) => step >= finest) ?? Math.ceil(finest / 2_592_000) * 2_592_000;
}

/** The bucket as the history's `every` parameter. */
export function everyText(seconds: number): string {
  if (seconds % 86_400 === 0) return `${seconds / 86_400}d`;
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  if (seconds % 60 === 0) return `${seconds / 60}m`;
  return `${seconds}s`;
}

/**
 * What to fetch for a view: a little more than it shows, on a grid, so that near views ask for the same and the
 * cache can answer. `perSecond` is how dense the readings are, where that is known.
 */
export function planFor(view: Span, widthPx: number, perSecond: number | undefined): Plan {
  const span = Math.max(1, view.to - view.from);
  if (perSecond !== undefined) {
    const beyond = perSecond > 0 ? (MARGIN_READINGS / perSecond) * 1000 : 0;
    const raw = onGrid(view, span, Math.max(span * MARGIN, beyond));
    if ((perSecond * (raw.to - raw.from)) / 1000 <= widthPx * READINGS_PER_PIXEL)
      return { ...raw, everyS: 0 };
  }
  const { from, to } = onGrid(view, span, span * MARGIN);
  const everyS = everyFor(to - from, widthPx * BUCKETS_PER_PIXEL);
  // A bucket must not be cut at the edge of what is fetched: its average would be another.
  const bucket = everyS * 1000;
  return { from: Math.floor(from / bucket) * bucket, to: Math.ceil(to / bucket) * bucket, everyS };
}

function onGrid(view: Span, span: number, beyond: number): Span {
  const grid = 2 ** Math.floor(Math.log2(span)) / 8;
  return {
    from: Math.floor((view.from - beyond) / grid) * grid,
    to: Math.ceil((view.to + beyond) / grid) * grid,
  };
}
