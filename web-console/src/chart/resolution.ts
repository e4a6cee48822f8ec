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

const DAY_S = 86_400;
const DAY_MS = DAY_S * 1000;
const YEAR_S = 365 * DAY_S;
/** Of a calendar, so not always as long as their number says: days, weeks, months and years where the viewer is. */
const CALENDAR: ReadonlyMap<number, string> = new Map([
  [DAY_S, "1d"],
  [2 * DAY_S, "2d"],
  [7 * DAY_S, "1w"],
  [30 * DAY_S, "1mo"],
  [91 * DAY_S, "3mo"],
  [YEAR_S, "1y"],
]);
/** Multiples that divide into the historian's minutes, hours and days, so that its rollups serve them. */
const STEPS_S: readonly number[] = [
  1,
  2,
  5,
  10,
  15,
  30,
  60,
  120,
  300,
  600,
  900,
  1800,
  3600,
  7200,
  10_800,
  21_600,
  43_200,
  ...CALENDAR.keys(),
];

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
  return STEPS_S.find((step) => step >= finest) ?? Math.ceil(finest / YEAR_S) * YEAR_S;
}

/** The bucket as the history's `every` parameter. */
export function everyText(seconds: number): string {
  if (seconds >= DAY_S) return CALENDAR.get(seconds) ?? `${seconds / YEAR_S}y`;
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  if (seconds % 60 === 0) return `${seconds / 60}m`;
  return `${seconds}s`;
}

/** The zone of a bucket of a day and more: the viewer's. Shorter ones are UTC's. */
export function zoneOf(everyS: number): string | undefined {
  if (everyS < DAY_S) return undefined;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone as string | undefined;
  // What a browser says that does not know where it is; its clock shows UTC then.
  return zone === "Etc/Unknown" ? undefined : zone;
}

/** When the bucket begins that a time lies in, as the historian has it. */
export function bucketStart(ms: number, everyS: number): number {
  if (everyS < DAY_S) return Math.floor(ms / (everyS * 1000)) * everyS * 1000;
  const [count = 1, unit = "y"] = everyText(everyS).split(/(?<=\d)(?=[a-z])/);
  const whole = (number: number) => Math.floor(number / Number(count)) * Number(count);
  const date = new Date(ms);
  const day = Math.floor(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / DAY_MS);
  if (unit === "d") return midnight(1970, 0, 1 + whole(day));
  // 1 January 1970 was a Thursday.
  if (unit === "w") return midnight(1970, 0, 1 + Math.floor((day + 3) / 7) * 7 - 3);
  if (unit === "mo") return midnight(1970, whole((date.getFullYear() - 1970) * 12 + date.getMonth()), 1);
  return midnight(1970 + whole(date.getFullYear() - 1970), 0, 1);
}

/** When it ends. */
export function bucketEnd(ms: number, everyS: number): number {
  const start = bucketStart(ms, everyS);
  if (everyS < DAY_S) return start + everyS * 1000;
  // A little into the one that follows, whichever of them is long.
  let end = bucketStart(start + everyS * 1000, everyS);
  while (end <= ms) end = bucketStart(end + everyS * 1250, everyS);
  return end;
}

/** The first moment of a day where the viewer is. Months and days may be beyond their ends. */
function midnight(year: number, month: number, day: number): number {
  return new Date(year, month, day).getTime();
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
  return { from: bucketStart(from, everyS), to: bucketEnd(to - 1, everyS), everyS };
}

function onGrid(view: Span, span: number, beyond: number): Span {
  const grid = 2 ** Math.floor(Math.log2(span)) / 8;
  return {
    from: Math.floor((view.from - beyond) / grid) * grid,
    to: Math.ceil((view.to + beyond) / grid) * grid,
  };
}
