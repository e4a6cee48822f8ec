/** Numbers, dates and values as people read them, in the language of the locale given. */

import type { Value } from "../api/types";
import { writeJson } from "./json";

const numberFormats = new Map<string, Intl.NumberFormat>();
const dateFormats = new Map<string, Intl.DateTimeFormat>();

function numberFormat(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = locale + JSON.stringify(options);
  let format = numberFormats.get(key);
  if (!format) numberFormats.set(key, (format = new Intl.NumberFormat(locale, options)));
  return format;
}

function dateFormat(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = locale + JSON.stringify(options);
  let format = dateFormats.get(key);
  if (!format) dateFormats.set(key, (format = new Intl.DateTimeFormat(locale, options)));
  return format;
}

const LARGE = 1e9;
const SMALL = 1e-4;

/**
 * A measured value: about four significant digits, more for large ones, scientific at the extremes. Whole numbers have
 * all their digits: they count or name something.
 */
export function formatNumber(value: number | bigint, locale: string): string {
  if (typeof value === "bigint" || Number.isSafeInteger(value)) {
    return numberFormat(locale, { maximumFractionDigits: 0 }).format(value);
  }
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size >= LARGE * 1000 || size < SMALL)) {
    return numberFormat(locale, { notation: "scientific", maximumFractionDigits: 3 }).format(value);
  }
  const digits = size >= 1000 ? 1 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4;
  return numberFormat(locale, { maximumFractionDigits: digits }).format(value);
}

/** A count of things or readings, in full. */
export function formatCount(value: number, locale: string): string {
  return numberFormat(locale, { maximumFractionDigits: 0 }).format(value);
}

/** A rate or a large count, short: 48.2M. */
export function formatCompact(value: number, locale: string): string {
  if (Math.abs(value) < 10_000) {
    return numberFormat(locale, { maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0 }).format(value);
  }
  return numberFormat(locale, { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

const BYTE_UNITS = ["kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"] as const;

export function formatBytes(bytes: number, locale: string): string {
  // Some locales write "22 byte" for the short form of the smallest unit.
  if (bytes < 1000) return `${formatCount(bytes, locale)} B`;
  let unit = 0;
  let value = bytes / 1000;
  while (value >= 1000 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return numberFormat(locale, {
    style: "unit",
    unit: BYTE_UNITS[unit] ?? "kilobyte",
    unitDisplay: "short",
    maximumFractionDigits: value < 10 ? 1 : 0,
  }).format(value);
}

/** The value of a reading as text: booleans as the words given, JSON in one line. */
export function formatValue(value: Value, locale: string, words: { yes: string; no: string }): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number" || typeof value === "bigint") return formatNumber(value, locale);
  if (typeof value === "boolean") return value ? words.yes : words.no;
  if (typeof value === "string") return value;
  return writeJson(value);
}

/** As `formatValue`, but numbers with all their digits. */
export function formatExactly(value: Value, locale: string, words: { yes: string; no: string }): string {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return formatValue(value, locale, words);
  // The shortest text that is this number and no other.
  const [digits = "", exponent] = String(value).split("e");
  const fraction = digits.split(".")[1]?.length ?? 0;
  if (exponent !== undefined) return String(value).toUpperCase();
  return numberFormat(locale, { minimumFractionDigits: fraction, maximumFractionDigits: fraction }).format(
    value,
  );
}

const AGE_STEPS: [limit: number, seconds: number, unit: string][] = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86_400, 3600, "hour"],
  [86_400 * 60, 86_400, "day"],
  [86_400 * 730, 86_400 * 30.44, "month"],
  [Infinity, 86_400 * 365.25, "year"],
];

/** How long something lasted or lies back, in its largest unit: "12s", "3m". */
export function formatDuration(seconds: number, locale: string): string {
  const size = Math.max(0, seconds);
  const [, divisor, unit] = AGE_STEPS.find(([limit]) => size < limit) ?? [0, 1, "second"];
  return numberFormat(locale, {
    style: "unit",
    unit,
    unitDisplay: unit === "month" || unit === "year" ? "long" : "narrow",
    maximumFractionDigits: 0,
  }).format(Math.floor(size / divisor));
}

/** The step between readings, exactly, in the largest unit that holds it whole: "10 min", "90 sec". */
export function formatPeriod(seconds: number, locale: string): string {
  const [, size, unit] = [...AGE_STEPS.slice(0, 4)]
    .reverse()
    .find(([, divisor]) => seconds >= divisor && seconds % divisor === 0) ?? [0, 1, "second"];
  return numberFormat(locale, {
    style: "unit",
    unit,
    unitDisplay: "short",
    maximumSignificantDigits: 6,
  }).format(seconds / size);
}

/** A time in the viewer's zone, with the date unless it is today. */
export function formatTime(ms: number, locale: string, nowMs: number): string {
  const sameDay = new Date(ms).toDateString() === new Date(nowMs).toDateString();
  return dateFormat(
    locale,
    sameDay
      ? { timeStyle: "medium", hourCycle: "h23" }
      : { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" },
  ).format(ms);
}

/** A time in full, for titles and tooltips. */
export function formatFullTime(ms: number, locale: string): string {
  return dateFormat(locale, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }).format(ms);
}

/** One label of a chart's time axis, as fine as the distance between two of them asks. */
export function formatTick(ms: number, stepS: number, locale: string, withDate: boolean): string {
  if (stepS >= 86_400 * 28) {
    const month = new Date(ms).getMonth();
    return dateFormat(
      locale,
      month === 0 || withDate ? { year: "numeric", month: "short" } : { month: "short" },
    ).format(ms);
  }
  if (stepS >= 86_400) return dateFormat(locale, { month: "short", day: "numeric" }).format(ms);
  const time: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (stepS < 60) time.second = "2-digit";
  const text = dateFormat(locale, time).format(ms);
  return withDate ? `${text}\n${dateFormat(locale, { month: "short", day: "numeric" }).format(ms)}` : text;
}
